"""argnums, has_aux, trees, chunk_size, in_dims and out_dims of the transformations."""

from collections import OrderedDict, namedtuple

import pytest

import pullback as torch
from pullback.func import (
    debug_unwrap,
    functional_call,
    functionalize,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    replace_all_batch_norm_modules_,
    stack_module_state,
    vjp,
    vmap,
)

Pair = namedtuple("Pair", "a b")
A = torch.tensor([1.0, 2.0, 3.0])
B = torch.tensor([4.0, -1.0, 0.5])


def same(got, expected):
    assert got.dtype == expected.dtype and torch.allclose(got, expected), (got, expected)


def f(a, b):
    return (a * a * b).sum()


@pytest.mark.parametrize("argnums", [0, 1, -1, (0,), (1, 0), (-1, 0)])
def test_argnums_of_gradients(argnums):
    gradients = [2 * A * B, A * A]
    got, value = grad_and_value(f, argnums)(A, B)
    same(value, f(A, B))
    if isinstance(argnums, int):
        return same(got, gradients[argnums])
    assert isinstance(got, tuple) and len(got) == len(argnums)
    for g, k in zip(got, argnums):
        same(g, gradients[k])


@pytest.mark.parametrize("jacobian", [jacrev, jacfwd])
def test_argnums_of_jacobians(jacobian):
    g = lambda a, b: a * b  # noqa: E731
    same(jacobian(g, 1)(A, B), torch.diag(A))
    by_b, by_a = jacobian(g, (1, 0))(A, B)
    same(by_b, torch.diag(A))
    same(by_a, torch.diag(B))
    rows = hessian(f, (0, 1))(A, B)
    same(rows[0][0], torch.diag(2 * B))
    same(rows[0][1], torch.diag(2 * A))
    same(rows[1][0], torch.diag(2 * A))
    same(rows[1][1], torch.zeros(3, 3))


def test_has_aux():
    with_aux = lambda a: ((a * a).sum(), {"twice": a * 2, "name": "x"})  # noqa: E731
    g, aux = grad(with_aux, has_aux=True)(A)
    same(g, 2 * A)
    same(aux["twice"], 2 * A)
    assert aux["name"] == "x" and not aux["twice"].requires_grad
    g, (value, aux) = grad_and_value(with_aux, has_aux=True)(A)
    same(value, (A * A).sum())
    same(aux["twice"], 2 * A)
    value, pull, aux = vjp(with_aux, A, has_aux=True)
    same(pull(torch.ones(()))[0], 2 * A)
    same(aux["twice"], 2 * A)
    value, dot, aux = jvp(lambda a: (a * a, a * 2), (A,), (B,), has_aux=True)
    same(dot, 2 * A * B)
    same(aux, 2 * A)
    for jacobian in (jacrev, jacfwd):
        j, aux = jacobian(lambda a: (a * a, a * 2), has_aux=True)(A)
        same(j, torch.diag(2 * A))
        same(aux, 2 * A)


TREES = [
    lambda a, b: {"a": a, "b": b},
    lambda a, b: OrderedDict(b=b, a=a),
    lambda a, b: Pair(a, b),
    lambda a, b: [a, (b,)],
]


def leaves(tree):
    from pullback.utils._pytree import tree_leaves

    return tree_leaves(tree)


@pytest.mark.parametrize("k", range(len(TREES)))
def test_trees(k):
    def of_tree(tree):
        return sum((x**2).sum() * (n + 1) for n, x in enumerate(leaves(tree)))

    tree = TREES[k](A, B)
    g = grad(of_tree)(tree)
    assert type(g) is type(tree)
    for n, (x, d) in enumerate(zip(leaves(tree), leaves(g))):
        same(d, 2 * (n + 1) * x)
    _, dot = jvp(of_tree, (tree,), (tree,))
    same(dot, 2 * of_tree(tree))
    for jacobian in (jacrev, jacfwd):
        for d, e in zip(leaves(jacobian(of_tree)(tree)), leaves(g)):
            same(d, e)
    many = vmap(lambda t: TREES[k](*(x * 2 for x in leaves(t))))(tree)
    assert type(many) is type(tree)
    assert torch.equal(torch.cat(leaves(many)).sort()[0], (2 * torch.cat([A, B])).sort()[0])


