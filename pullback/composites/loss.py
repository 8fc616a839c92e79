"""Losses that torch records as one node. `reduction` is 0 for none, 1 for the mean, 2 for the sum."""

from __future__ import annotations

from pullback import _core
from pullback.composites.activation import require_float, scalar_name, where
from pullback.errors import GradError
from pullback.primitives.family import composite, fit, kernel, linear
from pullback.primitives.registry import ANY, ops, public
from pullback.trace.tracer import functions as f

NONE, MEAN, SUM = range(3)


def reduced(loss, reduction):
    if reduction == NONE:
        return loss
    total = f["_sum"](loss, (), False, None)
    return total / loss.numel() if reduction == MEAN else total


def _spread(g, x, reduction):
    """The cotangent of a reduced loss, still to be divided by the number of elements, over the elements."""
    return g if reduction == NONE else f["expand"](g, x.shape)


# ---- differences ----


def _gap(x, y):
    """x - y, where losses take bools for numbers, as `-` does not."""
    if x.dtype is _core.bool or y.dtype is _core.bool:
        common = _core.promote_types(x.dtype, y.dtype)
        if common is _core.bool:
            return x  # refused for its type
        x, y = (t if t.dtype == common else f["_cast"](t, common) for t in (x, y))
    return x - y


def _mse(x, y, reduction):
    gap = _gap(x, y)
    require_float("mse_cpu", gap)
    return reduced(f["_square"](gap), reduction)


def _mse_vjp(g, values, out):
    x, y, reduction = values
    gap = _gap(x, y)
    norm = 2.0 / gap.numel() if reduction == MEAN else 2.0
    g = _spread(g, gap, reduction)
    return fit(norm * gap * g, x), fit(norm * -gap * g, y)


composite("mse_loss(Tensor input, Tensor target, int reduction=1)", _mse, _mse_vjp, method=False)


def _smooth_l1(x, y, reduction, beta):
    gap = _gap(x, y)
    require_float("smooth_l1_cpu", gap)
    size = f["abs"](gap)
    return reduced(where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta), reduction)


def _smooth_l1_vjp(g, values, out):
    x, y, reduction, beta = values
    gap = _gap(x, y)
    g = _spread(g, gap, reduction)
    norm = 1.0 / gap.numel() if reduction == MEAN else 1.0

    def slope(d):
        return where(d <= -beta, -norm * g, where(d >= beta, norm * g, norm * d * g / beta))

    return fit(slope(gap), x), fit(slope(-gap), y)


composite(
    "smooth_l1_loss(Tensor input, Tensor target, int reduction=1, Scalar beta=1.0)",
    _smooth_l1,
    _smooth_l1_vjp,
    node="SmoothL1LossBackward0!",
    method=False,
)


def _huber(x, y, reduction, delta):
    gap = _gap(x, y)
    require_float("huber_cpu", gap)
    size = f["abs"](gap)
    return reduced(where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)), reduction)


def _huber_vjp(g, values, out):
    x, y, reduction, delta = values
    gap = _gap(x, y)
    g = _spread(g, gap, reduction)
    norm = 1.0 / gap.numel() if reduction == MEAN else 1.0

    def slope(d):
        return where(d <= -delta, -norm * g * delta, where(d >= delta, norm * g * delta, norm * d * g))

    return fit(slope(gap), x), fit(slope(-gap), y)


composite(
    "huber_loss(Tensor input, Tensor target, int reduction=1, Scalar delta=1.0)",
    _huber,
    _huber_vjp,
    expose_as="_huber_loss",
)


def huber_loss(input, target, reduction=MEAN, delta=1.0):
    """d^2 / 2 where d = abs(input - target) is at most delta, delta * (d - delta / 2) elsewhere.

    Shapes    input (*), target (*) -> () for reduction 1 (mean) and 2 (sum), (*) for 0 (none)
    Gradient  input: the difference held between -delta and delta; target: minus that
    Example   >>> torch.huber_loss(torch.tensor([0.5, 3.0]), torch.zeros(2))
              tensor(1.3125)
    """
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return f["_huber_loss"](input, target, reduction, delta)


# ---- cross-entropies of a binary choice ----

LOG_FLOOR = -100.0  # log(0) counts as this, so that a loss stays finite
TINY = 9.999999960041972e-13  # 1e-12 as a float32, for float64 too, as in torch


