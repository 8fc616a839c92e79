"""grad, vjp, jvp, vmap, jacrev and jacfwd in each other: all orders against closed forms, loops."""

import itertools

import pytest

import pullback as torch
from pullback.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

X = torch.tensor([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]], dtype=torch.float64)


def close(a, b):
    assert a.shape == b.shape and torch.allclose(a, b, rtol=1e-10, atol=1e-11), (a, b)


def plain(x):
    return (torch.sin(x) * x.roll(1)).sum() + (x**3).prod()


def written(x):
    """The same with writes into slices and views."""
    a = torch.zeros(3, dtype=x.dtype)
    for k in range(3):
        a[k] = torch.sin(x[k])
    a.mul_(x.roll(1))
    b = torch.ones(2, 3, dtype=x.dtype)
    row = b[1]
    row.copy_(x)
    b.pow_(3)
    return a.sum() + row.prod()


def branching(x):
    return plain(x) if x[0] > 0.5 else plain(x) * 1.0


def through_item(x):
    return plain(x) + 0 * x[1].item()


FUNCTIONS = [plain, written, branching, through_item]


def first_derivatives():
    def by_jvp(f):
        def gradient(x):
            eye = torch.eye(x.numel(), dtype=x.dtype)
            return torch.stack([jvp(f, (x,), (e.reshape(x.shape),))[1] for e in eye])

        return gradient

    def by_vjp(f):
        return lambda x: vjp(f, x)[1](torch.ones((), dtype=x.dtype))[0]

    def by_autograd(f):
        def gradient(x):
            x = x.detach().requires_grad_() if not x.requires_grad else x * 1
            return torch.autograd.grad(f(x), x, create_graph=True)[0]

        return gradient

    return {"grad": grad, "jacrev": jacrev, "jacfwd": jacfwd, "jvp": by_jvp, "vjp": by_vjp}, by_autograd


FIRST, AUTOGRAD = first_derivatives()


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", FIRST)
def test_first_derivatives_agree_alone_and_under_vmap(name, f):
    expected = torch.stack([AUTOGRAD(plain)(x).detach() for x in X])
    close(torch.stack([FIRST[name](f)(x) for x in X]), expected)
    close(vmap(FIRST[name](f))(X), expected)


SECOND = list(itertools.product(("jacrev", "jacfwd"), FIRST))


@pytest.mark.parametrize("outer, inner", SECOND)
@pytest.mark.parametrize("f", FUNCTIONS[:2], ids=lambda f: f.__name__)
def test_second_derivatives_agree_in_every_order(outer, inner, f):
    x, y = X
    expected = hessian(plain)(x)
    close(expected, expected.T)
    second = FIRST[outer](FIRST[inner](f))
    close(second(x), expected)
    close(vmap(second)(X), torch.stack([expected, hessian(plain)(y)]))


@pytest.mark.parametrize("order", list(itertools.product((jacrev, jacfwd), repeat=3)))
def test_third_derivatives_agree_in_every_order(order):
    a, b, c = order
    f = lambda x: (x**4).sum() + x.prod()  # noqa: E731
    x = X[0]
    expected = torch.zeros(3, 3, 3, dtype=x.dtype)
    for i, j, k in itertools.product(range(3), repeat=3):
        expected[i, j, k] = 24 * x[i] if i == j == k else 1.0 if len({i, j, k}) == 3 else 0.0
    close(a(b(c(f)))(x), expected)
    close(vmap(a(b(c(f))))(X)[0], expected)


