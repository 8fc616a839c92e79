"""Losses under the names of torch.nn.functional.

Where torch records one node (mse_loss, nll_loss, ...) the op comes from the core; where torch composes, so
does this file, in torch's order, so that values and graphs agree.
"""

from __future__ import annotations

import math
import warnings

from pullback import _api as torch
from pullback import _core
from pullback.arguments import integer, kind_name, real, require_tensors
from pullback.composites.loss import require_fixed
from pullback.nn.functional import reduction as _reduction
from pullback.trace.tracer import functions as f

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


def _same_size(input, target):
    """Both operands at their common size; a warning when they had to be broadcast."""
    try:
        same = _core.same_shape(input, target)
    except TypeError:  # one of them is no tensor
        same = target.size() == input.size()
    if same:
        return input, target
    warnings.warn(
        f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
        "This will likely lead to incorrect results due to broadcasting. Please ensure they have the "
        "same size.",
        stacklevel=3,
    )
    return torch.broadcast_tensors(input, target)


def _weighted(loss, weight, input, reduction, *, by_weight):
    """The reduction of ``loss * weight``; with ``by_weight`` the mean divides by the sum of the weights."""
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    weighted = loss * weight
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return torch.sum(weighted)
    if reduction == "mean":
        return torch.sum(weighted) / torch.sum(weight) if by_weight else weighted.mean()
    raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target)^2, reduced; with ``weight`` a weighted mean.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Gradient  input: 2 (input - target) g / n; target: minus that
    Example   >>> F.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]))
              tensor(2.5000)
    """
    a, b = _same_size(input, target)
    if weight is None:
        return torch.mse_loss(a, b, _reduction.code(reduction, size_average, reduce))
    reduction = _reduction.choose(reduction, size_average, reduce)
    return _weighted(torch.pow(a - b, 2), weight, input, reduction, by_weight=True)


def _absolute(a, b, kind):
    return _reduction.apply((a - b).abs(), kind)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """abs(input - target), reduced; with ``weight`` a weighted mean.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Gradient  input: sign(input - target) g / n; target: minus that
    Example   >>> F.l1_loss(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.0]))
              tensor(1.5000)
    """
    a, b = _same_size(input, target)
    if weight is None:
        return _absolute(a, b, _reduction.code(reduction, size_average, reduce))
    reduction = _reduction.choose(reduction, size_average, reduce)
    return _weighted(torch.abs(a - b), weight, input, reduction, by_weight=True)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where d = abs(input - target) is below beta, d - beta / 2 elsewhere.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Gradient  input: d / beta below beta, the sign of the difference elsewhere; target: minus that
    Example   >>> F.smooth_l1_loss(torch.tensor([0.5, 3.0]), torch.tensor([0.0, 0.0]), reduction="none")
              tensor([0.1250, 2.5000])
    """
    a, b = _same_size(input, target)
    kind = _reduction.code(reduction, size_average, reduce)
    if beta == 0.0:
        return _absolute(a, b, kind)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return torch.smooth_l1_loss(a, b, kind, beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d^2 / 2 where d = abs(input - target) is below delta, delta * (d - delta / 2) elsewhere.

    Shapes    input (*), target (*) -> (), or (*) with reduction="none"
    Gradient  input: the difference held between -delta and delta; target: minus that
    Example   >>> F.huber_loss(torch.tensor([0.5, 3.0]), torch.zeros(2), reduction="none", delta=2.0)
              tensor([0.1250, 4.0000])
    """
    a, b = _same_size(input, target)
    if weight is None:
        return torch.huber_loss(a, b, _reduction.code(reduction), delta)
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    loss = torch.huber_loss(a, b, _reduction.NONE, delta)
    return _weighted(loss, weight, input, reduction, by_weight=False)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """-input[n, target[n]], weighted by class; the mean divides by the sum of the weights that took part.

    Shapes    input (C), (N, C) or (N, C, d1, ...) of log-probabilities, target the same without C
    Gradient  input: -g * weight at the target class, 0 elsewhere
    Errors    ValueError where the batches differ; IndexError for a class out of range
    Example   >>> logs = torch.tensor([[0.5, 0.5], [0.1, 0.9]]).log()
              >>> F.nll_loss(logs, torch.tensor([0, 1]))
              tensor(0.3993)
    """
    kind = _reduction.code(reduction, size_average, reduce)
    plain = isinstance(input, _core.Tensor) and isinstance(target, _core.Tensor)
    if not plain or weight is not None or type(ignore_index) is not int:
        _require_arguments("nll_loss_nd", input, target, weight, ignore_index)
    return _nll(input, target, weight, kind, ignore_index)


def _require_arguments(name, input, target, weight, ignore_index, label_smoothing=0.0):
    """What torch's native function of that name asks of its arguments."""
    if not (isinstance(input, _core.Tensor) and isinstance(target, _core.Tensor)):
        require_tensors(name, input=input, target=target)
    if weight is not None and not isinstance(weight, _core.Tensor):
        raise TypeError(f"{name}(): argument 'weight' (position 3) must be Tensor, not {kind_name(weight)}")
    if type(ignore_index) is not int:
        integer(name, "ignore_index", 5, ignore_index)
    if type(label_smoothing) is not float:
        real(name, "label_smoothing", 6, label_smoothing)


def _nll(input, target, weight, kind, ignore_index):
    if input.dim() < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    rows = target.size(0) if target.dim() else 0
    if input.dim() != 1 and input.size(0) != rows:
        raise ValueError(f"Expected input batch_size ({input.size(0)}) to match target batch_size ({rows}).")
    return f["nll_loss"](input, target, weight, kind, ignore_index)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """-log(softmax(input)) at the target class, or averaged over the target's class probabilities.

    Shapes    input (C), (N, C) or (N, C, d1, ...) of logits; target the same without C (int64 classes) or of
              the same shape (probabilities)
    Gradient  input: (softmax(input) - the target's probabilities) g / n
    Errors    IndexError for a class out of range; RuntimeError for a label_smoothing above 1
    Example   >>> F.cross_entropy(torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 1]))
              tensor(0.0878)
              >>> F.cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
              tensor(1.1269)
    """
    kind = _reduction.code(reduction, size_average, reduce)
    plain = isinstance(input, _core.Tensor) and isinstance(target, _core.Tensor)
    plain = plain and type(ignore_index) is int and type(label_smoothing) is float
    if not plain or weight is not None:
        _require_arguments("cross_entropy_loss", input, target, weight, ignore_index, label_smoothing)
    classes_axis = 0 if input.dim() == 1 else 1
    probabilities = _core.same_shape(input, target)
    _check_cross_entropy(input, target, weight, classes_axis, probabilities, ignore_index, label_smoothing)
    logs = f["log_softmax"](input, classes_axis, None)
    if probabilities:
        return _soft_targets(logs, target, weight, kind, classes_axis, label_smoothing)
    if label_smoothing > 0.0:
        return _smoothed(logs, target, weight, kind, ignore_index, classes_axis, label_smoothing)
    return _nll(logs, target, weight, kind, ignore_index)


def _check_cross_entropy(input, target, weight, axis, probabilities, ignore_index, label_smoothing):
    if probabilities:
        if not target.is_floating_point():
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{_scalar_name(target.dtype)}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        if weight is not None and tuple(weight.shape) != (input.size(axis),):
            raise RuntimeError(
                "cross_entropy: weight tensor should be defined either for all "
                f"{input.size(axis)} classes or no classes but got weight tensor of shape: "
                f"{list(weight.shape)}"
            )
    if label_smoothing > 1.0:  # torch takes a negative one for none
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")


_SCALAR_NAMES = {
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


def _scalar_name(dtype):
    name = str(dtype).rpartition(".")[2]
    return _SCALAR_NAMES.get(name, name)


def _class_weights(weight, dimensions, axis):
    return weight.view([-1 if i == axis else 1 for i in range(dimensions)])


def _soft_targets(logs, target, weight, kind, axis, label_smoothing):
    classes = logs.size(axis)
    if label_smoothing > 0.0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    product = logs * target
    if weight is not None:
        product = product * _class_weights(weight, logs.dim(), axis)
    if kind == _reduction.NONE:
        return -product.sum(axis)
    total = -product.sum()
    if kind == _reduction.SUM:
        return total
    # Of an empty batch the mean is nan, as torch's is.
    return f["_div_number"](total, logs.numel() / classes if logs.numel() else 0.0)


def _smoothed(logs, target, weight, kind, ignore_index, axis, label_smoothing):
    hard = _nll(logs, target, weight, kind, ignore_index)
    per_class = logs if weight is None else logs * _class_weights(weight, logs.dim(), axis)
    ignored = target == ignore_index
    smooth = (-per_class.sum(axis)).masked_fill(ignored, 0.0)
    if kind == _reduction.SUM:
        smooth = smooth.sum()
    elif kind == _reduction.MEAN and weight is None:
        smooth = smooth.sum() / (target.numel() - ignored.sum())
    elif kind == _reduction.MEAN:
        smooth = smooth.sum() / weight.gather(0, target.masked_select(~ignored).flatten()).sum()
    weight = label_smoothing / logs.size(axis)
    return f["_mul_number"](hard, 1 - label_smoothing) + f["_mul_number"](smooth, weight)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(target * log(input) + (1 - target) * log(1 - input)), each log held above -100.

    Shapes    input (*), target (*), weight broadcasts to them -> (), or (*) with reduction="none"
    Gradient  input: g * (input - target) / (input * (1 - input)), finite at 0 and 1
    Errors    ValueError where the shapes differ; RuntimeError for an input or a target outside [0, 1], and
              for two types
    Example   >>> F.binary_cross_entropy(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0]))
              tensor(0.1643)
    """
    kind = _reduction.code(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    if weight is not None and weight.size() != target.size():
        weight = weight.expand(torch.broadcast_shapes(target.size(), weight.size()))
    return torch.binary_cross_entropy(input, target, weight, kind)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """binary_cross_entropy of sigmoid(input), without overflow; ``pos_weight`` scales target 1.

    Shapes    input (*), target (*), the others broadcast to them -> (), or (*) with reduction="none"
    Gradient  input: (sigmoid(input) - target) g / n
    Errors    ValueError where the shapes differ
    Example   >>> F.binary_cross_entropy_with_logits(torch.tensor([2.0, -200.0]), torch.tensor([1.0, 1.0]))
              tensor(100.0635)
    """
    kind = _reduction.code(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    if weight is not None or pos_weight is not None:
        require_fixed("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    return torch.binary_cross_entropy_with_logits(input, target, weight, pos_weight, kind)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """target * (log(target) - input), with input (and, with ``log_target``, target) given as logarithms.

    Shapes    input (*a), target (*b) -> (), or broadcast(a, b) with reduction="none"
    Gradient  input: -target * g (divided by what the reduction divides by)
    Example   >>> logs, target = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]])
              >>> F.kl_div(logs, target, reduction="batchmean")
              tensor(0.3681)
    """
    if size_average is not None or reduce is not None:
        kind = _reduction.code(reduction, size_average, reduce)
    else:
        if reduction == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support size."
                "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
                "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
                stacklevel=2,
            )
        kind = _reduction.code("sum" if reduction == "batchmean" else reduction)
    if log_target:
        loss = torch.exp(target) * (target - input)
    else:
        loss = torch.xlogy(target, target) - target * input
    loss = _reduction.apply(loss, kind)
    if reduction == "batchmean" and input.dim() != 0:
        loss = loss / input.size()[0]
    return loss


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """exp(input) - target * input (or input - target * log(input + eps)); ``full`` adds Stirling's term.

    Shapes    input (*a), target (*b) -> (), or broadcast(a, b) with reduction="none"
    Gradient  input: (exp(input) - target) g / n, without log_input (1 - target / (input + eps)) g / n
    Errors    ValueError for an unknown reduction
    Example   >>> F.poisson_nll_loss(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0]))
              tensor(0.3591)
    """
    reduction = _reduction.choose(reduction, size_average, reduce)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not a valid value for reduction")
    if log_input:
        loss = torch.exp(input) - target * input
    else:
        loss = input - target * torch.log(f["_add_number"](input, eps))
    if full:
        stirling = target * torch.log(target) - target + 0.5 * torch.log(2 * math.pi * target)
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduction.apply(loss, _reduction.code(reduction))


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log(var) + (input - target)^2 / var) / 2 with var held above eps; ``full`` adds log(2 pi) / 2.

    Shapes    input (*), target (*), var (*), or (*) with the last axis missing or 1 -> (), or (*) with "none"
    Gradient  input: (input - target) / var; var: (1 - (input - target)^2 / var) / (2 var); times g / n
    Errors    ValueError for a negative variance, one of another size, or an unknown reduction
    Example   >>> F.gaussian_nll_loss(torch.tensor([1.0, 2.0]), torch.ones(2), torch.tensor([1.0, 4.0]))
              tensor(0.4091)
    """
    if isinstance(var, float):
        negative = var < 0
        var = var * torch.ones_like(input) if not negative else var
    else:
        negative = bool(torch.any(var < 0))
    if negative:
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = torch.unsqueeze(var, -1)
        # One axis of var may be shared by all: then it is the only one that differs, and its size is 1.
        elif (
            input.ndim != var.ndim
            or sum(v for i, v in zip(input.size(), var.size(), strict=True) if i != v) != 1
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with torch.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (torch.log(var) + (input - target) ** 2 / var)
    if full:
        loss += 0.5 * math.log(2 * math.pi)
    return _reduction.apply(loss, _reduction.code(reduction))
