"""In-place changes of tensors in every position: which of them PyTorch refuses, and the others' gradients.

A case is a method and a form: how the tensor that changes lies in the graph. See test_inplace_oracle.py.
"tracked" methods take another tensor that needs a gradient too.
"""

from __future__ import annotations

import warnings

import numpy as np

SHAPE = (4, 4)
START = np.random.RandomState(7).uniform(0.3, 0.9, SHAPE)
WEIGHTS = np.random.RandomState(8).uniform(0.5, 1.5, SHAPE)

# ---- methods: what is called with, for a tensor of two axes ----

UNARY = """
    abs absolute acos asin atan ceil cos cosh cumprod:0 cumsum:0 deg2rad digamma erf erfc exp exp2 expm1 floor
    frac lgamma log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu round rsqrt sgn
    sigmoid sign sin sinc sinh sqrt square tan tanh tril triu trunc zero detach squeeze t logical_not
    arccos arcsin arcsinh arctan arctanh asinh atanh fix erfinv renorm:201
"""
BY_NUMBER = """
    add:2 sub:2 subtract:2 mul:2 multiply:2 div:2 divide:2 true_divide:2 floor_divide:2 remainder:0.4 fmod:0.4
    pow:3 pow:2 pow:0.5 clamp:0.4 clamp_min:0.4 clamp_max:0.6 clip:0.4 copysign:-1.0 fill:2 unsqueeze:0
    eq:0.5 ne:0.5 lt:0.5 le:0.5 gt:0.5 ge:0.5
    not_equal:0.5 less:0.5 less_equal:0.5 greater:0.5 greater_equal:0.5
"""
BY_TENSOR = """
    add sub mul div pow atan2 arctan2 hypot xlogy copysign fmod remainder copy lerp addcmul addcdiv heaviside
    logical_and logical_or logical_xor clamp_min clamp_max
"""
RANDOM = "normal uniform bernoulli exponential cauchy geometric:0.5 log_normal random"
INDEXED = """
    index_add index_copy index_fill index_put masked_fill masked_scatter put scatter scatter_add
    scatter_reduce transpose swapaxes setitem setitem_mask
"""


def _number(name, number):
    value = float(number) if "." in number else int(number)
    return lambda m, t, other: getattr(t, name + "_")(value)


def _unary(name, argument):
    return lambda m, t, other: getattr(t, name + "_")(*(int(a) for a in argument if a))


def _by_tensor(name):
    def change(m, t, other):
        o = other(t)
        more = {"lerp": (0.3,), "addcmul": (o,), "addcdiv": (o,)}.get(name, ())
        return getattr(t, name + "_")(o, *more)

    return change


def _indexed(name):
    def change(m, t, other):
        n, width = t.shape
        rows, o = m.tensor([n - 1]), other(t)
        grid = m.zeros(1, width, dtype=m.int64)
        mask = m.tensor([k % 2 == 0 for k in range(width)]).expand(t.shape)
        calls = {
            "index_add": lambda: t.index_add_(0, rows, o[:1]),
            "index_copy": lambda: t.index_copy_(0, rows, o[:1]),
            "index_fill": lambda: t.index_fill_(0, rows, 2.0),
            "index_put": lambda: t.index_put_((rows,), o[0]),
            "masked_fill": lambda: t.masked_fill_(mask, 2.0),
            "masked_scatter": lambda: t.masked_scatter_(mask, o),
            "put": lambda: t.put_(m.tensor([0]), o[0, :1]),
            "scatter": lambda: t.scatter_(0, grid, o),
            "scatter_add": lambda: t.scatter_add_(0, grid, o),
            "scatter_reduce": lambda: t.scatter_reduce_(0, grid, o, "amax"),
            "transpose": lambda: t.transpose_(0, 1),
            "swapaxes": lambda: t.swapaxes_(0, 1),
            "setitem": lambda: t.__setitem__(0, o[0]),
            "setitem_mask": lambda: t.__setitem__(mask, 2.0),
        }
        return calls[name]()

    return change


def _methods():
    found = {}
    for text in UNARY.split() + RANDOM.split():
        name, _, argument = text.partition(":")
        found[text] = _number(name, argument) if "." in argument else _unary(name, argument)
    for text in BY_NUMBER.split():
        found[text] = _number(*text.split(":"))
    for name in BY_TENSOR.split():
        found[f"{name}:tensor"] = _by_tensor(name)
    for name in INDEXED.split():
        found[name] = _indexed(name)
    return found


