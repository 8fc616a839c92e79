"""Calls of public functions whose values and gradients PyTorch has written down: see values.py.

A case is a name, a path below the module (or below Tensor), arguments and keywords. NumPy float arrays become
tensors that need a gradient, other arrays plain ones; the same cases run on both libraries.
"""

from __future__ import annotations

import numpy as np

from pullback.checking.cases import Draw, Fixed, Strided

CASES: list[tuple] = []


def case(path, *args, **kwargs):
    CASES.append((f"{len(CASES)}:{path}", path, args, kwargs))


def resolve(module, path):
    """A function of the module, or else a method of its tensors."""
    found = module
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            return getattr(module.Tensor, path, None) or getattr(module.nn.functional, path)
    return found


def convert(module, x, dtype, inputs):
    """Arrays in a nest of arguments as tensors of the module; those that need a gradient are put into
    `inputs`."""
    if isinstance(x, Fixed):
        return module.tensor(x.array, dtype=getattr(module, dtype))
    if isinstance(x, Strided):
        order = tuple(reversed(range(x.array.ndim)))
        t = module.tensor(np.ascontiguousarray(x.array.transpose(order)), dtype=getattr(module, dtype))
        t = t.permute(order).detach().requires_grad_()
        inputs.append(t)
        return t
    if isinstance(x, np.ndarray):
        if x.dtype.kind != "f":
            return module.tensor(x)
        t = module.tensor(x, dtype=getattr(module, dtype)).requires_grad_()
        inputs.append(t)
        return t
    if isinstance(x, (list, tuple)):
        return type(x)(convert(module, v, dtype, inputs) for v in x)
    if isinstance(x, str) and x.startswith("float"):
        return getattr(module, x)
    return x


def run(module, label, path, args, kwargs, dtype, outputs=None):
    """The outputs of a case, and the gradients of its inputs for cotangents drawn from the case's name.

    The outputs that were recorded are put into `outputs`.
    """
    inputs: list = []
    module.manual_seed(0)
    args = convert(module, list(args), dtype, inputs)
    kwargs = {k: convert(module, v, dtype, inputs) for k, v in kwargs.items()}
    if path.endswith("_") and not path.endswith("__"):
        args[0] = args[0] * 1  # a leaf cannot be changed in place
    out = resolve(module, path)(*args, **kwargs)
    out = list(out) if isinstance(out, (tuple, list)) else [out]
    recorded = [o for o in out if o.requires_grad]
    if outputs is not None:
        outputs += recorded
    draw = Draw(label)
    cotangents = [module.tensor(draw.normal(*o.shape), dtype=o.dtype) for o in recorded]
    gradients = module.autograd.grad(recorded, inputs, cotangents, allow_unused=True) if recorded else []
    return [o.detach().numpy() for o in out] + [g.numpy() for g in gradients if g is not None]


def _elementwise(d):
    wide = """
    exp expm1 sin cos tan tanh sigmoid erf erfc abs neg sign square relu floor ceil round trunc frac sinh
    cosh atan nn.functional.softplus nn.functional.silu nn.functional.gelu nn.functional.elu
    nn.functional.selu nn.functional.celu nn.functional.leaky_relu nn.functional.relu6
    nn.functional.hardtanh nn.functional.hardswish nn.functional.hardsigmoid nn.functional.softsign
    nn.functional.mish nn.functional.logsigmoid nn.functional.tanhshrink nn.functional.softshrink
    nn.functional.hardshrink exp2 sinc deg2rad rad2deg isnan isinf isfinite logical_not
    """
    for name in wide.split():
        case(name, d.between(-4, 4, 5, 13, away=(0,)))
    for name in "log log2 log10 log1p sqrt rsqrt reciprocal lgamma".split():
        case(name, d.between(0.2, 5, 5, 13))
    for name in "asin acos logit".split():
        case(name, d.between(0.05, 0.95, 5, 13))
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1e-40, 1e30, -1e30, 0.5, 88.0, -104.0, 1e-8])
    for (
        name
    ) in "exp log log1p expm1 sin cos tanh sigmoid erf sqrt rsqrt reciprocal abs sign relu square".split():
        case(name, np.abs(special) if name in ("log", "log1p", "sqrt", "rsqrt") else special)
    for (
        name
    ) in "add sub mul div maximum minimum fmax fmin atan2 hypot logaddexp eq lt ge xlogy copysign".split():
        case(name, d.between(0.3, 3, 3, 1, 7), d.between(0.3, 3, 5, 1))
        case(name, d.between(0.3, 3, 19), d.between(0.3, 3, 19))
    for name in "remainder fmod".split():
        case(name, d.between(1, 9, 19), d.between(0.3, 3, 19))
    for exponent in (0, 1, 2, 3, 4, 0.5, -0.5, -1, -2, 1.5, -3):
        case("pow", d.between(0.2, 3, 19), exponent)
    case("pow", d.between(0.2, 3, 19), d.between(-2, 2, 19))
    case("pow", 2.5, d.between(-2, 2, 19))
    for kwargs in ({"min": -0.5}, {"max": 0.7}, {"min": -0.5, "max": 0.7}):
        case("clamp", d.normal(19), **kwargs)
    case("add", d.normal(19), d.normal(19), alpha=1.7)
    case("sub", d.normal(19), d.normal(19), alpha=0.3)
    case("rsub", d.normal(19), 2.5)
    case("div", d.normal(19), d.between(0.3, 3, 19), rounding_mode="floor")
    case("lerp", d.normal(19), d.normal(19), 0.3)
    case("lerp", d.normal(19), d.normal(19), d.between(0, 1, 19))
    case("addcmul", d.normal(19), d.normal(19), d.normal(19), value=0.7)
    case("addcdiv", d.normal(19), d.normal(19), d.between(0.5, 2, 19), value=0.7)
    case("where", d.mask(3, 5), d.normal(3, 5), d.normal(5))
    case("masked_fill", d.normal(3, 5), d.mask(3, 5), 1.5)


