"""Changes in place inside transformations: of views, of tensors that gain a tangent, of shared memory."""

import numpy as np
import pytest

import pullback as torch
import pullback.autograd.forward_ad as forward_ad
from pullback.func import grad, hessian, jacfwd, jacrev, jvp, not_vectorised, vmap


def slices_of_a_copy(x):
    y = x * 1
    y[0] = y[1] * 2 * x[2]
    y[1:].mul_(x[0])
    return (y * y).sum()


def slices_of_a_copy_plainly(x):
    y = torch.cat([(x[1] * 2 * x[2])[None], x[1:] * x[0]])
    return (y * y).sum()


def slices_of_zeros(x):
    y = torch.zeros(3, dtype=x.dtype)
    y[0] = x[1] * 2 * x[2]
    y[1:] = x[:2]
    return (y * y * x).sum()


def slices_of_zeros_plainly(x):
    y = torch.cat([(x[1] * 2 * x[2])[None], x[:2]])
    return (y * y * x).sum()


def seen_by_an_older_view(x):
    y = x * 1
    v = y[1:]
    y.mul_(x[0])
    return (v * v * x[1:]).sum()


def seen_by_an_older_view_plainly(x):
    v = (x * x[0])[1:]
    return (v * v * x[1:]).sum()


def views_of_views(x):
    y = x * 1
    w = y[0:2]
    y.view(3, 1).t().mul_(x[1])
    return (w**3).sum()


def views_of_views_plainly(x):
    return ((x * x[1])[0:2] ** 3).sum()


def another_shape(x):
    y = x.clone().view(3, 1)
    y.t_()
    y.squeeze_(0)
    y.mul_(x)
    return (y * y).sum()


def another_shape_plainly(x):
    return ((x * x) ** 2).sum()


def a_column(x):
    y = torch.zeros(3, 2, dtype=x.dtype)
    y.t()[0].copy_(x)
    y[:, 1] = x.flip(0)
    return (y.prod(1) * x).sum()


def a_column_plainly(x):
    return (x * x.flip(0) * x).sum()


def chosen(x):
    y = x.clone()
    y.masked_fill_(y > 1.5, 0.5)
    return (y * y * x).sum()


def chosen_plainly(x):
    y = torch.where(x > 1.5, 0.5, x)
    return (y * y * x).sum()


PAIRS = [
    (slices_of_a_copy, slices_of_a_copy_plainly),
    (slices_of_zeros, slices_of_zeros_plainly),
    (seen_by_an_older_view, seen_by_an_older_view_plainly),
    (views_of_views, views_of_views_plainly),
    (another_shape, another_shape_plainly),
    (a_column, a_column_plainly),
    (chosen, chosen_plainly),
]


def close(got, expected):
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-10)


X = torch.tensor([[1.3, 0.7, 2.1], [2.1, 0.6, 1.4]], dtype=torch.float64)
T = torch.tensor([[0.2, -1.0, 0.4], [0.4, 0.3, -0.8]], dtype=torch.float64)