def test_vjp_and_linearize_may_be_called_again():
    value, pull = vjp(lambda a: {"s": a.sin(), "c": a.cos()}, A)
    for scale in (1.0, 2.0):
        same(pull({"s": A * scale, "c": B})[0], scale * A * A.cos() - B * A.sin())
    value, push = linearize(lambda a, b: (a * b, a.sin()), A, B)
    same(value[1], A.sin())
    for t in (A, B):
        first, second = push(t, A)
        same(first, t * B + A * A)
        same(second, A.cos() * t)
    same(vmap(lambda t: push(t, A)[1])(torch.eye(3)), torch.diag(A.cos()))


def test_outputs_that_do_not_depend_on_inputs():
    same(vjp(lambda a: B, A)[1](A)[0], torch.zeros(3))
    same(jvp(lambda a: B, (A,), (A,))[1], torch.zeros(3))
    same(grad(lambda a: B.sum())(A), torch.zeros(3))
    same(jacrev(lambda a: B)(A), torch.zeros(3, 3))
    same(jacfwd(lambda a: B)(A), torch.zeros(3, 3))


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, None])
def test_chunks(chunk_size):
    x = torch.arange(12.0).reshape(6, 2)
    same(vmap(lambda u: u.sin(), chunk_size=chunk_size)(x), x.sin())
    same(vmap(lambda u: u.outer(u), out_dims=2, chunk_size=chunk_size)(x), torch.einsum("ni,nj->ijn", x, x))
    j = jacrev(lambda u: u * u, chunk_size=chunk_size)(torch.arange(6.0))
    same(j, torch.diag(2 * torch.arange(6.0)))


def test_in_dims_and_out_dims():
    x = torch.arange(24.0).reshape(2, 3, 4)
    for d in (-3, -2, -1, 0, 1, 2):
        same(vmap(lambda u: u.sin(), in_dims=d, out_dims=d)(x), x.sin())
        same(vmap(lambda u: u.sum(), in_dims=d)(x), x.movedim(d, 0).sum((1, 2)))
    nested = vmap(lambda t, k: t["a"] * t["b"][0] + k, in_dims=({"a": 0, "b": (None,)}, None))
    same(nested({"a": A, "b": (B,)}, 2.0), A[:, None] * B + 2)
    out = vmap(lambda u: (u, {"m": u * 2}), out_dims=(1, {"m": 0}))(x[0])
    same(out[0], x[0].T)
    same(out[1]["m"], x[0] * 2)
    same(vmap(lambda u: B)(A), B.expand(3, 3))
    assert vmap(lambda u: B, out_dims=None)(A).shape == (3,)
    assert vmap(lambda u: (u, 3), out_dims=(0, None))(A)[1] == 3
    same(vmap(lambda u, k: u * k)(A, k=torch.tensor(2.0)), A * 2)
    assert vmap(lambda u: u * 2)(torch.ones(0, 3)).shape == (0, 3)


def test_modules_as_functions():
    nn = torch.nn
    nets = [nn.Linear(3, 2) for _ in range(4)]
    params, buffers = stack_module_state(nets)
    assert buffers == {} and params["weight"].shape == (4, 2, 3)
    assert params["weight"].requires_grad and params["weight"].is_leaf
    call = lambda p, x: functional_call(nets[0], p, (x,))  # noqa: E731
    out = vmap(call, (0, None))(params, A)
    for net, y in zip(nets, out):
        same(y, net(A))
    per_sample = vmap(grad(lambda p, x: call(p, x).pow(2).sum()), (None, 0))
    p = {k: v.detach() for k, v in nets[0].named_parameters()}
    x = torch.stack([A, B])
    got = per_sample(p, x)["weight"]
    same(got, torch.einsum("no,ni->noi", 2 * call(p, x), x))
    before = nets[0].weight
    with pytest.raises(ZeroDivisionError):
        functional_call(nets[0], p, (), {"input": 1 / 0})
    with pytest.raises(RuntimeError, match=r"cannot be multiplied|size mismatch|shapes"):
        functional_call(nets[0], {"weight": torch.ones(5, 5)}, (A,))
    assert nets[0].weight is before


def test_functionalize_and_debug_unwrap():
    def f(x):
        y = x.clone()
        y[0] = 5
        return y * 2

    for remove in ("mutations", "mutations_and_views"):
        same(functionalize(f, remove=remove)(A), f(A))
    same(vmap(functionalize(grad(lambda x: f(x).sum())))(A[None]), torch.tensor([[0.0, 2.0, 2.0]]))
    seen = []

    def look(x):
        seen.append((debug_unwrap(x).shape, debug_unwrap(x, recurse=False).shape))
        return x

    vmap(vmap(look))(torch.ones(2, 3, 4))
    assert seen == [((2, 3, 4), (3, 4))]
    assert debug_unwrap(A) is A
    with pytest.raises(RuntimeError, match="received invalid argument for remove=x"):
        functionalize(f, remove="x")


