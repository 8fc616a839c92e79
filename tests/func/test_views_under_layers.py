"""Writes into views and slices inside vmap, forward and reverse mode: bases and other views follow."""

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import hessian, jacfwd, jacrev, jvp, not_vectorised, vmap
from pullback.utils._pytree import tree_leaves, tree_map

X = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3) / 3


def two_views(u):
    a = torch.zeros(2, 2, dtype=u.dtype)
    b = a[0]
    b[1] = u[0]
    a.mul_(u[1])
    c = a.t()
    c[1].add_(u[:2])
    return a * b


def overlapping(u):
    a = u.clone()
    v = a[1:]
    v.mul_(a[:2].clone())
    a[0] = v.sum()
    return a, v


def strided(u):
    a = torch.zeros(3, 4, dtype=u.dtype)
    for k in range(3):
        a[k, k] = u[k]
        a[:, k + 1] += a[:, k].clone() * u
        a.t()[k].mul_(u.sum())
    b = a.view(-1)[2:9:3]
    b.copy_(u)
    b.add_(a[1, 1])
    return a.sin()


def several(u):
    parts = (u * 2)[None].expand(2, 3).clone()
    x, y = parts[0], parts[1]
    x += u[1]
    parts *= 2
    y.sub_(x)
    parts[1, 0] = y[1].clone() * u[0]
    return parts * y


def shared_first(u):
    w = torch.arange(6.0, dtype=u.dtype).reshape(2, 3)
    v = w[1]
    w[0].copy_(u)
    v.add_(w[0])
    w.mul_(3)
    w[1, 1:] = u[:2]
    return w * w, v


FUNCTIONS = [two_views, overlapping, strided, several, shared_first]


def numerical(f, x, step=1e-6):
    columns = []
    for k in range(len(x)):
        d = torch.zeros_like(x)
        d[k] = step
        columns.append(tree_map(lambda p, q: (p - q) / (2 * step), f(x + d), f(x - d)))
    return tree_map(lambda *c: torch.stack(c, -1), *columns)


def stacked(results):
    return tree_map(lambda *t: torch.stack(t), *results)


def close(a, b, tolerance=1e-6):
    for p, q in zip(tree_leaves(a), tree_leaves(b), strict=True):
        assert p.shape == q.shape and torch.allclose(p, q, rtol=tolerance, atol=tolerance), (p, q)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_jacobians(f):
    expected = stacked([numerical(f, x) for x in X])
    close(vmap(f)(X), stacked([f(x) for x in X]), 1e-12)
    for jacobian in (jacrev, jacfwd):
        close(stacked([jacobian(f)(x) for x in X]), expected)
        close(vmap(jacobian(f))(X), expected)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_second_derivatives(f):
    total = lambda u: sum(t.sum() for t in tree_leaves(f(u)))  # noqa: E731
    expected = torch.stack([numerical(jacrev(total), x) for x in X])
    for outer in (jacrev, jacfwd):
        for inner in (jacrev, jacfwd):
            close(torch.stack([outer(inner(total))(x) for x in X]), expected)
            close(vmap(outer(inner(total)))(X), expected)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_tensors_made_inside_get_samples_of_their_own(f):
    with not_vectorised() as report:
        vmap(f)(X)
        vmap(jacfwd(f))(X)
        hessian(lambda u: sum(t.sum() for t in tree_leaves(f(u))))(X[0])
    assert report == []


def test_a_base_gets_the_tangent_of_its_view():
    t = torch.ones(3, dtype=torch.float64)
    with fwAD.dual_level():
        z = torch.zeros(3, dtype=torch.float64)
        w = z.view(3)
        z[0] = fwAD.make_dual(X[0], t)[1]
        for tensor in (z, w):
            value, tangent = fwAD.unpack_dual(tensor)
            assert value.tolist() == [X[0, 1].item(), 0, 0] and tangent.tolist() == [1, 0, 0]
        z.zero_()
        assert fwAD.unpack_dual(w).tangent.tolist() == [0, 0, 0]


def test_a_tangent_of_others_stays():
    """A clone has its original's tangent: a change of the one leaves the other alone."""
    t = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    with fwAD.dual_level():
        x = fwAD.make_dual(X[0], t)
        y = x.clone()
        y.mul_(2)
        assert fwAD.unpack_dual(x).tangent.tolist() == [1, 2, 3]
        assert fwAD.unpack_dual(y).tangent.tolist() == [2, 4, 6]
    assert t.tolist() == [1, 2, 3]


def test_dual_inside_vmap_changed_in_place():
    def f(x, t):
        with fwAD.dual_level():
            y = fwAD.make_dual(x, t).clone()
            y.mul_(2)
            return tuple(fwAD.unpack_dual(y))

    value, tangent = vmap(f)(X, X + 1)
    close(value, 2 * X)
    close(tangent, 2 * X + 2)


