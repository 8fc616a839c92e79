"""Arguments to check the rules of every differentiable op with: one list for each op of the registry.

A case is the op's arguments in the order of its signature. NumPy arrays of floats become tensors that need a
gradient, unless they are wrapped in Fixed; other arrays become plain tensors. Elementwise ops have no list:
their cases come from their declarations. An op without a list is a failing test.

The numbers of `torch_errors.json` and of the tests' oracle are those of these cases: write both anew with
tests/oracles/export_ops.py after a change.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

REQUIRED = object()


@dataclass
class Fixed:
    """An array that needs no gradient."""

    array: np.ndarray


@dataclass
class Strided:
    """An array whose tensor has its axes in memory in reverse order."""

    array: np.ndarray


class Draw:
    """Reproducible numbers: the same on every machine for one op."""

    def __init__(self, name):
        self.random = np.random.RandomState(zlib.crc32(name.encode()))

    def normal(self, *shape):
        return np.asarray(self.random.randn(*shape))

    def apart(self, *shape):
        """Numbers no two of which are near each other, nor near zero: for maxima and sorting."""
        n = int(np.prod(shape))
        x = (self.random.permutation(n) - n // 2 + 0.5) / 2 + self.random.uniform(-0.05, 0.05, n)
        return x.reshape(shape)

    def between(self, low, high, *shape, away=()):
        x = self.random.uniform(low, high, shape)
        for point in away:
            near = np.abs(x - point) < 0.1
            x = np.where(near, point + np.copysign(0.1, x - point), x)
        return np.asarray(x, dtype=np.float64)

    def index(self, n, *shape):
        return self.random.randint(0, n, shape)

    def mask(self, *shape):
        return self.random.rand(*shape) < 0.5


# ---- elementwise: shapes from here, numbers from the declaration ----

SHAPES = {
    1: ("", "3", "2,3", "0"),
    2: ("3|3", "3,1|4", "2,3|", "|2", "1|0"),
    3: ("3|3|3", "2,1|3|2,3", "3||3"),
}


def elementwise(op):
    """Cases of an op that works element by element, several shapes and a strided one."""
    draw = Draw(op.name)
    low, high, away = -2.0, 2.0, ()
    if op.samples is not None:
        low, high, away = op.samples.low, op.samples.high, op.samples.away
    kinds = [p.kind for p in op.signature.parameters]
    count = sum(k in ("Tensor", "Operand") for k in kinds)
    layouts = [[tuple(int(n) for n in s.split(",") if n) for s in text.split("|")] for text in SHAPES[count]]
    cases = []
    for shapes in layouts:
        shapes = iter(shapes)
        cases.append([_argument(p, draw, next(shapes, ()), low, high, away) for p in op.signature.parameters])
    cases.append([_argument(p, draw, (3, 4), low, high, away, Strided) for p in op.signature.parameters])
    return cases


def _argument(p, draw, shape, low, high, away, wrap=lambda x: x):
    if p.name == "condition":
        return draw.mask(*shape)
    if p.kind == "Scalar":
        return 1.5
    if p.kind == "dtype":
        return "float32"
    if p.kind not in ("Tensor", "Operand"):
        return p.default
    return wrap(draw.between(low, high, *shape, away=away))


# ---- the others ----


def _reductions(d, name, apart=False):
    make = d.apart if apart else d.normal
    return {
        "sum": [[make(3, 4), dim, keep, None] for dim in ((), (0,), (1,), (0, 1)) for keep in (False, True)]
        + [
            [make(), (), False, None],
            [Strided(make(3, 4)), (0,), False, None],
            [make(0, 3), (0,), False, None],
        ],
        "dims": [[make(3, 4), dim, keep] for dim in ((), (0,), (-1,)) for keep in (False, True)]
        + [[make(), (), False], [Strided(make(3, 4)), (1,), False], [make(2, 3, 2), (0, 2), True]],
        "dim": [[make(3, 4), dim, keep] for dim in (0, -1) for keep in (False, True)]
        + [[make(), 0, False], [Strided(make(3, 4)), 1, False], [make(2, 3, 2), 1, True]],
        "all": [[make(3, 4)], [make()], [Strided(make(3, 4))], [make(1)]],
    }[name]


def _along(d, apart=False):
    make = d.apart if apart else d.normal
    return [
        [make(5), 0],
        [make(3, 4), 0],
        [make(3, 4), 1],
        [make(), 0],
        [Strided(make(3, 4)), -1],
        [make(2, 0), 1],
    ]


def _views(d):
    x = d.normal
    return {
        "alias": [[x(2, 3)], [x()], [Strided(x(2, 3))]],
        "expand": [[x(3, 1), (3, 4)], [x(1), (2, 5)], [x(), (2,)], [x(3), (0, 3)]],
        "view": [[x(2, 6), (3, 4)], [x(), (1, 1)], [x(0, 2), (2, 0)]],
        "reshape": [[x(2, 6), (3, -1)], [Strided(x(2, 6)), (12,)], [x(), (1,)]],
        "permute": [[x(2, 3, 4), (2, 0, 1)], [Strided(x(2, 3)), (1, 0)], [x(), ()]],
        "transpose": [[x(2, 3, 4), 0, -1], [Strided(x(2, 3)), 0, 1], [x(0, 2), 0, 1]],
        "squeeze": [[x(1, 3, 1), (0, 2)], [x(2, 1), (1,)], [x(2), ()]],
        "squeeze_in_place": [[x(1, 3, 1), (0,)]],
        "squeeze_all_in_place": [[x(1, 3, 1), (0, 2)]],
        "unsqueeze_in_place": [[x(3), 0], [Strided(x(2, 3)), -1]],
        "transpose_in_place": [[x(2, 3, 4), 0, -1]],
        "t_in_place": [[x(2, 3), 0, 1]],
        "reshape_alias": [[x(2, 6), (3, 4)]],
        "squeeze_several_in_place": [[x(1, 3, 1), (0, 2)]],
        "squeeze_all": [[x(1, 3, 1), (0, 2)], [x(2), ()]],
        "squeeze_several": [[x(1, 3, 1), (0, 2)]],
        "unsqueeze": [[x(3), 0], [x(3), -1], [x(), 0], [Strided(x(2, 3)), 1]],
        "select": [[x(3, 4), 0, 1], [x(3, 4), -1, -1], [Strided(x(2, 3)), 1, 0]],
        "slice": [
            [x(5, 2), 0, 1, 4, 2],
            [x(3, 4), 1, 0, 4, 1],
            [x(3), 0, 2, 2, 1],
            [Strided(x(4, 3)), 1, 1, 3, 1],
        ],
        "diagonal": [[x(3, 4), 0, 0, 1], [x(3, 4), 1, 0, 1], [x(2, 3, 4), -1, 0, 2]],
        "unfold": [[x(7), 0, 3, 2], [x(2, 5), 1, 2, 1]],
        "as_strided_in_place": [[x(3, 4), (2, 2), (4, 1), 1]],
        "as_strided_of_base": [[x(3, 4), (2, 2), (4, 1), 1], [x(6), (4, 3), (1, 1), 0]],
        "t2": [[x(3)], [x(2, 3)], [Strided(x(2, 3))]],
        "contiguous": [[x(2, 3)], [Strided(x(2, 3))]],
        "unsafe_view": [[x(2, 6), (3, 4)]],
        "select_backward": [[x(4), (3, 4), 0, 1]],
        "slice_backward": [[x(2, 3), (5, 3), 0, 1, 4, 2], [x(0, 3), (5, 3), 0, 2, 2, 1]],
        "diagonal_backward": [[x(3), (3, 4), 0, 0, 1], [x(3), (3, 4), 1, 0, 1]],
        "unfold_backward": [[x(3, 3), (7,), 0, 3, 2]],
        "as_strided_take": [[x(3, 4), (1, 3), (2, 2), (3, 1), 1], [x(3, 4), (4, 1), (2, 2), (4, 1), 1]],
        "as_strided_backward": [[x(2, 2), (3, 4), (4, 1), (2, 2), (4, 1), 1]],
        "copy_slices": [[x(3, 4), x(2, 2), (2, 2), (4, 1), 1]],
        "zero_slices": [[x(3, 4), (4, 1), (2, 2), (4, 1), 1]],
        "flip": [[x(3, 4), (0,)], [x(3, 4), (0, 1)], [Strided(x(3, 4)), (1,)]],
        "roll": [[x(5), (2,), (0,)], [x(3, 4), (1, -1), (0, 1)]],
        "roll_flat": [[x(5), (2,)], [x(3, 4), (-1,)]],
        "rot90": [[x(2, 3), k, (0, 1)] for k in range(4)],
        "diag_embed": [[x(3), (4, 4), 1, 0, 1], [x(2, 3), (2, 3, 3), 0, 1, 2]],
        "diagonal_copy": [[x(3, 4), 0, 0, 1], [x(3, 4), -1, 0, 1]],
        "block_diag": [[[x(2, 3), x(4), x()]]],
        "unsafe_split_even": [[x(5, 2), (2, 2, 1), 0]],
        "unsafe_split_sizes": [[x(5, 2), (1, 4), 0]],
        "tril": [[x(4, 4), 0], [x(2, 3, 4), 1], [Strided(x(3, 4)), -1]],
        "triu": [[x(4, 4), 0], [x(2, 3, 4), 1], [Strided(x(3, 4)), -1]],
        "repeat": [[x(3), (2,)], [x(2, 3), (2, 1, 3)], [x(), (3,)]],
        "cat": [[[x(2, 3), x(1, 3)], 0], [[x(2, 3), x(2, 2), x(2, 0)], 1], [[x(0), x(3)], 0]],
        "stack": [[[x(2, 3), x(2, 3)], 0], [[x(3), x(3)], -1], [[x(), x()], 0]],
        "split_even": [[x(5, 2), (2, 2, 1), 0], [Strided(x(3, 4)), (2, 2), 1]],
        "split_sizes": [[x(5, 2), (1, 4), 0], [x(3), (0, 3), 0]],
        "unbind": [[x(3, 2), 3, 0], [x(2, 3), 3, 1]],
        "full_like_scalar": [[Fixed(x(2)), 1.5]],
        "zeroth_power": [[x(2), 1.0]],
    }


def _norms(d):
    x, weight, bias = d.normal(3, 4, 2), d.normal(4), d.normal(4)
    statistics = d.normal(4), d.between(0.5, 2, 4)
    return {
        "layer_norm": [
            [x, 1, d.normal(2), d.normal(2), 0.1],
            [x, 2, None, None, 1e-5],
            [Strided(d.normal(3, 4)), 1, weight, None, 0.1],
        ],
        "group_norm": [[x, 2, weight, bias, 0.1], [x, 1, None, None, 1e-5]],
        "batch_norm_train": [[x, weight, bias, 0.1], [d.normal(3, 4), None, None, 1e-5]],
        "batch_norm_eval": [
            [x, *statistics, weight, bias, 0.1],
            [d.normal(3, 4), *statistics, None, None, 0.1],
        ],
    }


def _attention(d):
    q, k, v = d.normal(2, 1, 3, 2), d.normal(2, 1, 4, 2), d.normal(2, 1, 4, 3)
    seen = d.mask(3, 4)
    seen[1] = False
    return [
        [q, k, v, None, 0.5, (0, 1, 2, 3)],
        [q, k, v, seen, 0.5, (2, 0, 1, 3)],
        [q, Strided(k), v, Fixed(d.normal(3, 4)), 1.0, (0, 1, 2, 3)],
    ]


def _products(d):
    x = d.normal
    scaled = [2.0, 0.5, False]
    parts = {
        "addmm": [[x(4), x(2, 3), x(3, 4)], [x(2, 4), x(2, 3), Strided(x(3, 4))]],
        "addmv": [[x(2), x(2, 3), x(3)], [x(), x(2, 3), x(3)]],
        "addbmm": [[x(2, 4), x(5, 2, 3), x(5, 3, 4)], [x(4), x(5, 2, 3), x(5, 3, 4)]],
        "baddbmm": [[x(5, 2, 4), x(5, 2, 3), x(5, 3, 4)], [x(1), x(2, 2, 3), x(2, 3, 1)]],
        "addr": [[x(2, 3), x(2), x(3)], [x(3), x(2), x(3)]],
    }
    sums = {f"{name}_plain": cases for name, cases in parts.items()}
    sums.update({f"{name}_scaled": [[*case, *scaled] for case in cases] for name, cases in parts.items()})
    sums["addmm_bias"] = sums["addmm_layer"] = [sums.pop("addmm_plain")[0]]
    return {
        "mm": [
            [x(2, 3), x(3, 4)],
            [Strided(x(2, 3)), Strided(x(3, 2))],
            [x(0, 3), x(3, 2)],
            [x(2, 0), x(0, 2)],
        ],
        "bmm": [[x(2, 2, 3), x(2, 3, 4)], [Strided(x(2, 3, 2)), x(2, 2, 1)], [x(0, 2, 3), x(0, 3, 1)]],
        "mv": [[x(2, 3), x(3)], [Strided(x(3, 2)), x(2)]],
        "dot": [[x(5), x(5)], [x(0), x(0)], [x(1), x(1)]],
        "vdot": [[x(5), x(5)]],
        "trilinear": [[x(3, 2), x(4, 2, 5), x(3, 5)]],
        "trace": [[x(3, 3)], [x(2, 4)]],
        "linalg_cross": [[x(2, 3), x(2, 3), 1], [x(3, 2), x(3, 2), 0]],
        "dist": [[x(3, 4), x(3, 4), p] for p in (2.0, 1.0, 3.0, float("inf"))] + [[x(3, 1), x(4), 2.0]],
        **sums,
    }


def _indexing(d):
    x, index = d.normal, d.index
    mask = np.array([[True, False, True], [False, True, True]])
    hows = ("sum", "prod", "mean", "amax", "amin")
    reduced = [[x(3, 4), 1, index(4, 3, 5), d.apart(3, 5), how, own] for how in hows for own in (True, False)]
    zeros = np.array([[0.0, 2.0, 3.0], [4.0, 0.0, 5.0]]), np.array([[0.0, 2.0, 3.0], [0.0, 1.0, 2.0]])
    reduced += [
        [zeros[0], 1, np.array([[1, 1, 0], [1, 0, 0]]), zeros[1], "prod", own] for own in (True, False)
    ]
    where = [np.array([2, 0]), np.array([1, 1])]
    return {
        "gather": [
            [x(3, 4), 1, index(4, 3, 2), False],
            [x(5), 0, index(5, 7), False],
            [x(), 0, np.zeros((), int), False],
        ],
        "scatter": [[x(3, 4), 1, np.array([[0, 2], [1, 3]]), x(2, 3)], [x(5), 0, np.array([4, 1]), x(2)]],
        "scatter_value": [[x(3, 4), 1, index(4, 3, 2), 1.5]],
        "scatter_add": [[x(3, 4), 0, index(3, 2, 4), x(2, 4)], [x(5), 0, index(5, 7), x(8)]],
        "scatter_reduce": reduced,
        "scatter_reduce_named": reduced,
        "index_select": [
            [x(3, 4), 1, index(4, 6)],
            [x(3), 0, index(3, 2)],
            [Strided(x(3, 4)), 0, index(3, 2)],
        ],
        "index_add": [[x(3, 4), 0, index(3, 5), x(5, 4), 1.5], [x(3), 0, index(3, 2), x(2), 1]],
        "index_copy": [[x(3, 4), 0, np.array([2, 0]), x(2, 4)]],
        "index_fill": [[x(3, 4), 1, index(4, 2), 1.5]],
        "index": [[x(3, 4), where], [x(3, 4), [None, index(4, 3)]], [x(2, 3), [index(2, 2, 2)]]],
        "index_put": [
            [x(3, 4), where, x(2), False],
            [x(3, 4), [index(3, 5)], x(5, 4), True],
            [x(3, 4), where, x(1), True],
        ],
        "take": [[x(3, 4), index(12, 5)], [Strided(x(3, 4)), index(12, 2, 2)]],
        "masked_select_at": [[x(3, 4), np.array([1, 5, 11])]],
        "put": [[x(3, 4), np.array([1, 7]), x(2), False], [x(3, 4), index(12, 5), x(5), True]],
        "masked_scatter": [[x(2, 3), mask, x(5)]],
        "embedding": [
            [x(5, 3), index(5, 2, 4), -1, False, False],
            [x(5, 3), np.array([0, 4, 1, 0]), 2, False, False],
        ],
        "embedding_backward": [
            [x(4, 3), index(5, 4), 5, -1, False],
            [x(4, 3), np.array([1, 1, 2, 0]), 5, 2, True],
        ],
        "masked_fill_tensor": [[x(2, 3), mask, x()]],
        "masked_fill_number": [[x(2, 3), mask, 1.5], [x(3), mask, 2]],
        "scatter_src_combined": [[x(3, 4), 1, index(4, 3, 5), x(3, 5), how] for how in ("add", "multiply")],
        "scatter_value_combined": [[x(3, 4), 1, index(4, 3, 5), 1.5, how] for how in ("add", "multiply")],
        "scatter_number": [[x(3, 4), 1, index(4, 3, 2), 1.5]],
        "index_fill_tensor": [[x(3, 4), 1, index(4, 2), x()]],
        "index_put_mask_tensor": [[x(2, 3), mask, x()]],
        "index_put_mask_operand": [[x(2, 3), mask, 1.5]],
    }


def _lists(d):
    x, apart = d.normal, d.apart
    positive = d.between(0.5, 2, 3, 4)
    dims = _reductions(d, "dims")
    extremes = _reductions(d, "dims", apart=True)
    lines = _reductions(d, "dim", apart=True)
    squares = [[x(3, 4), dim, c, keep] for dim in ((), (1,)) for c in (1.0, 0.0) for keep in (False, True)]
    unbiased = {
        "dim": [[x(3, 4), (1,), b, True] for b in (False, True)],
        "all": [[x(3, 4), True], [x(3, 4), False]],
        "unbiased": [[x(3, 4), None, False, False], [x(3, 4), (0,), True, False]],
    }
    norms = [
        [x(3, 4), p, dim, keep]
        for p in (2.0, 1.0, 3.0, float("inf"), 0.5)
        for dim, keep in (((), False), ((1,), True))
    ]
    listed = {
        "sum": _reductions(d, "sum"),
        "sum_to": [[x(3, 4), (4,)], [x(3, 4), (3, 1)], [x(2, 3, 4), (1, 4)], [x(2), ()]],
        "sum_all": [[x(3, 4), None], [x(), None]],
        "sum_dim": [[x(3, 4), (0,), False, None], [x(3, 4), None, True, None]],
        "mean_all": [[x(3, 4), None], [x(), None]],
        "mean_dim": [[x(3, 4), (0,), False, None], [Strided(x(3, 4)), (-1,), True, None]],
        "nansum": [[x(3, 4), None, False, None], [x(3, 4), (1,), True, None]],
        "prod": [
            *dims,
            [np.array([0.0, 2.0, 3.0]), (0,), False],
            [np.array([[0.0, 2.0], [0.0, 3.0]]), (), False],
        ],
        "prod_all": [[x(3, 2), None]],
        "prod_dim": [[x(3, 2), 1, False, None]],
        "amax": extremes,
        "amin": extremes,
        "max_all": _reductions(d, "all", apart=True),
        "min_all": _reductions(d, "all", apart=True),
        "max_dim": lines,
        "min_dim": lines,
        "aminmax": [[apart(3, 4), None, False], [apart(3, 4), 1, True]],
        "var_kernel": squares,
        "std_kernel": squares,
        "var_mean_kernel": squares,
        "vector_norm": norms,
        "renorm": [[x(3, 4), 2.0, 0, 1.0], [x(3, 4), 1.0, -1, 0.5], [x(2, 3, 2), 3.0, 1, 9.0]],
        "logsumexp_kernel": dims,
        "logsumexp": dims,
        "cumsum_kernel": _along(d),
        "cumsum": [[*case, None] for case in _along(d)],
        "cumprod_kernel": [*_along(d), [np.array([1.5, 0.0, 2.0, 0.0, 3.0]), 0]],
        "cumprod": [[*case, None] for case in _along(d)],
        "logcumsumexp_kernel": _along(d),
        "logcumsumexp": _along(d),
        "cummax": _along(d, apart=True),
        "cummin": _along(d, apart=True),
        "recurrence": [
            [positive, x(3, 4), 1, backwards, shifted]
            for backwards in (False, True)
            for shifted in (False, True)
        ],
        "sort_any": [[*case, down] for case in _along(d, apart=True) for down in (False, True)],
        "sort_stable": [[apart(3, 4), None, 1, True]],
        "msort": [[apart(3, 4)]],
        "topk": [[apart(6), 2, 0, True, True], [apart(3, 4), 3, 1, False, True]],
        "kthvalue": [[apart(6), 2, 0, False], [apart(3, 4), 3, 1, True]],
        "median_dim": lines,
        "nanmedian_dim": lines,
        "mode": lines,
        "median_kernel": [[*case, ignore] for case in lines for ignore in (False, True)],
        "median_all": [[apart(3, 3)]],
        "nanmedian_all": [[apart(3, 3)]],
        "softmax": _along(d),
        "safe_softmax": _along(d),
        **_norms(d),
        "asinh": [[x(3, 4)], [np.array([-3.0, 0.5])]],
        "acosh": [[d.between(1.2, 4, 3, 4)]],
        "atanh": [[d.between(-0.9, 0.9, 3, 4)]],
        "logaddexp2": [[x(3, 4), x(4)]],
        "scaled_dot_product_attention": _attention(d),
        "log_softmax": _along(d),
        "softmax_backward": [[x(3, 4), positive, 1], [x(3, 4), positive, 0]],
        "log_softmax_backward": [[x(3, 4), positive, 1], [x(3, 4), positive, 0]],
    }
    listed.update(
        {
            f"{name}_{kind}": cases
            for name in ("var", "std", "var_mean", "std_mean")
            for kind, cases in unbiased.items()
        }
    )
    listed.update(
        {
            f"{name}_correction": [
                [x(3, 4), None, 1, False],
                [x(3, 4), (1,), 0, True],
                [x(5), (0,), 2, False],
            ]
            for name in ("var", "std", "var_mean", "std_mean")
        }
    )
    return listed


def _losses(d):
    x = d.normal
    p, t = d.between(0.1, 0.9, 3, 4), Fixed(d.between(0, 1, 3, 4))
    pair = [x(3, 4), x(3, 4) + 3]
    classes, weight = d.index(4, 3), Fixed(d.between(0.5, 2, 4))
    nll = [[x(3, 4), classes, None, r, -100] for r in (0, 1, 2)] + [[x(3, 4), classes, weight, 1, 1]]
    return {
        "mse_loss": [[*pair, r] for r in (0, 1, 2)],
        "smooth_l1_loss": [[*pair, r, 1.0] for r in (0, 1, 2)],
        "huber_loss": [[*pair, r, 1.0] for r in (0, 1, 2)],
        "binary_cross_entropy": [[p, t, None, r] for r in (0, 1, 2)]
        + [[p, t, Fixed(d.between(0.5, 2, 3, 4)), 1]],
        "binary_cross_entropy_with_logits": [[x(3, 4), t, None, None, r] for r in (0, 1, 2)]
        + [[x(3, 4), t, Fixed(d.between(0.5, 2, 4)), Fixed(d.between(0.5, 2, 4)), 1]],
        "nll_loss": nll,
        "nll_loss_forward": nll,
        "nll_loss_backward": [
            [x(), Fixed(x(3, 4)), classes, None, Fixed(np.asarray(3.0)), 1, -100],
            [x(3), Fixed(x(3, 4)), classes, weight, Fixed(np.asarray(0.0)), 0, 1],
        ],
        "nll_loss2d": [[x(3, 4, 2), d.index(4, 3, 2), None, r, -100] for r in (0, 1)],
    }


def _arithmetic(d):
    """Composites that work element by element, with numbers of their own."""
    x, positive, unit = d.normal(3, 4), d.between(0.5, 2, 3, 4), d.between(0.1, 0.9, 3, 4)
    y, z = d.normal(4), d.normal(3, 1)
    between = [[x, 0.37], [Strided(x), 0.37]]
    drawn = """
    normal uniform exponential cauchy geometric log_normal bernoulli random_between random_below random
    """
    return {
        **{f"{name}_drawn": [[x, Fixed(positive)]] for name in drawn.split()},
        **{f"{name}_in_place": [[x, y], [x, 0.3]] for name in "eq ne lt le gt ge".split()},
        **{f"logical_{name}_in_place": [[x, y]] for name in ("and", "or", "xor")},
        "logical_not_in_place": [[x]],
        "bernoulli_tensor_drawn": [[x, unit, Fixed(positive)]],
        "bernoulli_of": [[unit, Fixed(positive)]],
        **{f"normal_of_{name}": [[x, Fixed(positive)]] for name in ("means", "stds")},
        "normal_of_both": [[x, positive, Fixed(unit)]],
        "rsub": [[x, y]],
        "rsub_scaled": [[x, y, 1.5]],
        "add_scaled": [[x, z, 1.5]],
        "add_old": [[x, 1.5, z]],
        "sub_old": [[x, 1.5, z]],
        "addcmul_old": [[x, 1.5, y, z]],
        "addcdiv_old": [[x, 1.5, y, d.between(0.5, 2, 3, 1)]],
        "sub_scaled": [[x, z, 1.5]],
        "div_rounded": [[x, d.between(0.5, 2, 4), None]],
        "pow_known": [[positive, e, False] for e in (0.0, 1.0, 2.0, 3.0, 0.5, -0.5, -1.0, -2.0)],
        "square_op": [[x]],
        "cast": [[x, "float64"]],  # float32 is too coarse for a slope
        "log_of": [[1.7, Fixed(positive)]],
        "clamp": [[x, -0.41, 0.43], [x, None, 0.43], [x, -0.41, None]],
        "clamp_tensors": [[x, d.normal(4) - 2, d.normal(3, 1) + 2]],
        "clamp_min_tensor": [[x, y]],
        "clamp_max_tensor": [[x, y]],
        "clamp_min_number": between,
        "clamp_max_number": between,
        "lerp_number": [[x, y, 0.3], [x, y, 0.7]],
        "lerp_tensor": [[x, y, z]],
        "addcmul": [[x, y, z, 1.5]],
        "addcdiv": [[x, y, d.between(0.5, 2, 3, 1), 1.5]],
        "logit": [[unit, None], [unit, 0.05]],
        "xlogy_tensors": [[x, positive]],
        "xlogy_by_number": [[x, 1.7]],
        "xlogy_of_number": [[1.7, positive]],
        "copysign_tensor": [[x, y]],
        "copysign_number": [[x, -1.0]],
        "heaviside": [[x, y]],
        "nan_to_num": [[x, None, None, None]],
        "glu": [[d.normal(3, 4), 1]],
        "prelu_kernel": [[x, d.between(0.1, 0.5, 4)]],
        "threshold": [[x, 0.2, 1.5]],
        "threshold_in_place": [[x, 0.2, 1.5]],
        "copy": [[x, y, None]],
        "fill_tensor": [[x, d.normal()]],
        "fill_tensor_in_place": [[x, d.normal()]],
        "fill_scalar": [[x, 1.5]],
        "fill_scalar_in_place": [[x, 1.5]],
        "zero": [[x]],
        "rrelu_noise": [[x, Fixed(positive)]],
        "rrelu_noise_in_place": [[x, Fixed(positive)]],
        "rrelu_mean": [[x, 0.2]],
        "rrelu_mean_in_place": [[x, 0.2]],
        "max_other": [[x, y]],
        "min_other": [[x, y]],
        "add_number": [[x, 1.5]],
        "mul_number": [[x, 1.5]],
        "div_number": [[x, 1.5]],
        "fill_assigned": [[x, 1.5]],
        "round_to": [[x, 1], [x, -1]],
    }


def listed():
    """All lists that are written out above, by op."""
    cases = {}
    for make in (_lists, _views, _products, _indexing, _losses, _arithmetic):
        cases.update({k: v for k, v in make(Draw(make.__name__)).items() if v is not None})
    return cases


def _unary(op):
    """One tensor, and defaults for the rest."""
    draw = Draw(op.name)
    rest = [p.default for p in op.signature.parameters[1:]]
    arrays = (draw.normal(3, 4), draw.normal(), Strided(draw.normal(2, 3)))
    return [[x, *rest] for x in arrays]


def cases_of(op, lists):
    """The cases of an op: its list, or what its declaration gives. None if there is neither."""
    name = op.name if op.name in lists else op.name.removesuffix("_in_place")
    if name in lists:
        return lists[name]
    if op.family == "elementwise":
        return elementwise(op)
    rest = op.signature.parameters[1:]
    if op.signature.parameters[0].kind == "Tensor" and all(is_plain(p) for p in rest):
        return _unary(op)
    return None


def is_plain(p):
    """Whether a parameter has a default and is no tensor."""
    from pullback.trace.signature import REQUIRED as MISSING

    return p.default is not MISSING and p.kind not in ("Tensor", "Operand")
