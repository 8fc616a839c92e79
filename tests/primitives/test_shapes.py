"""Programs hold for every shape: one op again and again with other sizes, against NumPy and against a fresh
run."""

import itertools
import warnings

import numpy as np
import pytest

import pullback as torch
from pullback import _core

RANDOM = np.random.RandomState(0)


def leaf(*shape, strided=False):
    x = RANDOM.randn(*shape) if shape else np.asarray(RANDOM.randn())
    if strided:
        order = tuple(reversed(range(len(shape))))
        t = torch.tensor(x.transpose(order).copy()).permute(order).detach()
    else:
        t = torch.tensor(x)
    return t.requires_grad_()


def gradients(out, inputs):
    return torch.autograd.grad(out.sum(), inputs, allow_unused=True)


def check_against_contiguous(function, inputs):
    """Values and gradients for these inputs, and for contiguous copies of them."""
    copies = [x.detach().contiguous().clone().requires_grad_() for x in inputs]
    out, expected = function(*inputs), function(*copies)
    assert np.array_equal(out.detach().numpy(), expected.detach().numpy())
    for a, b in zip(gradients(out * out, inputs), gradients(expected * expected, copies), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


PAIRS = [
    ((3, 1), (4,)),
    ((1,), (5,)),
    ((5,), (1,)),
    ((2, 2), (2, 2)),
    ((3, 4), (3, 4)),
    ((1, 1), (1, 1)),
    ((), (3,)),
    ((3,), ()),
    ((0, 3), (3,)),
    ((2, 0), (2, 1)),
    ((4, 1, 3), (1, 5, 1)),
    ((1, 4), (4, 1)),
    ((7, 1), (1, 7)),
    ((1, 1, 1), (2, 3, 4)),
]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum"])
def test_pairs_of_shapes_in_turn(name):
    """The programs of one op, met with shapes that broadcast in different ways and come back later."""
    function = getattr(torch, name)
    numpy = {"sub": np.subtract, "mul": np.multiply, "div": np.divide, "add": np.add}.get(name) or getattr(
        np, name
    )
    for a, b in PAIRS + list(reversed(PAIRS)):
        x, y = leaf(*a), leaf(*b)
        out = function(x, y)
        assert np.array_equal(out.detach().numpy(), numpy(x.detach().numpy(), y.detach().numpy()))
        gx, gy = gradients(out, (x, y))
        assert (tuple(gx.shape), tuple(gy.shape)) == (a, b)
        if name == "add":
            assert np.array_equal(gx.numpy(), np.full(a, max(out.numel() // max(x.numel(), 1), 0)))
        check_against_contiguous(function, [leaf(*a, strided=True), leaf(*b, strided=True)])


SIZES = [1, 2, 3, 5, 7, 8, 16, 31, 64, 2, 1, 100, 7]


@pytest.mark.parametrize("layout", ["contiguous", "strided"])
def test_a_network_with_other_numbers_of_rows(layout):
    w, b = leaf(3, 4), leaf(4)
    for n in SIZES:
        x = leaf(n, 3, strided=layout == "strided")
        out = ((x @ w + b).tanh() * 2).mean()
        gx, gw, gb = torch.autograd.grad(out, (x, w, b))
        X, W, B = (t.detach().numpy() for t in (x, w, b))
        h = np.tanh(X @ W + B)
        inner = 2 / h.size * (1 - h * h)
        np.testing.assert_allclose(out.item(), (2 * h).mean(), rtol=1e-12)
        np.testing.assert_allclose(gx.numpy(), inner @ W.T, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(gw.numpy(), X.T @ inner, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(gb.numpy(), inner.sum(0), rtol=1e-10, atol=1e-14)


def test_reductions_with_changing_sizes():
    for n, m in itertools.chain(itertools.product((1, 2, 5, 33), (1, 4, 70)), [(3, 0), (0, 3), (2, 2)]):
        x = leaf(n, m)
        X = x.detach().numpy()
        for dim in (0, 1):
            np.testing.assert_allclose(x.sum(dim).detach().numpy(), X.sum(dim), rtol=1e-12, atol=1e-13)
            (g,) = gradients(x.sum(dim, keepdim=True) * x, (x,))
            expected = np.broadcast_to(X.sum(dim, keepdims=True), X.shape) + np.expand_dims(X.sum(dim), dim)
            np.testing.assert_allclose(g.numpy(), expected, rtol=1e-12, atol=1e-13)
        if n * m:
            (g,) = gradients(x.mean(), (x,))
            assert np.array_equal(g.numpy(), np.full((n, m), 1 / (n * m)))


def test_variance_of_one_element_is_nan_and_of_two_is_not():
    for n in (2, 1, 3, 1, 2):
        x = leaf(n)
        if n == 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = x.var()
            assert np.isnan(value.item())
            assert np.isnan(gradients(value, (x,))[0].numpy()).all()
        else:
            np.testing.assert_allclose(x.var().item(), x.detach().numpy().var(ddof=1), rtol=1e-12)
            (g,) = gradients(x.var(), (x,))
            X = x.detach().numpy()
            np.testing.assert_allclose(g.numpy(), 2 / (n - 1) * (X - X.mean()), rtol=1e-12)


def test_cat_and_split_with_changing_sizes_and_numbers():
    for sizes in ([1, 2], [2, 1], [3], [0, 2], [2, 0, 5], [4, 4, 4, 4], [1, 1]):
        parts = [leaf(n, 3) for n in sizes]
        out = torch.cat(parts)
        assert np.array_equal(out.detach().numpy(), np.concatenate([p.detach().numpy() for p in parts]))
        for p, g in zip(parts, torch.autograd.grad((out * out).sum(), parts), strict=True):
            assert np.array_equal(g.numpy(), 2 * p.detach().numpy())
        total = sum(sizes)
        x = leaf(total, 2)
        pieces = x.split(sizes)
        (g,) = gradients(sum(((k + 1) * p).sum() for k, p in enumerate(pieces)), (x,))
        assert np.array_equal(g.numpy()[:, 0], np.repeat(np.arange(1.0, len(sizes) + 1), sizes))


def test_views_with_changing_sizes():
    for n, m in [(2, 3), (3, 2), (1, 1), (1, 5), (0, 4), (6, 4)]:
        x = leaf(n, m)
        weight = torch.tensor(RANDOM.randn(m, n))
        (g,) = gradients(x.t() * weight, (x,))
        assert np.array_equal(g.numpy(), weight.numpy().T)
        (g,) = gradients(x.reshape(-1) * weight.reshape(-1), (x,))
        assert np.array_equal(g.numpy(), weight.numpy().reshape(n, m))
        (g,) = gradients(x.unsqueeze(0).expand(3, n, m), (x,))
        assert np.array_equal(g.numpy(), np.full((n, m), 3.0))


def test_second_order_with_changing_sizes():
    for shape in [(2,), (1,), (3, 2), (2, 3), (), (5,), (0,), (2,)]:
        x = leaf(*shape)
        (g,) = torch.autograd.grad((x * x * x).sum(), [x], create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), [x])
        np.testing.assert_allclose(h.numpy(), 6 * x.detach().numpy(), rtol=1e-13)


def test_a_flood_of_shapes_stays_in_bounds():
    """20 000 new shapes: caches keep their size, and old shapes still come out right."""

    def step(n, m):
        x = torch.ones(n, m, requires_grad=True)
        (x * 2 + x).sum().backward()
        return x.grad

    before = _core.cache_statistics()["rules"]
    for k in range(20_000):
        n, m = 1 + k % 200, 1 + k // 200
        g = step(n, m)
        if k % 1000 == 0:
            assert np.array_equal(g.numpy(), np.full((n, m), 3.0))
    held = _core.cache_statistics()
    assert held["plan_misses"] > 20_000  # they were new indeed
    assert held["plans"] <= 16_384
    assert held["metas"] + held["metas_retired"] <= 40_000
    assert held["rules"] - before <= 32  # the symbolic keys are few: sizes 0, 1, other, and which are equal
    assert step(1, 1).item() == 3.0