def test_columns_share_a_value_changed_in_place():
    """The value is changed once, whatever the number of columns."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    with not_vectorised() as report:
        got = jacfwd(lambda u: u.mul_(2) * u)(x)
    assert got.tolist() == [[8, 0], [0, 16]] and x.tolist() == [2, 4] and report == []


def test_an_input_that_all_samples_share_gets_samples():
    """grad opens it for each of them; what one writes into it no other sees, nor the caller."""
    v = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def f(v, x):
        v = v.mul_(2)
        v[0] = x[1]
        return (v * v * x).sum()

    with not_vectorised() as report:
        got = vmap(torch.func.grad(f), (None, 0))(v, X)
    close(got, 8 * v * X * torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64), 1e-12)
    assert report == [] and v.tolist() == [1, 2, 3]


def test_a_position_for_each_sample():
    i, j = torch.tensor([2, -1]), torch.tensor([0, 1])
    x = torch.arange(18.0).reshape(2, 3, 3)
    each = lambda f: torch.stack([f(x[k], i[k].item(), j[k].item()) for k in range(2)])  # noqa: E731

    def put(x, i, j):
        x = x.clone()
        x[i, j] = 7.0
        x[:, j] += x[0]
        return x

    cases = [
        lambda x, i, j: x[i],
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[..., j],
        lambda x, i, j: x[i, 1:],
        lambda x, i, j: x[None, i][:, j],
        put,
    ]
    with not_vectorised() as report:
        for f in cases:
            close(vmap(f)(x, i, j), each(f))
    assert len(report) <= 1  # index_put behind a slice has no rule


def test_types_and_shapes_are_checked_under_layers():
    d = torch.ones(2)
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        jvp(lambda u: torch.ones(2, dtype=torch.long).mul_(u), (d,), (d,))
    with pytest.raises(
        RuntimeError, match=r"output with shape \[2\] doesn't match the broadcast shape \[3, 2\]"
    ):
        jvp(lambda u: u.mul_(torch.ones(3, 2)), (d,), (d,))
    mixed = jvp(lambda u: torch.ones(2).mul_(u), (d.double(),), (d.double(),))
    assert mixed[0].dtype == mixed[1].dtype == torch.float32


def test_leaves_stay_protected_inside_vmap():
    w = torch.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        vmap(lambda u: u.mul_(2))(w)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad is being used"):
        vmap(lambda u: u[0].mul_(2))(w)


def test_fill_diagonal_reaches_every_sample():
    m = torch.arange(24.0).reshape(2, 4, 3)
    f = lambda x: x.clone().fill_diagonal_(-1, wrap=True)  # noqa: E731
    assert torch.equal(vmap(f)(m), torch.stack([f(x) for x in m]))
    cube = torch.arange(16.0).reshape(2, 2, 2, 2)
    g = lambda x: (x * 1).transpose(0, 2).fill_diagonal_(5) * x  # noqa: E731
    assert torch.equal(vmap(g)(cube), torch.stack([g(x) for x in cube]))
    assert torch.equal(jacfwd(g)(cube[0]), jacrev(g)(cube[0]))


STRIDED = {
    "whole": lambda y: y.as_strided((2, 2), (3, 1), 1),
    "of a part": lambda y: y[1].as_strided((2,), (2,)),
    "of a column": lambda y: y[:, 1].as_strided((2,), (3,), 1),
    "backwards": lambda y: y[1].as_strided((2,), (1,), y.storage_offset()),
}


@pytest.mark.parametrize("name", STRIDED)
@pytest.mark.parametrize("in_dim", [0, 1])
def test_as_strided_stays_a_view_for_all_samples(name, in_dim):
    x = torch.arange(18.0).reshape(3, 2, 3)

    def written(x):
        y = x * 1
        view = STRIDED[name](y)
        view.mul_(x.sum())
        y.add_(1)
        return y.sum(0) + view.sum()

    expected = torch.stack([written(v) for v in x])
    assert torch.equal(vmap(written, in_dim)(x.movedim(0, in_dim)), expected)
    assert torch.equal(vmap(vmap(written))(x[None])[0], expected)
    jacobians = torch.stack([jacrev(written)(v) for v in x])
    assert torch.equal(vmap(jacrev(written))(x), jacobians)
    assert torch.equal(vmap(jacfwd(written))(x), jacobians)


BLOCK = torch.arange(1.0, 61.0).reshape(3, 4, 5)


@pytest.mark.parametrize(
    "part",
    [
        lambda b: b[..., ::2],
        lambda b: b[::2, 1::2],
        lambda b: b[:, ::2].transpose(0, 2),
        lambda b: b[1:, :, 1:],
    ],
)
def test_changes_of_elements_that_lie_apart(part):
    """The steps between elements (20, 5, 2 of sizes 3, 4, 3) may look as if they met."""
    x = part(BLOCK)

    def f(x):
        x = x * 1 if x.is_contiguous() else x
        x[0].mul_(2.0)
        x[..., -1].add_(x[..., 0])
        return x * x

    def plain(x):
        y = x.clone()
        y[0] = y[0] * 2
        y[..., -1] = y[..., -1] + y[..., 0]
        return y * y

    t = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
    want = jvp(plain, (x,), (t,))
    got = jvp(f, (part(BLOCK.clone()),), (t,))
    assert torch.equal(got[0], want[0]) and torch.allclose(got[1], want[1])
    assert torch.allclose(jacfwd(f)(part(BLOCK.clone())), jacfwd(plain)(x))


def test_windows_between_elements():
    def through(size, stride, offset):
        def f(x):
            x.as_strided(size, stride, x.storage_offset() + offset).mul_(10.0)
            return x * 1

        return f

    x = BLOCK.clone()[:, :, ::2]
    _, got = jvp(through((3,), (20,), 2), (x,), (torch.ones(3, 4, 3),))
    assert got[:, 0, 1].tolist() == [10, 10, 10] and got.sum() == 36 + 27
    for window in ((2,), (1,), 0), ((4,), (2,), 0), ((2,), (5,), -5):
        x = BLOCK.clone()[1:, :, ::2]
        before = x.clone()
        with pytest.raises(RuntimeError, match="a view reaches between the elements of its base"):
            jvp(through(*window), (x,), (torch.ones(2, 4, 3),))
        assert torch.equal(x, before)
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    apart = torch.from_numpy(BLOCK.numpy()[:, :, ::2].copy())[:, :, ::2].detach()
    with pytest.raises(RuntimeError, match="a view reaches between"):
        apart.as_strided((2,), (1,), 0).mul_(w)
