"""Calls whose graphs PyTorch has drawn: see test_graph_oracle.py.

Every public op of the registry with the cases of its rule tests, as a function and in place; the calls of the
value tests; Python functions, losses and modules by hand.

A case is a label, a path below the module (or below Tensor), arguments and keywords; the same cases run on
both libraries. Labels that begin with "inplace " change an intermediate, "module " build a module and call
it.
"""

from __future__ import annotations

import warnings

import numpy as np

from pullback.checking import cases as rule_cases
from pullback.checking import value_cases
from pullback.checking.cases import Draw, Fixed, Strided
from pullback.primitives import registry

LEAF = "torch::autograd::AccumulateGrad"


# ---- the picture ----


def picture(node, nr=0):
    """The tree below a node in one line: names, edges in brackets, #k for outputs other than the first."""
    if node is None:
        return "-"
    tail = f"#{nr}" if nr else ""
    if node.name() == LEAF:
        return "leaf" + tail
    edges = ", ".join(picture(n, k) for n, k in node.next_functions)
    return f"{node.name()}{tail}({edges})" if edges else f"{node.name()}{tail}"


def nodes(tensors):
    """Every node of the graphs behind some tensors, each once, leaves left out."""
    found, stack = {}, [t.grad_fn for t in tensors]
    while stack:
        n = stack.pop()
        if n is None or n in found or n.name() == LEAF:
            continue
        found[n] = True
        stack.extend(e for e, _ in n.next_functions)
    return list(found)


def saved_value(value):
    """A saved value in JSON: tensors by their numbers, others as they are."""
    if hasattr(value, "numpy"):
        return {
            "tensor": np.round(value.detach().double().numpy(), 3).ravel().tolist(),
            "of": list(value.shape),
        }
    if isinstance(value, (list, tuple)):
        return [saved_value(v) for v in value]
    if isinstance(value, (bool, int, float, str, type(None))):
        return repr(value) if isinstance(value, float) and not np.isfinite(value) else value
    return str(value)


# ---- running ----


def numbers(draw, array):
    """Other numbers in an array's place, so that lists of cases may grow without changing this table."""
    if array.dtype.kind == "f":
        return draw.between(0.3, 0.9, *array.shape)
    if array.dtype.kind == "b":
        return (np.arange(array.size) % 2 == 0).reshape(array.shape)
    return np.zeros_like(array)


def convert(module, x, draw):
    """Arrays in a nest of arguments as tensors of the module; those of floats need a gradient."""
    if isinstance(x, Fixed):
        return module.tensor(numbers(draw, x.array))
    if isinstance(x, Strided):
        order = tuple(reversed(range(x.array.ndim)))
        t = module.tensor(np.ascontiguousarray(numbers(draw, x.array).transpose(order)))
        return t.permute(order).detach().requires_grad_()
    if isinstance(x, np.ndarray):
        t = module.tensor(numbers(draw, x))
        return t.requires_grad_() if x.dtype.kind == "f" else t
    if isinstance(x, (list, tuple)):
        return type(x)(convert(module, v, draw) for v in x)
    if isinstance(x, str) and x.startswith("float"):
        return getattr(module, x)
    return x


def resolve(module, path):
    """A function of the module, or else a method of its tensors, or else a function of nn.functional."""
    if "." in path or hasattr(module, path):
        return value_cases.resolve(module, path)
    return getattr(module.Tensor, path, None) or getattr(module.nn.functional, path)


