"""Losses as modules; the arithmetic is in nn/functional/loss.py."""

from __future__ import annotations

from pullback.nn import functional as F
from pullback.nn.functional import reduction as _reduction
from pullback.nn.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
]


class _Loss(Module):
    """A loss with a reduction: "mean", "sum" or "none"; a wrong name is reported at the first call, as in
    torch.
    """

    __constants__ = ["reduction"]

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__()
        self.reduction = _reduction.choose(reduction, size_average, reduce)


class _WeightedLoss(_Loss):
    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """abs(input - target).

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Example   >>> nn.L1Loss()(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.0]))
              tensor(1.5000)
    """

    def forward(self, input, target):
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """(input - target)^2.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Example   >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
              >>> nn.MSELoss()(x, torch.tensor([0.0, 0.0])).backward()
              >>> x.grad
              tensor([1., 2.])
    """

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Quadratic below beta, linear above.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Example   >>> nn.SmoothL1Loss(reduction="none")(torch.tensor([0.5, 3.0]), torch.tensor([0.0, 0.0]))
              tensor([0.1250, 2.5000])
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0):
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """SmoothL1Loss times delta.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Errors    TypeError for a delta that is no number
    Example   >>> nn.HuberLoss(reduction="none", delta=2.0)(torch.tensor([0.5, 3.0]), torch.zeros(2))
              tensor([0.1250, 4.0000])
    """

    __constants__ = ["reduction", "delta"]

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction=reduction)
        if not isinstance(delta, (float, int)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class NLLLoss(_WeightedLoss):
    """-input at the target class, for inputs that are log-probabilities.

    Shapes    input (C), (N, C) or (N, C, d1, ...) of log-probabilities, target the same without C -> ()
    Example   >>> logs = torch.tensor([[0.5, 0.5], [0.1, 0.9]]).log()
              >>> nn.NLLLoss()(logs, torch.tensor([0, 1]))
              tensor(0.3993)
    """

    __constants__ = ["ignore_index", "reduction"]

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(
            input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class CrossEntropyLoss(_WeightedLoss):
    """-log(softmax(input)) at the target class, or averaged over class probabilities.

    ``weight`` weighs the classes, ``ignore_index`` is a class that does not count, ``label_smoothing`` mixes
    the target with equal probabilities.

    Shapes    input (C), (N, C) or (N, C, d1, ...) of logits; target the same without C (int64), or with it
              (probabilities) -> ()
    Example   >>> logits = torch.tensor([[2.0, 0.0], [0.0, 3.0]], requires_grad=True)
              >>> loss = nn.CrossEntropyLoss()(logits, torch.tensor([0, 1]))
              >>> round(loss.item(), 4)
              0.0878
              >>> loss.backward()
              >>> logits.grad
              tensor([[-0.0596,  0.0596],
                      [ 0.0237, -0.0237]])
    """

    __constants__ = ["ignore_index", "reduction", "label_smoothing"]

    def __init__(
        self,
        weight=None,
        size_average=None,
        ignore_index=-100,
        reduce=None,
        reduction="mean",
        label_smoothing=0.0,
    ):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class BCELoss(_WeightedLoss):
    """Binary cross entropy of probabilities.

    Shapes    input (*) in [0, 1], target (*) -> (), or (*) with reduction="none"
    Errors    ValueError where the shapes differ
    Example   >>> nn.BCELoss()(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0]))
              tensor(0.1643)
    """

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of logits.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Errors    ValueError where the shapes differ
    Example   >>> nn.BCEWithLogitsLoss()(torch.tensor([2.0, -200.0]), torch.tensor([1.0, 1.0]))
              tensor(100.0635)
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """target * (log(target) - input), for inputs that are log-probabilities.

    Shapes    input (*a), target (*b) -> (), or broadcast(a, b) with reduction="none"
    Example   >>> logs, target = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]])
              >>> nn.KLDivLoss(reduction="batchmean")(logs, target)
              tensor(0.3681)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False):
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Negative log likelihood of Poisson counts.

    Shapes    log_input (*a), target (*b) -> (), or broadcast(a, b) with reduction="none"
    Example   >>> nn.PoissonNLLLoss()(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0]))
              tensor(0.3591)
    """

    __constants__ = ["log_input", "full", "eps", "reduction"]

    def __init__(
        self, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
    ):
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input, target):
        return F.poisson_nll_loss(
            log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Negative log likelihood of normal values with the variances ``var``.

    Shapes    input (*), target (*), var (*) or with the last axis missing or 1 -> (), or (*) with
              reduction="none"
    Example   >>> nn.GaussianNLLLoss()(torch.tensor([1.0, 2.0]), torch.ones(2), torch.tensor([1.0, 4.0]))
              tensor(0.4091)
    """

    __constants__ = ["full", "eps", "reduction"]

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