def _reductions(d):
    for name in (
        "sum",
        "mean",
        "var",
        "std",
        "amax",
        "amin",
        "logsumexp",
        "nn.functional.softmax",
        "nn.functional.log_softmax",
        "cumsum",
        "norm",
    ):
        for shape in ((7, 40), (3, 257), (1000, 4), (64,), (5, 1)):
            dims = [1] if len(shape) > 1 and name in ("cumsum",) else [0, len(shape) - 1]
            for dim in sorted(set(dims)):
                if name in ("var", "std") and shape[dim] == 1:
                    continue
                case(name, d.normal(*shape), dim=dim)
    for name in ("sum", "mean", "var", "std", "prod", "max", "min", "norm", "amax"):
        for shape in ((), (7,), (33,), (40, 50), (3, 4, 5), (5000,)):
            if shape == () and name in ("var", "std"):
                continue
            case(name, d.normal(*shape) if name != "prod" else d.between(0.9, 1.1, *shape))
    case("var", d.normal(6, 5), dim=(0, 1), unbiased=False)
    case("std", d.normal(6, 5), dim=1, correction=2, keepdim=True)
    case("var_mean", d.normal(6, 5), dim=0)
    for name in ("max", "min", "median", "sort", "cummax", "cummin", "argmax", "argmin", "topk", "kthvalue"):
        extra = {"topk": (3,), "kthvalue": (3,)}.get(name, ())
        case(name, d.apart(5, 7), *extra, dim=1)
    for p in (1, 2, 3, float("inf"), 0.5):
        case("norm", d.normal(6, 5), p, dim=1)
        case("linalg.vector_norm", d.normal(6, 5), p)
    case("prod", d.normal(6, 5), dim=1)
    case("cumprod", d.normal(6, 5), dim=1)
    case("all", d.normal(6, 5), dim=1)
    case("any", d.mask(6, 5), dim=0)
    case("count_nonzero", d.normal(6, 5))


def _products(d):
    for m, k, n in ((1, 1, 1), (2, 3, 4), (17, 5, 9), (33, 64, 10)):
        case("mm", d.normal(m, k), d.normal(k, n))
        case("matmul", d.normal(2, m, k), d.normal(k, n))
        case("matmul", d.normal(2, m, k), d.normal(2, k, n))
        case("matmul", d.normal(m, k), d.normal(k))
        case("nn.functional.linear", d.normal(m, k), d.normal(n, k), d.normal(n))
        case("addmm", d.normal(n), d.normal(m, k), d.normal(k, n), beta=0.5, alpha=2.0)
        case("bmm", d.normal(3, m, k), d.normal(3, k, n))
    case("dot", d.normal(100), d.normal(100))
    case("mv", d.normal(7, 9), d.normal(9))
    case("outer", d.normal(4), d.normal(5))