def run(module, label, path, args, kwargs):
    """The output tensors of a case."""
    module.manual_seed(0)
    draw = Draw(label)
    args = convert(module, list(args), draw)
    kwargs = {k: convert(module, v, draw) for k, v in kwargs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if label.startswith("inplace "):
            changed = args[0] * 1
            resolve(module, path)(changed, *args[1:], **kwargs)
            out = changed
        elif label.startswith("module "):
            made, *args = args
            out = resolve(module, path)(*made, **kwargs).double()(*args)
        else:
            out = resolve(module, path)(*args, **kwargs)
    out = list(out) if isinstance(out, (tuple, list)) else [out]
    return [o for o in out if hasattr(o, "grad_fn")]


# ---- cases computed from the registry ----


def _arguments(op, case):
    """A rule case as positional and keyword arguments of the public function."""
    args, kwargs = [], {}
    for p, value in zip(op.signature.parameters, case, strict=False):
        if p.keyword_only:
            kwargs[p.name] = value
        else:
            args.append(value)
    return args, kwargs


def computed():
    """Every public op that can be differentiated, as function, method and in place."""
    lists = rule_cases.listed()
    for name, f in {**registry.methods, **registry.public}.items():
        if name.startswith("_"):
            continue
        for d in getattr(f, "declarations", ()):
            # Where a `reduction` is a number, torch's function is another one than nn.functional's.
            if not d.differentiable or any(p.name == "reduction" for p in d.signature.parameters):
                continue
            mark = "inplace " if name.endswith("_") else ""
            for k, case in enumerate((rule_cases.cases_of(d, lists) or ())[:4]):
                if mark and (k or not isinstance(case[0], np.ndarray)):
                    continue
                args, kwargs = _arguments(d, case)
                yield f"{mark}{name}/{d.name}:{k}", name, args, kwargs


# ---- cases by hand: what is written in Python ----


def _table(d):
    """path, arguments, keywords."""
    x, y, v, w = d.normal(3, 4), d.normal(3, 4), d.normal(4), d.normal(4)
    cube, square = d.normal(2, 3, 4), d.normal(3, 3)
    mask, index = d.mask(3, 4), np.array([2, 0])
    yield from _shape_table(d, x, cube, v)
    for path in "matmul inner".split():
        for a, b in ((v, w), (x, v), (x, d.normal(4, 2)), (cube, d.normal(4, 2)), (v, d.normal(2, 4, 3))):
            yield path, (a, b if path == "matmul" else (b if b.ndim == 1 else x)), {}
    yield "matmul", (x, cube.transpose(0, 2, 1)), {}
    yield "matmul", (cube, v), {}
    yield "matmul", (cube, cube.transpose(0, 2, 1)), {}
    yield "matmul", (d.normal(2, 1, 3, 4), d.normal(5, 4, 2)), {}
    yield "__matmul__", (x, d.normal(4, 2)), {}
    yield "__rmatmul__", (v, x), {}
    for path in "outer ger".split():
        yield path, (v, w), {}
    yield "tensordot", (x, cube), {"dims": ((0, 1), (1, 2))}
    yield "tensordot", (x, d.normal(4, 2)), {"dims": 1}
    yield "chain_matmul", (square, x, x.T), {}
    yield "linalg.multi_dot", ([square, x, x.T],), {}
    yield "linalg.multi_dot", ([square, x],), {}
    yield "linalg.vecdot", (x, y), {}
    yield "linalg.norm", (x,), {}
    yield "linalg.norm", (x,), {"ord": 3, "dim": 1}
    yield "linalg.diagonal", (cube,), {}
    yield "cross", (d.normal(2, 3), d.normal(2, 3)), {"dim": 1}
    yield "linalg.cross", (d.normal(2, 3), d.normal(2, 3)), {}
    for n in (-0, 1, 2, 3, 4, 5):
        yield "matrix_power", (square, n), {}
    for text, *operands in (
        ("ij,jk->ik", x, d.normal(4, 2)),
        ("ij->ji", x),
        ("ii->i", square),
        ("ii", square),
        ("ij->", x),
        ("ij,ij->i", x, y),
        ("i,j->ij", v, w),
        ("bij,bjk->bik", cube, d.normal(2, 4, 3)),
        ("ij,jk,kl->il", x, d.normal(4, 2), d.normal(2, 3)),
    ):
        yield "einsum", (text, *operands), {}
    yield "linear", (x, d.normal(2, 4)), {}
    yield "linear", (x, d.normal(2, 4), d.normal(2)), {}
    yield "linear", (cube, d.normal(2, 4), d.normal(2)), {}
    yield "linear", (cube, d.normal(2, 4)), {}
    yield "linear", (v, d.normal(2, 4), d.normal(2)), {}
    yield "nn.functional.bilinear", (x, y, d.normal(2, 4, 4), d.normal(2)), {}
    for name, parts in (
        ("addmm", (d.normal(2), x, d.normal(4, 2))),
        ("addmv", (d.normal(3), x, v)),
        ("addbmm", (d.normal(3, 2), cube, d.normal(2, 4, 2))),
        ("baddbmm", (d.normal(3, 2), cube, d.normal(2, 4, 2))),
        ("addr", (x, d.normal(3), v)),
    ):
        yield name, parts, {}
        yield name, parts, {"beta": 0.5, "alpha": 2.0}
    yield from _elementwise_table(x, y, v, mask, d)
    yield from _reduction_table(x, y, v, d)
    yield from _index_table(x, y, mask, index, d)
    yield from _loss_table(d)


def _shape_table(d, x, cube, v):
    for (
        name
    ) in "atleast_1d atleast_2d atleast_3d ravel flatten t fliplr flipud rot90 diag diag_embed".split():
        yield name, (x,), {}
    for name in "atleast_1d atleast_2d atleast_3d t ravel flatten diag".split():
        yield name, (v,), {}
    for name in "ravel flatten t".split():
        yield name, (Strided(x),), {}
    for name in "atleast_1d atleast_2d atleast_3d flatten ravel t".split():
        yield name, (d.normal(),), {}
    for k in range(4):
        yield "rot90", (x, k), {}
    for name in "T mT".split():
        yield f"Tensor.{name}.__get__", (x,), {}
    for name, n in (
        ("split", 2),
        ("split", (1, 2)),
        ("chunk", 2),
        ("tensor_split", 2),
        ("tensor_split", (1,)),
    ):
        yield name, (x, n), {}
    yield "split", (x, (1, 3), 1), {}
    yield "split_with_sizes", (x, (1, 2)), {}
    for name in "hsplit vsplit".split():
        yield name, (d.normal(4, 4), 2), {}
    yield "hsplit", (v, 2), {}
    yield "dsplit", (cube, 2), {}
    yield "unsafe_split", (x, 2), {}
    yield "unsafe_chunk", (x, 2), {}
    for dim in (0, 1, -1):
        yield "unbind", (x, dim), {}
        yield "stack", ([x, x], dim), {}
    for name in "vstack hstack row_stack column_stack dstack".split():
        yield name, ([x, x],), {}
        yield name, ([v, v],), {}
    yield "block_diag", (x, v), {}
    yield "narrow", (x, 1, 1, 2), {}
    for args in ((), (1,), ((0, 1),)):
        yield "squeeze", (d.normal(1, 1, 3), *args), {}
    yield "squeeze", (x,), {}
    yield "squeeze", (x, 0), {}
    yield "unflatten", (x, 1, (2, 2)), {}
    yield "movedim", (cube, 0, 2), {}
    yield "movedim", (cube, (0, 1), (2, 0)), {}
    yield "moveaxis", (cube, 0, 2), {}
    yield "swapaxes", (x, 0, 1), {}
    yield "swapdims", (x, 0, 1), {}
    yield "adjoint", (x,), {}
    yield "expand", (v, (3, 4)), {}
    yield "expand_as", (v, Fixed(x)), {}
    yield "view_as", (x, Fixed(d.normal(12))), {}
    yield "reshape_as", (x, Fixed(d.normal(12))), {}
    yield "reshape", (x, (12,)), {}
    yield "reshape", (x, (3, 4)), {}
    yield "reshape", (Strided(x), (12,)), {}
    yield "view", (x, 12), {}
    yield "view", (x, 3, 4), {}
    yield "broadcast_to", (v, (3, 4)), {}
    yield "broadcast_tensors", (x, v), {}
    yield "meshgrid", (v, v), {"indexing": "ij"}
    yield "tile", (x, (2, 1)), {}
    yield "repeat", (x, 2, 1), {}
    yield "roll", (x, 1), {}
    yield "roll", (x, 1, 1), {}
    yield "as_strided", (x, (2, 2), (1, 2)), {}
    yield "contiguous", (x,), {}
    yield "contiguous", (Strided(x),), {}
    yield "clone", (x,), {}
    yield "detach", (x,), {}
    for target in "float double".split():
        yield f"Tensor.{target}", (x,), {}
    yield "to", (x, "float32"), {}
    yield "to", (x, "float64"), {}
    yield "type_as", (x, Fixed(v)), {}
    yield "unfold", (x, 1, 2, 1), {}
    yield "permute", (cube, (2, 0, 1)), {}
    yield "transpose", (x, 0, 1), {}
    yield "diagonal", (x,), {}
    yield "cat", ([x, x], 1), {}
    yield "concat", ([x, x],), {}
    yield "cat", ([x, Fixed(x)],), {}
    yield "conj", (x,), {}
    yield "resolve_conj", (x,), {}
    yield "positive", (x,), {}


def _elementwise_table(x, y, v, mask, d):
    positive = d.between(0.5, 2, 3, 4)
    for op in "add sub mul truediv pow".split():
        for other in (y, 2, 0.5):
            base = positive if op == "pow" else x
            yield f"__{op}__", (base, other), {}
            yield f"__r{op}__", (base, 2.0), {}
    yield "__neg__", (x,), {}
    yield "__pos__", (x,), {}
    yield "__abs__", (x,), {}
    for other in (d.between(0.5, 2, 4), 0.7):
        yield "__floordiv__", (x, other), {}
        yield "__mod__", (x, other), {}
    yield "__rmod__", (positive, 2.0), {}
    for args in ((x, 2), (2.0, x), (positive, y), (positive, 0.5), (positive, 0), (positive, 1)):
        yield "pow", args, {}
    yield "float_power", (positive, 2), {}
    yield "float_power", (positive, y), {}
    yield "true_divide", (x, positive), {}
    yield "true_divide", (x, 2), {}
    yield "div", (x, positive), {"rounding_mode": "trunc"}
    yield "div", (x, 2.0), {"rounding_mode": "floor"}
    yield "where", (mask, x, y), {}
    yield "where", (mask, x, 0.0), {}
    yield "where", (mask, 0.0, x), {}
    yield "where", (mask, x, v), {}
    yield "masked_fill", (x, mask, 1.0), {}
    yield "masked_fill", (x, mask, d.normal()), {}
    for kwargs in ({"min": 0.1}, {"max": 0.1}, {"min": 0.1, "max": 0.5}, {"min": Fixed(v)}, {"max": v}):
        yield "clamp", (x,), kwargs
    yield "lerp", (x, y, 0.3), {}
    yield "diff", (x,), {}
    yield "trapezoid", (x,), {}
    yield "trapezoid", (x, y), {}
    yield "trapezoid", (x,), {"dx": 0.5}
    yield "vander", (v, 3), {}
    for name in """
        relu relu6 sigmoid tanh leaky_relu elu celu selu gelu silu mish softplus softsign logsigmoid hardtanh
        hardsigmoid hardswish hardshrink softshrink tanhshrink glu rrelu
    """.split():
        yield f"nn.functional.{name}", (x,), {}
    yield "nn.functional.gelu", (x,), {"approximate": "tanh"}
    yield "nn.functional.threshold", (x, 0.1, 0.2), {}
    yield "nn.functional.prelu", (x, np.array([0.2])), {}
    yield "prelu", (x, v), {}
    yield "nn.functional.rrelu", (x,), {"training": True}
    for name in "softmax log_softmax softmin".split():
        yield f"nn.functional.{name}", (x,), {"dim": 1}
        yield f"nn.functional.{name}", (x,), {"dim": 1, "dtype": "float32"}
    yield "softmax", (x, 1), {}
    yield "log_softmax", (x, 0), {}
    for name in "dropout alpha_dropout feature_alpha_dropout dropout1d".split():
        yield f"nn.functional.{name}", (d.normal(2, 3, 4), 0.5), {"training": True}
        yield f"nn.functional.{name}", (d.normal(2, 3, 4), 0.5), {"training": False}
    for name in "dropout2d dropout3d".split():
        yield (
            f"nn.functional.{name}",
            (
                d.normal(2, 3, 4, 2, 2)[
                    ..., : 3 if name == "dropout3d" else 1, 0 if name == "dropout2d" else slice(None)
                ],
                0.5,
            ),
            {"training": True},
        )
    for name in "exp tanh".split():
        yield f"Tensor.{name}", (Strided(x),), {}


def _reduction_table(x, y, v, d):
    for name in "sum mean prod std var median nanmedian nanmean nansum amax norm all".split():
        yield name, (x,), {}
    for (
        name
    ) in "sum mean prod std var median nanmedian nanmean amax logsumexp norm std_mean var_mean".split():
        yield name, (x,), {"dim": 1}
        yield name, (x,), {"dim": -1, "keepdim": True}
    for name in "sum mean std var amax aminmax".split():
        yield name, (d.normal(),), {}
    yield "sum", (x,), {"dtype": "float32"}
    yield "mean", (x, (0, 1)), {}
    yield "aminmax", (x,), {}
    yield "aminmax", (x,), {"dim": 1}
    for p in (1, 2, 3, float("inf"), "fro", 0):
        yield "norm", (x, p), {}
    yield "norm", (x, 2, 1), {}
    yield "norm", (x, 2, (0, 1), True), {}
    yield "linalg.vector_norm", (x, 3, 1), {}
    yield "dist", (x, y), {}
    for name in "max min".split():
        yield name, (x,), {}
        yield name, (x, 1), {}
        yield name, (x, y), {}
    yield "cumsum", (x, 1), {}
    yield "topk", (v, 2), {}
    yield "sort", (x,), {}
    yield "sort", (x,), {"stable": True, "dim": 0}


def _index_table(x, y, mask, index, d):
    for key in (
        1,
        (1, 2),
        slice(None),
        slice(1, 3),
        (slice(None), slice(None)),
        (slice(1, 3), 2),
        (slice(None), slice(0, 4, 2)),
        Ellipsis,
        None,
        (None, Ellipsis),
        (Ellipsis, 0),
        (),
        index,
        (slice(None), index),
        (index, index),
        (index, 1),
        (1, index),
        (None, index),
        mask,
        (slice(0, 2), index),
        [0, 2],
        True,
        (index, slice(1, 3)),
        (slice(None), None, index),
    ):
        yield "__getitem__", (x, key), {}
    for key, value in (
        (1, 2.0),
        (1, d.normal(4)),
        (slice(1, 3), 0.0),
        (slice(None), y),
        (Ellipsis, y),
        ((1, 2), 3.0),
        (index, 1.0),
        (index, d.normal(2, 4)),
        (mask, 0.0),
        (mask, d.normal()),
        ((slice(None), index), d.normal(3, 2)),
        ((slice(0, 2), index), 1.0),
        ((), 1.0),
    ):
        yield "inplace __setitem__", (x, key, value), {}
    yield "index_put", (x, (index, index), d.normal(2)), {}
    yield "inplace index_put_", (x, (index, index), d.normal(2)), {}
    yield "take_along_dim", (x, np.array([[1, 0], [2, 3], [0, 0]]), 1), {}
    yield "masked_select", (x, mask), {}
    yield "masked_select", (x, mask[0]), {}
    yield "repeat_interleave", (x, 2), {}
    yield "repeat_interleave", (x, 2, 1), {}
    yield "nn.functional.embedding", (np.array([1, 0]), x), {}
    yield "nn.functional.embedding", (np.array([1, 0]), x), {"padding_idx": 1}
    yield "nn.functional.embedding", (np.array([1, 0]), x), {"max_norm": 0.5}
    yield "inplace copy_", (x, y), {}
    yield "inplace copy_", (x, Fixed(y)), {}
    yield "inplace fill_", (x, 1.0), {}
    yield "inplace fill_", (x, d.normal()), {}
    yield "inplace zero_", (x,), {}
    for name, args in (("pow_", (2,)), ("pow_", (y,)), ("true_divide_", (2.0,)), ("detach_", ())):
        yield f"inplace {name}", (d.between(0.5, 2, 3, 4), *args), {}
    for name, args in (
        ("normal_", ()),
        ("uniform_", ()),
        ("bernoulli_", (0.5,)),
        ("exponential_", ()),
        ("cauchy_", ()),
        ("geometric_", (0.5,)),
        ("log_normal_", ()),
        ("random_", ()),
    ):
        yield f"inplace {name}", (x, *args), {}
    for name, args in (
        ("unsqueeze_", (0,)),
        ("squeeze_", ()),
        ("squeeze_", (0,)),
        ("transpose_", (0, 1)),
        ("t_", ()),
        ("swapaxes_", (0, 1)),
        ("swapdims_", (0, 1)),
        ("resize_", (4, 3)),
        ("tril_", ()),
        ("triu_", ()),
        ("as_strided_", ((2, 2), (1, 2))),
        ("requires_grad_", ()),
    ):
        yield f"inplace {name}", (x, *args), {}


def _loss_table(d):
    x, y, classes, logits = d.normal(6, 7), d.normal(6, 7), d.index(7, 6), d.normal(6, 7)
    unit, target, weight = (
        d.between(0.1, 0.9, 6, 7),
        Fixed(d.between(0, 1, 6, 7)),
        Fixed(d.between(0.5, 2, 7)),
    )
    images, pixels = d.normal(2, 3, 4, 5), d.index(3, 2, 4, 5)
    for reduction in ("none", "mean", "sum"):
        r = {"reduction": reduction}
        for name in "mse_loss l1_loss smooth_l1_loss huber_loss".split():
            yield f"nn.functional.{name}", (x, y), r
            yield f"nn.functional.{name}", (x, Fixed(y)), r
        yield "nn.functional.l1_loss", (Fixed(y), x), r
        yield "nn.functional.smooth_l1_loss", (x, y), {"beta": 0.0, **r}
        for w in (None, weight):
            yield "nn.functional.nll_loss", (logits, classes), {"weight": w, **r}
            yield "nn.functional.cross_entropy", (logits, classes), {"weight": w, **r}
            yield "nn.functional.cross_entropy", (logits, target), {"weight": w, **r}
            yield "nn.functional.cross_entropy", (logits, classes), {"weight": w, "label_smoothing": 0.1, **r}
            yield "nn.functional.binary_cross_entropy", (unit, target), {"weight": w, **r}
            yield "nn.functional.binary_cross_entropy_with_logits", (x, target), {"weight": w, **r}
        yield "nn.functional.cross_entropy", (logits, unit), r
        yield "nn.functional.nll_loss", (images, pixels), r
        yield "nn.functional.cross_entropy", (images, pixels), r
        yield "nn.functional.cross_entropy", (d.normal(3), np.array(1)), r
        yield "nn.functional.cross_entropy", (d.normal(2, 3, 4), d.index(3, 2, 4)), r
        yield "nn.functional.binary_cross_entropy", (unit, unit), r
        yield "nn.functional.binary_cross_entropy_with_logits", (x, unit), r
        yield "nn.functional.binary_cross_entropy_with_logits", (x, target), {"pos_weight": weight, **r}
        yield "nn.functional.kl_div", (x, target), r
        yield "nn.functional.kl_div", (x, unit), r
        yield "nn.functional.kl_div", (x, y), {"log_target": True, **r}
        for full in (False, True):
            yield "nn.functional.poisson_nll_loss", (x, target), {"full": full, **r}
            yield "nn.functional.poisson_nll_loss", (x, target), {"log_input": False, "full": full, **r}
            yield "nn.functional.gaussian_nll_loss", (x, y, unit), {"full": full, **r}
        yield "nn.functional.huber_loss", (x, y), {"delta": 0.5, **r}
    yield "nn.functional.kl_div", (x, target), {"reduction": "batchmean"}


def modules():
    """Modules, made and called: (arguments of the class, inputs)."""
    d = Draw("modules")
    x, unit, classes = d.normal(3, 4), d.between(0.1, 0.9, 3, 4), d.index(4, 3)
    for name in """
        ReLU SELU SiLU Mish Hardsigmoid Hardswish Sigmoid Tanh LogSigmoid Softsign Tanhshrink LeakyReLU ELU
        CELU GELU Softplus Hardtanh ReLU6 Hardshrink Softshrink PReLU RReLU GLU Identity Flatten Dropout
        AlphaDropout
    """.split():
        yield name, (), (x,)
    for name in "Softmax Softmin LogSoftmax".split():
        yield name, (1,), (x,)
    yield "Threshold", (0.1, 0.2), (x,)
    yield "Softmax2d", (), (d.normal(2, 3, 2, 2),)
    yield "Linear", (4, 2), (x,)
    yield "Linear", (4, 2, False), (x,)
    yield "Linear", (4, 2), (d.normal(2, 3, 4),)
    yield "Bilinear", (4, 4, 2), (x, x)
    yield "Unflatten", (1, (2, 2)), (x,)
    for name in "Dropout1d Dropout2d Dropout3d FeatureAlphaDropout".split():
        yield name, (), (d.normal(*(2, 3, 2, 2, 2)[: {"Dropout1d": 3, "Dropout2d": 4}.get(name, 5)]),)
    for name in "L1Loss MSELoss SmoothL1Loss HuberLoss KLDivLoss PoissonNLLLoss BCEWithLogitsLoss".split():
        yield name, (), (x, Fixed(unit))
    yield "BCELoss", (), (unit, Fixed(unit))
    yield "NLLLoss", (), (x, classes)
    yield "CrossEntropyLoss", (), (x, classes)
    yield "GaussianNLLLoss", (), (x, Fixed(x), unit)


def all_cases():
    """Every case, with a label of its own."""
    found = list(computed())
    for label, path, args, kwargs in value_cases.CASES:
        if not any(s in label for s in ("(5000", "(1000")):
            found.append((f"value {label}", path, args, kwargs))
    seen: dict[str, int] = {}
    for path, args, kwargs in _table(Draw("graph")):
        seen[path] = seen.get(path, 0) + 1
        found.append((f"{path}#{seen[path]}", path.rpartition(" ")[2], args, kwargs))
    for name, made, inputs in modules():
        seen[name] = seen.get(name, 0) + 1
        found.append((f"module {name}#{seen[name]}", f"nn.{name}", (made, *inputs), {}))
    return found