def _present(*gradients):
    """Only tensors that were given have a cotangent in a composite's answer."""
    return tuple(g for g in gradients if g is not Ellipsis)


def require_fixed(name, **tensors):
    """Torch's error for tensors of a loss that no gradient flows to."""
    for argument, t in tensors.items():
        if isinstance(t, _core.Tensor) and t.requires_grad and _core.is_grad_enabled():
            raise GradError(
                f"The function '{name}' is not differentiable with respect to argument '{argument}'. This "
                f"input cannot have requires_grad True.\nGive {argument}.detach()."
            )


def _between(x):
    return (x >= 0) & (x <= 1)


def _are_shares(x, y):
    """Whether all inputs and targets lie in [0, 1]: one program, as small losses are mostly calls."""
    if y.dtype != x.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_name(y.dtype)} but expected {scalar_name(x.dtype)}\n"
            "Convert the target with .to(input.dtype)."
        )
    require_float("binary_cross_entropy", x)
    return f["all"](_between(x) & _between(y))


composite(
    "are_shares(Tensor input, Tensor target)",
    _are_shares,
    differentiable=False,
    expose_as="_are_shares",
    dtypes=ANY,
)


def _bce(x, y, weight, reduction):
    low = f["maximum"](f["log1p"](-x), LOG_FLOOR)
    high = f["maximum"](f["log"](x), LOG_FLOOR)
    loss = f["fma"](y - 1, low, -(y * high))
    return reduced(loss if weight is None else loss * weight, reduction)


def _bce_vjp(g, values, out):
    x, y, weight, reduction = values
    g = _spread(g, x, reduction)
    g_x = g * (x - y) / f["maximum"]((1 - x) * x, TINY)
    g_y = g * (f["log1p"](-x) - f["log"](x))
    if weight is not None:
        g_x, g_y = g_x * weight, g_y * weight
    if reduction == MEAN:
        g_x, g_y = g_x / x.numel(), g_y / x.numel()
    return _present(g_x, fit(g_y, y), Ellipsis if weight is None else None)


composite(
    "binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, int reduction=1)",
    _bce,
    _bce_vjp,
    expose_as="_binary_cross_entropy",
)


def binary_cross_entropy(input, target, weight=None, reduction=MEAN):
    """-(target * log(input) + (1 - target) * log(1 - input)), each log held above -100.

    Shapes    input (*), target (*) -> () for reduction 1 (mean) and 2 (sum), (*) for 0 (none)
    Gradient  input: g * (input - target) / (input * (1 - input)), finite at 0 and 1
    Errors    RuntimeError for an input or a target outside [0, 1], and for two types
    Example   >>> torch.binary_cross_entropy(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0]))
              tensor(0.1643)
    """
    if not f["_are_shares"](input, target).item():
        if not f["all"](_between(input.detach())).item():
            raise RuntimeError(
                "all elements of input should be between 0 and 1\n"
                "Apply sigmoid() first, or use binary_cross_entropy_with_logits()."
            )
        raise RuntimeError(
            "all elements of target should be between 0 and 1\nA target is the share of the second class."
        )
    if weight is not None:
        require_fixed("binary_cross_entropy", weight=weight)
        weight = weight.to(input.dtype)
    return f["_binary_cross_entropy"](input, target, weight, reduction)


def _bce_logits(x, y, weight, pos_weight, reduction):
    require_float("log_sigmoid_cpu", x)
    if y.dtype is _core.bool:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead.\nConvert the target with .to(input.dtype)."
        )
    if not y.dtype.is_floating_point:
        raise RuntimeError(
            f"result type {scalar_name(x.dtype)} can't be cast to the desired output type "
            f"{scalar_name(y.dtype)}\nConvert the target with .to(input.dtype)."
        )
    log = f["log_sigmoid"](x)
    if pos_weight is None:
        loss = (1 - y) * x - log
    else:
        loss = (1 - y) * x - ((pos_weight - 1) * y + 1) * log
    if weight is not None:
        loss = loss * weight
    if loss.dtype != y.dtype:  # it is worked out in the target's type
        loss = f["_cast"](loss, y.dtype)
    return reduced(loss, reduction)