def _shapes(d):
    x = d.normal(3, 4)
    case("reshape", x, (2, 6))
    case("permute", d.normal(2, 3, 4), (2, 0, 1))
    case("transpose", x, 0, 1)
    case("squeeze", d.normal(3, 1, 4), 1)
    case("unsqueeze", x, 1)
    case("flatten", d.normal(2, 3, 4), 1)
    case("expand", d.normal(3, 1), (2, 3, 4))
    case("repeat", x, (2, 3))
    case("cat", [x, d.normal(2, 4)], 0)
    case("stack", [x, d.normal(3, 4)], 1)
    for name, args in (
        ("split", (2, 1)),
        ("chunk", (3, 1)),
        ("unbind", (0,)),
        ("narrow", (1, 1, 2)),
        ("select", (1, 2)),
        ("tril", ()),
        ("triu", (1,)),
        ("flip", ((0,),)),
        ("roll", (1, 0)),
        ("diagonal", ()),
        ("unfold", (1, 2, 1)),
        ("movedim", (0, 1)),
        ("tile", ((2,),)),
    ):
        case(name, x, *args)


def _indexing(d):
    x = d.normal(5, 6)
    case("gather", x, 1, d.index(6, 5, 3))
    case("scatter_add", x, 0, d.index(5, 4, 6), d.normal(4, 6))
    case("scatter", x, 1, np.array([[0, 2], [5, 1]]), d.normal(2, 2))
    case("index_select", x, 1, d.index(6, 9))
    case("index_add", x, 0, d.index(5, 7), d.normal(7, 6), alpha=0.5)
    case("index_copy", x, 0, np.array([4, 1]), d.normal(2, 6))
    case("take", x, d.index(30, 7))
    case("index_put", x, (np.array([0, 3, 0]), np.array([1, 1, 1])), d.normal(3), accumulate=True)
    case("masked_select", x, d.mask(5, 6))
    case("__getitem__", x, (slice(1, 4), slice(None, None, 2)))
    case("__getitem__", x, (slice(None), np.array([0, 2, 2])))
    case("__getitem__", x, (None, 2, Ellipsis))
    case("nn.functional.embedding", d.index(5, 2, 3), d.normal(5, 4))
    case("nn.functional.one_hot", d.index(4, 5), 6)
    case("take_along_dim", x, d.index(6, 5, 2), 1)


def _losses(d):
    for reduction in ("none", "mean", "sum"):
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
            case(f"nn.functional.{name}", d.normal(6, 7), d.normal(6, 7), reduction=reduction)
        unit, target = d.between(0.05, 0.95, 6, 7), d.mask(6, 7).astype(np.float64)
        case("nn.functional.binary_cross_entropy", unit, target, reduction=reduction)
        case("nn.functional.binary_cross_entropy_with_logits", d.normal(6, 7), target, reduction=reduction)
        case("nn.functional.cross_entropy", d.normal(6, 7), d.index(7, 6), reduction=reduction)
        case("nn.functional.cross_entropy", d.normal(64, 10), d.index(10, 64), reduction=reduction)
        case("nn.functional.nll_loss", d.normal(6, 7), d.index(7, 6), reduction=reduction)
        case("nn.functional.kl_div", d.normal(6, 7), unit, reduction=reduction)
    case("nn.functional.cross_entropy", d.normal(6, 7), d.index(7, 6), label_smoothing=0.1)
    case("nn.functional.cross_entropy", d.normal(2, 4, 3), d.index(4, 2, 3))


def _sums_of_products(d):
    parts = {
        "addmm": (d.normal(4), d.normal(2, 3), d.normal(3, 4)),
        "addmv": (d.normal(2), d.normal(2, 3), d.normal(3)),
        "addbmm": (d.normal(2, 4), d.normal(5, 2, 3), d.normal(5, 3, 4)),
        "baddbmm": (d.normal(5, 2, 4), d.normal(5, 2, 3), d.normal(5, 3, 4)),
        "addr": (d.normal(2, 3), d.normal(2), d.normal(3)),
    }
    for name, args in parts.items():
        case(name, *args)
        case(name, *args, beta=0.5, alpha=2.0)
    case("linalg.cross", d.normal(2, 3), d.normal(2, 3))
    case("nn.functional.bilinear", d.normal(3, 4), d.normal(3, 5), d.normal(2, 4, 5), d.normal(2))
    for name, number in (("__add__", 1.5), ("__mul__", 1.5), ("__truediv__", 1.5), ("__rtruediv__", 1.5)):
        case(name, d.normal(3, 4), number)