METHODS = _methods()

# ---- forms: functions of (module, leaf, change) that give the tensors to differentiate ----


def leaf(m, x, change):
    change(x)
    return x


def leaf_without_grad(m, x, change):
    with m.no_grad():
        change(x)
    return x * 2


def view_of_leaf(m, x, change):
    v = x[1:]
    change(v)
    return x * 2


def view_of_leaf_without_grad(m, x, change):
    with m.no_grad():
        change(x[1:])
    return x * 2


def view_made_with_grad_changed_without(m, x, change):
    v = x[1:]
    with m.no_grad():
        change(v)
    return v * 2


def detached_leaf(m, x, change):
    change(x.detach())
    return x * 2


def detached_saved_leaf(m, x, change):
    z = x * x
    change(x.detach())
    return z


def data_of_saved_leaf(m, x, change):
    z = x * x
    change(x.data)
    return z


def saved_leaf_without_grad(m, x, change):
    z = x * x
    with m.no_grad():
        change(x)
    return z


def intermediate(m, x, change):
    y = x * 1
    change(y)
    return y


def intermediate_used_before_and_after(m, x, change):
    y = x * 1
    z = y + 1
    change(y)
    return z, y


def view_of_intermediate(m, x, change):
    y = x * 1
    change(y[1:])
    return y


def the_view_itself(m, x, change):
    y = x * 1
    v = y[1:]
    change(v)
    return v, y


def base_then_view(m, x, change):
    y = x * 1
    v = y[1:]
    change(y)
    return v


def other_view(m, x, change):
    y = x * 1
    v, w = y[1:], y[:3]
    change(v)
    return w, v


def chain_of_views(m, x, change):
    y = x * 1
    v = y[1:]
    w = v.t()[1:]
    change(w)
    return v, y, w


def strided_view(m, x, change):
    y = x * 1
    change(y[:, ::2])
    return y


def transposed(m, x, change):
    y = x * 1
    change(y.t())
    return y


def saved_operand(m, x, change):
    y = x * 1
    z = y * y
    change(y)
    return z


def saved_by_division(m, x, change):
    y = x * 1
    z = y / 2
    change(y)
    return z


def dividend(m, x, change):
    y = x * 1
    z = y / (x + 1)
    change(y)
    return z


def divisor(m, x, change):
    y = x * 1
    z = (x + 1) / y
    change(y)
    return z


def quotient(m, x, change):
    z = x / (x + 1)
    change(z)
    return z


def part_of_quotient(m, x, change):
    z = x / (x + 1)
    change(z[1:])
    return z


def divided_in_place(m, x, change):
    z = (x * 1).div_(x + 1)
    change(z)
    return z


def saved_sum(m, x, change):
    y = x * 1
    z = y.sum()
    change(y)
    return z


def saved_result(m, x, change):
    z = x.exp()
    change(z)
    return z


def saved_view(m, x, change):
    y = x * 1
    v = y[1:]
    z = v * v
    change(y)
    return z


def view_of_saved(m, x, change):
    y = x * 1
    z = y * y
    change(y[1:])
    return z


def saved_view_changed(m, x, change):
    y = x * 1
    v = y[1:]
    z = v * v
    change(v)
    return z


def saved_without_grad(m, x, change):
    y = x * 1
    z = y * y
    with m.no_grad():
        change(y)
    return z


def detached_saved(m, x, change):
    y = x * 1
    z = y * y
    change(y.detach())
    return z


def detached_intermediate(m, x, change):
    y = x * 1
    change(y.detach())
    return y


def plain_saved(m, x, change):
    p = m.ones(4, 4, dtype=m.float64) * 0.5
    z = x * p
    change(p)
    return z


def plain_then_used(m, x, change):
    p = m.ones(4, 4, dtype=m.float64) * 0.5
    change(p)
    return x * p


def view_of_plain(m, x, change):
    p = m.ones(4, 4, dtype=m.float64) * 0.5
    change(p[1:])
    return x * p


def unbound(m, x, change):
    y = (x * 1).view(2, 2, 4)
    change(y.unbind(0)[1])
    return y


def split_part(m, x, change):
    y = x * 1
    change(y.split(2)[1])
    return y


def chunk_part(m, x, change):
    y = x * 1
    change(y.chunk(2, 1)[0])
    return y


def view_of_split_part(m, x, change):
    y = x * 1
    change(y.split(2)[0][:1])
    return y