def test_batch_norms_without_statistics():
    class _BatchNorm(torch.nn.Module):
        track_running_stats = True
        running_mean = running_var = num_batches_tracked = 1

    net = torch.nn.Sequential(torch.nn.Linear(2, 2), _BatchNorm())
    assert replace_all_batch_norm_modules_(net) is net
    assert net[1].running_mean is None and net[1].track_running_stats is False


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = (torch.nn.Linear(3, 3, bias=False) for _ in range(2))
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


def test_one_name_of_a_tied_weight_is_enough():
    net, weight, other = Tied(), torch.eye(3) * 2, torch.ones(3, 3)
    call = lambda given, **how: functional_call(net, given, A, strict=True, **how)  # noqa: E731
    for given in ({"a.weight": weight}, {"b.weight": weight}, {"a.weight": weight, "b.weight": weight}):
        same(call(given), A * 4)
    both = {"b.weight": weight, "a.weight": other}
    text = (
        "functional_call got multiple values for keys ['a.weight', 'b.weight'], which are tied. "
        "Consider using tie_weights=False"
    )
    with pytest.raises(ValueError) as error:
        call(both)
    assert str(error.value) == text
    same(call(both, tie_weights=False), (A.sum() * 2).expand(3))
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'b.weight'\."):
        call({"a.weight": weight}, tie_weights=False)
    with pytest.raises(RuntimeError) as error:
        call({"z": weight, "y": weight})
    assert str(error.value) == (
        "Error(s) in reparametrizing for Tied:\n\tUnexpected key(s): 'y', 'z'.\n"
        "\tMissing key(s): 'a.weight', 'b.weight'."
    )


def test_tensors_that_are_neither_parameters_nor_buffers():
    net = torch.nn.Linear(3, 3, bias=False)
    net.scale = torch.ones(3)
    net.register_forward_hook(lambda m, _, out: out * m.scale)
    given = {"weight": torch.eye(3), "bias": B, "scale": torch.full((3,), 2.0)}
    same(functional_call(net, given, A), (A + B) * 2)
    assert net.bias is None and net.scale.tolist() == [1, 1, 1]
    functional_call(net, {"new": B}, A)
    assert not hasattr(net, "new")


def test_tensors_are_put_back_where_one_is_refused():
    net = torch.nn.Linear(3, 3)
    weight, bias = net.weight, net.bias
    with pytest.raises(TypeError, match="3 is not an instance of torch"):
        functional_call(net, {"weight": torch.eye(3), "new": B, "bias": 3}, A)
    assert net.weight is weight and net.bias is bias and not hasattr(net, "new")


def test_a_module_that_holds_itself():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3))
    net._modules["1"] = net
    with pytest.raises(RecursionError):
        functional_call(net, {}, A)


def test_a_module_under_two_names():
    inner = torch.nn.Linear(3, 3, bias=False)
    net, weight = torch.nn.Sequential(inner, inner), inner.weight
    eye = torch.eye(3)
    for given in ({"0.weight": eye}, {"0.weight": eye, "1.weight": eye}):
        for tie in (True, False):
            same(functional_call(net, given, A, tie_weights=tie), A)
            assert inner.weight is weight


def test_jacobians_of_single_elements():
    x = torch.tensor(2.0)
    for jacobian in (jacfwd, jacrev):
        assert jacobian(lambda x: x**3)(x).item() == 12
        assert jacobian(lambda x: x**3)(x).shape == ()
    assert hessian(lambda x: x**3)(x).item() == 12


def test_axes_of_vmap_that_are_no_axes():
    x = torch.ones(2, 3)
    for dims in (False, True, (False,)):
        with pytest.raises(
            TypeError, match=r"^size\(\): argument 'dim' \(position 1\) must be int, not bool"
        ):
            torch.func.vmap(lambda v: v, in_dims=dims)(x)
    assert torch.func.vmap(lambda v: v, out_dims=(1,))(x).shape == (3, 2)  # of a single result, in a tuple
    with pytest.raises(ValueError, match=r"can not return a BatchedTensor when out_dim is None"):
        torch.func.vmap(lambda v: v, out_dims=(None,))(x)