def reference(function):
    """Gradients at both rows of X and the Hessian at the first, by plain reverse mode."""

    def gradient(x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(function(x), x)[0]

    return torch.stack([gradient(x) for x in X]), torch.autograd.functional.hessian(function, X[0])


def gradient_of_a_batch(function):
    x = X.clone().requires_grad_()
    return torch.autograd.grad(vmap(function)(x).sum(), x)[0]


NESTINGS = {
    "vmap": (lambda f: vmap(f)(X), lambda f, g, h: torch.stack([f(x) for x in X])),
    "grad": (lambda f: grad(f)(X[0]), lambda f, g, h: g[0]),
    "vmap(grad)": (lambda f: vmap(grad(f))(X), lambda f, g, h: g),
    "grad of vmap": (gradient_of_a_batch, lambda f, g, h: g),
    "jvp": (lambda f: jvp(f, (X[0],), (T[0],))[1], lambda f, g, h: (g[0] * T[0]).sum()),
    "vmap(jvp)": (
        lambda f: vmap(lambda x, t: jvp(f, (x,), (t,))[1])(X, T),
        lambda f, g, h: (g * T).sum(1),
    ),
    "vmap(jvp), one point": (
        lambda f: vmap(lambda t: jvp(f, (X[0],), (t,))[1])(T),
        lambda f, g, h: T @ g[0],
    ),
    "jvp of vmap": (lambda f: jvp(vmap(f), (X,), (T,))[1], lambda f, g, h: (g * T).sum(1)),
    "hessian": (lambda f: hessian(f)(X[0]), lambda f, g, h: h),
    "jacrev twice": (lambda f: jacrev(jacrev(f))(X[0]), lambda f, g, h: h),
    "jacfwd twice": (lambda f: jacfwd(jacfwd(f))(X[0]), lambda f, g, h: h),
    "jacrev(jacfwd)": (lambda f: jacrev(jacfwd(f))(X[0]), lambda f, g, h: h),
    "grad of jvp": (lambda f: grad(lambda x: jvp(f, (x,), (T[0],))[1])(X[0]), lambda f, g, h: h @ T[0]),
}


@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("changing, plainly", PAIRS, ids=[pair[0].__name__ for pair in PAIRS])
def test_changes_of_views(changing, plainly, nesting):
    run, expected = NESTINGS[nesting]
    got = run(changing)
    close(got, expected(plainly, *reference(plainly)))


def test_a_recurrence_written_into_one_tensor():
    """Reverse mode refuses this one, as what is saved changes; forward mode needs no saved values."""

    def written(x):
        y = torch.zeros(4, dtype=x.dtype)
        for i in range(3):
            y[i + 1] = y[i] * x[i] + x[i] * x[i]
        return y

    def plainly(x):
        y = [x.new_zeros(())]
        for i in range(3):
            y.append(y[i] * x[i] + x[i] * x[i])
        return torch.stack(y)

    close(jacfwd(written)(X[0]), jacrev(plainly)(X[0]))
    close(jacfwd(jacfwd(written))(X[0]), jacrev(jacrev(plainly))(X[0]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: x.clone(),
        lambda x: torch.cat([x]),
        lambda x: x.sum(),
        lambda x: x + torch.zeros(2, 3),
        lambda x: torch.where(x > -1, x, 0.0),
        lambda x: x.repeat(2),
        lambda x: x.flip(()),
    ],
)
def test_a_result_has_a_tangent_of_its_own(function):
    t = torch.tensor([1.0, 2.0, 3.0])
    with forward_ad.dual_level():
        x = forward_ad.make_dual(torch.arange(3.0), t)
        y = function(x)
        before = forward_ad.unpack_dual(y).tangent.clone()
        y.mul_(3)
        assert torch.equal(forward_ad.unpack_dual(x).tangent, torch.tensor([1.0, 2.0, 3.0]))
        assert torch.equal(forward_ad.unpack_dual(y).tangent, 3 * before)
        assert forward_ad.unpack_dual(y).tangent.stride() == y.stride()


@pytest.mark.parametrize("strided", ["transposed", "every second"])
def test_changes_of_views_reach_a_tangent_of_another_layout(strided):
    whole = torch.arange(24.0).reshape(4, 6)
    value = whole.t()[:4] if strided == "transposed" else whole[:, ::2]
    tangent = torch.rand(value.shape)
    with forward_ad.dual_level():
        x = forward_ad.make_dual(value.detach(), tangent)
        x[1].mul_(2)
        x.t()[0].add_(x.t()[1])
        got = forward_ad.unpack_dual(x).tangent
    expected = tangent.clone()
    expected[1] *= 2
    expected[:, 0] += expected[:, 1]
    assert torch.equal(got, expected)


def test_elements_that_share_memory():
    with forward_ad.dual_level():
        x = forward_ad.make_dual(torch.ones(1, 2).expand(3, 2), torch.rand(3, 2))
        with pytest.raises(RuntimeError, match="which is not dense\nMake the base contiguous first"):
            x[0].mul_(2)


def test_elements_that_share_memory_and_lie_apart():
    """Strides of such a base reach further than the number of its elements says."""
    value = torch.ones(300, 1000)[:, 0].expand(20, 300)
    for _ in range(20):
        with forward_ad.dual_level():
            x = forward_ad.make_dual(value.detach(), torch.rand(20, 300))
            with pytest.raises(RuntimeError, match="which is not dense\nMake the base contiguous first"):
                x[0].mul_(2)


def test_after_the_level_is_closed():
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    with forward_ad.dual_level():
        y = w * forward_ad.make_dual(torch.ones(2), torch.ones(2))
    y.mul_(w)
    y[0].mul_(5)
    (g,) = torch.autograd.grad(y.sum(), w)
    assert torch.equal(g, torch.tensor([20.0, 6.0]))


def test_what_has_no_derivative_clears_the_tangent():
    with forward_ad.dual_level():
        x = forward_ad.make_dual(torch.tensor([1.0, -1.0]), torch.ones(2)).clone()
        x.gt_(0)
        tangent = forward_ad.unpack_dual(x).tangent
        assert tangent is None or not tangent.any()


def test_a_batch_of_tangents_of_one_value():
    """The value is shared by all samples, and what it is cloned to is not."""

    def zeroed(t):
        y = jvp(lambda x: x.clone().zero_() + x, (torch.ones(2),), (t,))
        return y[1]

    tangents = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    with not_vectorised() as report:
        assert torch.equal(vmap(zeroed)(tangents), tangents)
    assert not report