def _bce_logits_vjp(g, values, out):
    x, y, weight, pos_weight, reduction = values
    g = _spread(g, x, reduction)
    s = f["sigmoid"](x)
    if pos_weight is None:
        g_x, g_y = (s - y) * g, -x * g
    else:
        t = pos_weight * y
        g_x = ((t + 1 - y) * s - t) * g
        g_y = (f["log_sigmoid"](-x) - pos_weight * f["log_sigmoid"](x)) * g
    if weight is not None:
        g_x, g_y = g_x * weight, g_y * weight
    if reduction == MEAN:
        g_x, g_y = g_x / x.numel(), g_y / x.numel()
    return _present(
        g_x, fit(g_y, y), Ellipsis if weight is None else None, Ellipsis if pos_weight is None else None
    )


composite(
    "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, Tensor? "
    "pos_weight=None, int reduction=1)",
    _bce_logits,
    _bce_logits_vjp,
    method=False,
    out=False,
)

# ---- the likelihood of target classes ----


def _nll_vjp(gs, values, outputs):
    if gs[0] is None:  # the total weight does not depend on the input
        return None
    x, target, weight, reduction, ignore_index = values
    return f["_nll_loss_backward"](gs[0], x, target, weight, outputs[1], reduction, ignore_index)


kernel(
    "nll_loss(Tensor input, Tensor target, Tensor? weight, int reduction, int ignore_index)",
    _nll_vjp,
    name="nll_loss_forward",
    outputs=2,
    expose_as="_nll_loss_forward",
)
linear(
    "nll_loss_backward(Tensor grad, Tensor input, Tensor target, Tensor? weight, Tensor total_weight, "
    "int reduction, int ignore_index)",
    lambda g, grad, x, target, weight, total, reduction, ignore_index: f["_nll_loss_forward"](
        g, target, weight, reduction, ignore_index
    )[0],
    expose_as="_nll_loss_backward",
)

_NLL = "nll_loss(Tensor input, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100)"


def _nll(x, target, weight, reduction, ignore_index):
    return f["_nll_loss_forward"](x, target, weight, reduction, ignore_index)[0]


composite(_NLL, _nll, expose_as="_nll_loss")
composite(_NLL, _nll, name="nll_loss2d", node="NllLoss2DBackward0!", expose_as="_nll_loss2d")


def nll_loss(input, target, weight=None, reduction=MEAN, ignore_index=-100):
    """-input[n, target[n]]: of (C), (N, C) or (N, C, d1, ...) with targets of the same shape without C.

    Shapes    input (C), (N, C) or (N, C, d1, ...) of log-probabilities, target the same without C -> ()
    Gradient  input: -g * weight at the target class, 0 elsewhere
    Errors    IndexError for a class out of range
    Example   >>> torch.nll_loss(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([0]))
              tensor(0.6931)
    """
    rank = input.dim()
    if weight is not None:
        require_fixed("nll_loss2d_forward" if rank > 2 else "nll_loss_forward", weight=weight)
    if rank in (1, 2):
        return f["_nll_loss"](input, target, weight, reduction, ignore_index)
    if rank == 4:
        return f["_nll_loss2d"](input, target, weight, reduction, ignore_index)
    expected = (input.size(0), *input.size()[2:]) if rank else ()
    if tuple(target.size()) != tuple(expected):
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.size())}")
    n, classes = input.size(0), input.size(1)
    rest = 1
    for size in input.size()[2:]:
        rest *= size
    input, flat = input.reshape(n, classes, 1, rest), target.reshape(n, 1, rest)
    loss = f["_nll_loss2d"](input, flat, weight, reduction, ignore_index)
    return loss.view(target.shape) if reduction == NONE else loss


# Which tensors torch's nodes have no edge for.
for _name in ("mse_loss", "smooth_l1_loss", "huber_loss"):
    ops[_name].steering = frozenset()
for _name in ("binary_cross_entropy", "binary_cross_entropy_with_logits", "nll_loss", "nll_loss2d"):
    ops[_name].steering = frozenset(
        {"weight", "pos_weight"} | ({"target"} if _name.startswith("nll") else set())
    )

for _g in (huber_loss, binary_cross_entropy, nll_loss):
    public[_g.__name__] = f[_g.__name__] = _g