def split_part_of_plain(m, x, change):
    p = m.ones(4, 4, dtype=m.float64) * 0.5
    change(p.split(2)[0])
    return x * p


def split_part_without_grad(m, x, change):
    y = x * 1
    a = y.split(2)[0]
    with m.no_grad():
        change(a)
    return y


def base_of_split_parts(m, x, change):
    y = x * 1
    a = y.split(2)[0]
    change(y)
    return y, a


def view_made_without_grad(m, x, change):
    y = x * 1
    with m.no_grad():
        v = y[1:]
    change(v)
    return y


def view_made_and_changed_without_grad(m, x, change):
    y = x * 1
    with m.no_grad():
        change(y[1:])
    return y


def view_of_plain_made_without_grad(m, x, change):
    p = m.ones(4, 4, dtype=m.float64) * 0.5
    with m.no_grad():
        v = p[1:]
    change(v)
    return x * p


def base_of_view_made_without_grad(m, x, change):
    y = x * 1
    with m.no_grad():
        v = y[1:]
    change(y)
    return y, v * x[1:]


def expanded(m, x, change):
    y = (x[:1] * 1).expand(4, 4)
    change(y)
    return y


def base_of_expanded(m, x, change):
    y = x[:1] * 1
    e = y.expand(4, 4)
    change(y)
    return e


def expanded_plain(m, x, change):
    p = (m.ones(1, 4, dtype=m.float64) * 0.5).expand(4, 4)
    change(p)
    return x * p


def diagonal(m, x, change):
    y = x * 1
    change(y.diagonal()[None])
    return y


FORMS = [
    f
    for f in list(globals().values())
    if callable(f) and getattr(f, "__module__", None) == __name__ and not f.__name__.startswith("_")
]

# ---- running ----


def constant(m):
    return lambda t: m.tensor(WEIGHTS[: t.shape[0], : t.shape[1]] * 0.5)


def tracked(m, w):
    return lambda t: w[: t.shape[0], : t.shape[1]]


def loss_of(m, out):
    """One number that depends on every element of the outputs, each in its own way."""
    total = 0.0
    for k, t in enumerate(out if isinstance(out, tuple) else (out,)):
        n = max(t.numel(), 1)
        weights = m.tensor(np.resize(WEIGHTS.ravel() + k, n)).reshape(tuple(t.shape))
        total = total + (t * weights).sum()
    return total


def prepare(m, form, method, start, weights):
    """The loss of a case as a function without arguments, and its leaves."""
    x = m.tensor(start, dtype=m.float64, requires_grad=True)
    leaves, other = [x], constant(m)
    if method.endswith(" tracked"):
        leaves.append(m.tensor(weights, dtype=m.float64, requires_grad=True))
        other = tracked(m, leaves[1])
    change = METHODS[method.removesuffix(" tracked")]

    def loss():
        m.manual_seed(3)
        return loss_of(m, form(m, x, lambda t: change(m, t, other)))

    return loss, leaves


def attempt(m, form, method):
    """(where it ended, what came out): an error, or the leaves' gradients."""
    run, leaves = prepare(m, form, method, START, WEIGHTS * 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loss = run()
        except (RuntimeError, IndexError, TypeError) as e:
            return "change", e
        if not loss.requires_grad:
            return "no graph", None
        try:
            grads = m.autograd.grad(loss, leaves, allow_unused=True)
        except RuntimeError as e:
            return "backward", e
    return "gradient", [None if g is None else (g + 0).ravel().tolist() for g in grads]


def numeric(m, form, method, step=1e-6):
    """The gradients of attempt() by central differences."""
    points = [START, WEIGHTS * 0.5][: 1 + method.endswith(" tracked")]
    out = []
    for k, point in enumerate(points):
        gradient = []
        for at in np.ndindex(point.shape):
            ends = []
            for sign in (1, -1):
                moved = [p.copy() for p in (START, WEIGHTS * 0.5)]
                moved[k][at] += sign * step
                ends.append(prepare(m, form, method, *moved)[0]().item())
            gradient.append((ends[0] - ends[1]) / (2 * step))
        out.append(gradient)
    return out


def all_cases():
    for form in FORMS:
        for method in METHODS:
            yield form, method
    for form in FORMS:
        for method in ("add:tensor", "mul:tensor", "copy:tensor", "index_add", "setitem", "scatter_add"):
            yield form, f"{method} tracked"