def test_vmap_inside_and_outside():
    s = torch.tensor(0.7, dtype=torch.float64)
    total = lambda x: vmap(plain)(x).sum()  # noqa: E731
    close(grad(total)(X), vmap(grad(plain))(X))
    close(
        grad(lambda s: vmap(lambda x: plain(x * s))(X).sum())(s),
        vmap(grad(lambda s, x: plain(x * s)), (None, 0))(s, X).sum(),
    )
    close(jvp(vmap(plain), (X,), (X * 2,))[1], vmap(lambda x, t: jvp(plain, (x,), (t,))[1])(X, X * 2))
    close(vmap(vmap(lambda a, b: a * b, (None, 0)), (0, None))(X[0], X[1]), X[0].outer(X[1]))
    close(vmap(vmap(torch.sin), in_dims=1, out_dims=1)(X), X.sin())
    close(vmap(lambda x: vmap(lambda y: x.dot(y))(X))(X), X @ X.T)


def test_jvp_of_grad_is_grad_of_jvp():
    x, t = X
    along = lambda x: jvp(plain, (x,), (t,))[1]  # noqa: E731
    expected = hessian(plain)(x) @ t
    close(jvp(grad(plain), (x,), (t,))[1], expected)
    close(grad(along)(x), expected)
    close(vjp(grad(plain), x)[1](t)[0], expected)
    close(vmap(lambda t: jvp(grad(plain), (x,), (t,))[1])(X)[1], expected)
    close(jvp(lambda x: jvp(plain, (x,), (t,))[1], (x,), (t,))[1], t @ expected)
    close(vjp(lambda x: vjp(plain, x)[1](torch.ones((), dtype=x.dtype))[0], x)[1](t)[0], expected)


def test_a_captured_tensor_that_requires_grad():
    w = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64, requires_grad=True)
    f = lambda x: (w * x * x).sum()  # noqa: E731
    close(torch.autograd.grad(grad(f)(X[0]).sum(), w)[0], 2 * X[0])
    close(torch.autograd.grad(vmap(grad(f))(X).sum(), w)[0], 2 * X.sum(0))
    close(torch.autograd.grad(jvp(f, (X[0],), (X[1],))[1], w)[0], 2 * X[0] * X[1])
    close(torch.autograd.grad(hessian(f)(X[0]).sum(), w)[0], torch.full((3,), 2.0).double())
    close(torch.autograd.grad(jacfwd(grad(f))(X[0]).sum(), w)[0], torch.full((3,), 2.0).double())
    assert grad(lambda x: (x * x).sum())(X[0]).requires_grad is False


def test_writes_into_batched_tensors_while_recording():
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)

    def f(u):
        a = w * u
        a[0] = u[1]
        a[1:].mul_(2)
        return a.sum()

    got = torch.autograd.grad(vmap(f)(X).sum(), w)[0]
    close(got, torch.tensor([0.0, 2.0, 2.0]).double() * X.sum(0))


def test_no_grad_inside_and_outside():
    f = lambda x: (x * x).sum()  # noqa: E731
    with torch.no_grad():
        close(grad(f)(X[0]), 2 * X[0])
        close(hessian(f)(X[0]), 2 * torch.eye(3, dtype=X.dtype))

    def frozen(x):
        with torch.no_grad():
            shift = x**2
        return (x - shift).sum()

    close(grad(frozen)(X[0]), torch.ones(3).double())
    assert torch.is_grad_enabled()


def test_hyperparameter_gradient_through_20_sgd_steps():
    a = torch.tensor([1.0, 3.0], dtype=torch.float64)

    def final(rate):
        w = torch.ones(2, dtype=torch.float64)
        for _ in range(20):
            w = w - rate * grad(lambda w: (a * w * w).sum() / 2)(w)
        return (w * w).sum()

    rate = torch.tensor(0.1, dtype=torch.float64)
    close(final(rate), ((1 - rate * a) ** 40).sum())
    expected = (-40 * a * (1 - rate * a) ** 39).sum()
    close(grad(final)(rate), expected)
    close(jvp(final, (rate,), (torch.ones((), dtype=torch.float64),))[1], expected)
    close(vmap(grad(final))(torch.stack([rate, rate * 2]))[0], expected)
    close(grad(grad(final))(rate), (40 * 39 * a**2 * (1 - rate * a) ** 38).sum())
