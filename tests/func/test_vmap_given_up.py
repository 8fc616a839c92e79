"""What vmap does where samples cannot run together: groups, loops, nothing left of a run given up."""

import pytest

import pullback as torch
from pullback.func import grad, jacfwd, jvp, not_vectorised, vmap

X = torch.tensor([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])


def expected_of(f):
    return torch.stack([f(x) for x in X])


def test_branches_run_in_groups():
    f = lambda x: x * 2 if x.sum() > 0 else -x  # noqa: E731
    with not_vectorised() as report:
        assert torch.equal(vmap(f)(X), expected_of(f))
    assert len(report) == 1 and "2 groups" in report[0]


def test_numbers_taken_out():
    f = lambda x: x * x[0].item() + len(x.tolist())  # noqa: E731
    assert torch.equal(vmap(f)(X), expected_of(f))
    assert torch.equal(vmap(lambda x: torch.tensor(float(x.sum())))(X), X.sum(1))
    assert torch.equal(vmap(grad(lambda x: (x * x[0].item()).sum()))(X), X[:, :1].expand(3, 2))


def test_a_run_given_up_leaves_captured_tensors_alone():
    v = torch.tensor([1.0, 1.0])
    seen = []

    def f(x):
        v.mul_(2)
        seen.append(v.tolist())
        return x * v if x.sum() > 0 else x

    assert torch.equal(vmap(f)(X), torch.stack([X[0] * 2, X[1], X[2] * 2]))
    assert seen == [[2, 2]] * 3  # the run that was given up, and two groups
    assert v.tolist() == [2, 2] and v._version == 1


def test_arguments_changed_in_place_are_not_changed_twice():
    x = X.clone()

    def f(u):
        u.mul_(2)
        return u.sum() if u.sum() > 0 else u[0]

    assert vmap(f)(x).tolist() == [6, 6, 22]
    base = torch.arange(4.0)
    with not_vectorised() as report:
        jac = jacfwd(lambda u: u.mul_(2) * (u if u.sum() > 0 else -u))(base)
    assert torch.equal(jac, torch.diag(8 * torch.arange(4.0))) and report == []
    assert base.tolist() == [0, 2, 4, 6]


def test_histories_are_put_back():
    w = torch.ones(2, requires_grad=True)
    v = w * 1

    def f(x):
        v.mul_(3)
        return (v * x).sum() if x.sum() > 0 else x[0]

    out = vmap(f)(X).sum()
    g = torch.autograd.grad(out, w, retain_graph=True)[0]
    assert g.tolist() == [18, 24]
    assert torch.autograd.grad(v.sum(), w)[0].tolist() == [3, 3]


def test_values_of_each_sample_in_a_captured_tensor_come_in_turn():
    """As in a loop in Python: a sample sees what those before it have added."""
    v = torch.tensor([1.0, 2.0])

    def f(x):
        v.add_(x)
        return x * v

    with not_vectorised() as report:
        assert vmap(f)(X).tolist() == [[2, 8], [15, 0], [50, 36]]
    assert v.tolist() == [10, 6] and "puts values of each sample into a tensor" in report[0]


def test_tangents_of_outer_tensors_are_put_back():
    def f(u):
        v = u.clone()

        def g(x):
            v.mul_(2)
            return (v * x).sum() if x.sum() > 0 else x[0]

        return vmap(g)(X)

    u = torch.tensor([1.0, 1.0])
    value, tangent = jvp(f, (u,), (torch.tensor([1.0, 0.0]),))
    assert value.tolist() == [6, 3, 22] and tangent.tolist() == [2, 0, 10]


def test_captured_tensors_that_see_elements_elsewhere():
    """A detached tensor over the same memory has to see the write: so the samples run one by one."""

    def f(x):
        z = torch.zeros(2)
        d = z.detach()
        z[0] = x[1]
        return d * 1

    assert torch.equal(vmap(f)(X), torch.stack([X[:, 1], torch.zeros(3)], 1))


def test_requires_grad_inside_vmap():
    def f(x):
        x = x.detach().requires_grad_()
        assert x.requires_grad and x.is_leaf
        return torch.autograd.grad((x**3).sum(), x)[0]

    with not_vectorised() as report:
        assert torch.equal(vmap(f)(X), 3 * X**2)
    assert report == []
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        vmap(lambda x: x.long().requires_grad_())(X)

    def off(x):
        return x.detach().requires_grad_().requires_grad_(False).requires_grad

    assert vmap(lambda x: x * (0 if off(x) else 1))(X).equal(X)


def test_exceptions_leave_nothing_open():
    class Odd(Exception):
        pass

    def fail(x):
        raise Odd

    for call in (
        lambda: vmap(fail)(X),
        lambda: vmap(lambda x: fail(x) if x.sum() > 0 else x)(X),
        lambda: grad(fail)(X),
        lambda: jvp(fail, (X,), (X,)),
        lambda: vmap(grad(fail))(X),
        lambda: vmap(fail, randomness="different")(X),
    ):
        with pytest.raises(Odd):
            call()
    from pullback.func import levels

    assert not levels.inside_transform() and torch.is_grad_enabled()
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: torch.rand(2))(X)
    assert torch.rand(1).shape == (1,)


def test_a_target_outside_is_seen_inside_vmap():
    loss = torch.func.vmap(torch.nn.functional.binary_cross_entropy)
    assert loss(torch.full((2, 1), 0.5), torch.tensor([[1.0], [0.0]])).tolist() == pytest.approx(
        [0.6931] * 2, 1e-3
    )
    with pytest.raises(RuntimeError, match="all elements of target should be between 0 and 1"):
        loss(torch.full((2, 1), 0.5), torch.tensor([[1.0], [3.0]]))