def _layers(d):
    x, weight, bias = d.normal(3, 4, 2), d.normal(4), d.normal(4)
    mean, var = Fixed(d.normal(4)), Fixed(d.between(0.5, 2, 4))
    case("nn.functional.layer_norm", d.normal(3, 4), (4,), weight, bias)
    case("nn.functional.layer_norm", x, (4, 2), None, None, 0.1)
    case("nn.functional.group_norm", x, 2, weight, bias)
    case("nn.functional.batch_norm", x, None, None, weight, bias, True)
    case("nn.functional.batch_norm", d.normal(5, 4), None, None, None, None, True)
    case("nn.functional.batch_norm", x, mean, var, weight, bias, False)
    q, k, v = d.normal(2, 1, 3, 2), d.normal(2, 1, 4, 2), d.normal(2, 1, 4, 3)
    case("nn.functional.scaled_dot_product_attention", q, k, v)
    case("nn.functional.scaled_dot_product_attention", q, k, v, Fixed(d.normal(3, 4)))
    case("nn.functional.scaled_dot_product_attention", q, k, v, d.mask(3, 4))
    case("nn.functional.scaled_dot_product_attention", q, k, v, is_causal=True)
    case("nn.functional.glu", d.normal(3, 4))
    case("nn.functional.prelu", d.normal(3, 4), d.between(0.1, 0.5, 4))
    case("nn.functional.elu", d.normal(3, 4), 0.7)
    for name in ("nn.functional.rrelu", "nn.functional.rrelu_"):
        case(name, d.normal(3, 4))
        case(name, d.normal(3, 4), training=True)
    for name in ("celu_", "leaky_relu_", "elu_", "threshold_"):
        case(f"nn.functional.{name}", d.normal(3, 4), *((0.2, 1.5) if name == "threshold_" else ()))


def _other_forms(d):
    x, line = d.normal(3, 4), d.normal(3, 1, 4, 1)
    for name in ("std", "var", "std_mean", "var_mean"):
        case(name, x, False)
        case(name, x, True)
    case("aminmax", d.apart(3, 4), dim=1)
    case("aminmax", d.apart(3, 4))
    for name in ("median", "nanmedian"):
        case(name, d.apart(3, 3))
        case(name, d.apart(3, 4), dim=1)
    for name in ("squeeze", "squeeze_"):
        for args in ((), (1,), ((1, 3),)):
            case(name, line, *args)
    case("t_", x)
    case("transpose_", x, 0, 1)
    case("unsqueeze_", x, 1)
    for name in ("split", "unsafe_split", "unsafe_split_with_sizes"):
        case(name, x, [1, 2] if name != "unsafe_split" else 2)
    case("block_diag", d.normal(2, 3), d.normal(4), d.normal())
    case("diag_embed", x, 1)
    case("rot90", x, 1, (0, 1))
    case("roll", x, 3)
    case("as_strided", x, (2, 2), (4, 1), 1)
    case("logsumexp", x, 1)
    case("cummax", d.apart(3, 4), 1)
    case("cummin", d.apart(3, 4), 1)
    case("scatter", x, 1, d.index(4, 3, 2), value=1.5)
    case("copy_", x, d.normal(4))
    case("fill_", x, d.normal())
    case("float_power", d.between(0.5, 2, 3, 4), 1.7)


def _drawn(d):
    for name, args in (
        ("normal_", ()),
        ("normal_", (0.5, 2.0)),
        ("uniform_", (-1.0, 2.0)),
        ("exponential_", (1.5,)),
        ("cauchy_", ()),
        ("geometric_", (0.3,)),
        ("log_normal_", ()),
        ("bernoulli_", (0.4,)),
        ("bernoulli_", (d.between(0.1, 0.9, 3, 4),)),
        ("random_", ()),
        ("random_", (7,)),
        ("random_", (2, 9)),
    ):
        args = [Fixed(a) if isinstance(a, np.ndarray) else a for a in args]
        case(name, d.normal(3, 4), *args)


def _attention(d):
    """Values as wide as queries, which torch has a kernel for."""
    q, k, v = d.normal(2, 1, 3, 2), d.normal(2, 1, 4, 2), d.normal(2, 1, 4, 2)
    case("nn.functional.scaled_dot_product_attention", q, k, v)
    case("nn.functional.scaled_dot_product_attention", q, k, v, Fixed(d.normal(3, 4)))
    case("nn.functional.scaled_dot_product_attention", q, k, v, d.mask(3, 4))
    case("nn.functional.scaled_dot_product_attention", q, k, v, is_causal=True)


for _make in (
    _elementwise,
    _reductions,
    _products,
    _shapes,
    _indexing,
    _losses,
    _sums_of_products,
    _layers,
    _other_forms,
    _drawn,
    _attention,
):
    _make(Draw(_make.__name__))
