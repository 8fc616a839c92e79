"""Misuse of the transformations: torch's types and first lines."""

import functools

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import (
    functional_call,
    grad,
    grad_and_value,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)
from pullback.utils import _pytree

X = torch.arange(6.0).reshape(2, 3)
Y = torch.ones(2, 3)
N = torch.tensor([1, 2])
nn = torch.nn
LINEAR = nn.Linear(3, 2)
PARAMETERS = dict(LINEAR.named_parameters())


def f(*a):
    return a[0] * 1


def g(u):
    return (u * u).sum()


def product(a, b):
    return (a * b).sum()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


SCALAR = (
    "Expected f(*args) to return a scalar Tensor, got tensor with 2 dims. Maybe you wanted to use the vjp"
)
CASES = [
    (lambda: grad(f)(X), RuntimeError, SCALAR),
    (lambda: grad(lambda u: 3)(X), RuntimeError, "Expected f(*args) to return a Tensor, got <class 'int'>"),
    (lambda: grad_and_value(f)(X), RuntimeError, SCALAR),
    (lambda: grad(g)(N), RuntimeError, "only Tensors of floating point dtype can require gradients"),
    (lambda: grad(g)(2.0), ValueError, "Thing passed to transform API must be Tensor, got <class 'float'>"),
    (lambda: grad(g, 1)(X), RuntimeError, "Got argnum=1, but only 1 positional inputs"),
    (lambda: grad(g, -3)(X), RuntimeError, "Got argnum=-3, but only 1 positional inputs"),
    (lambda: grad(g, "a")(X), RuntimeError, "argnums must be int or Tuple[int, ...], got: <class 'str'>"),
    (lambda: grad(g, ())(X), RuntimeError, "argnums must be non-empty"),
    (lambda: grad(product, (0, -2))(X, Y), RuntimeError, "argnums elements must be unique, got (0, 0)"),
    (lambda: grad(product, (0, "a"))(X, Y), RuntimeError, "argnum must be int, got: <class 'str'>"),
    (lambda: grad(g, has_aux=True)(X), RuntimeError, "output of function f should be a tuple: (output, aux)"),
    (
        lambda: vjp(lambda u: 3, X),
        RuntimeError,
        "expected f(*primals) to return only tensors, got unsupported",
    ),
    (
        lambda: vjp(lambda u: (), X),
        RuntimeError,
        "Expected f to be a function that has non-empty output (got",
    ),
    (lambda: vjp(f, X)[1](torch.ones(3)), RuntimeError, "Mismatch in shape: grad_output[0] has a shape of"),
    (lambda: vjp(f, X)[1]((X,)), RuntimeError, "Expected pytree structure of cotangents to be the same"),
    (
        lambda: vjp(f, X, has_aux=True),
        RuntimeError,
        "vjp(f, *primals): output of function f should be a tuple",
    ),
    (
        lambda: jvp(f, X, (X,)),
        RuntimeError,
        "Expected primals to be a tuple. E.g. it should be valid to call",
    ),
    (
        lambda: jvp(f, (X,), [X]),
        RuntimeError,
        "Expected primals and tangents to have the same python structure",
    ),
    (
        lambda: jvp(f, (X,), (torch.ones(3),)),
        RuntimeError,
        "Trying to set a forward gradient that has a diff",
    ),
    (
        lambda: jvp(f, (N,), (N,)),
        ValueError,
        "Expected primal to be floating point or complex, but got: torch.",
    ),
    (
        lambda: jvp(f, (X.float(),), (X.long(),)),
        ValueError,
        "Expected tangent to be floating point or complex",
    ),
    (lambda: jvp(lambda: X, (), ()), RuntimeError, "Expected primals to contain at least one Tensor."),
    (
        lambda: jvp(f, (3.0,), (1.0,)),
        RuntimeError,
        "Expected primals to only contain Tensors, got <class 'float'>",
    ),
    (lambda: jvp(lambda u: 3, (X,), (X,)), RuntimeError, "expected f(*primals) to return only tensors"),
    (
        lambda: jvp(lambda u: Y, (X,), (X,), strict=True),
        RuntimeError,
        "The output of f is independent of the",
    ),
    (lambda: jvp(f, (X,), (X,), has_aux=True), RuntimeError, "output of function f should be a tuple"),
    (lambda: jacrev(f, chunk_size=0)(X), ValueError, "jacrev: `chunk_size` should be greater than 0."),
    (lambda: jacrev(f, 2)(X), RuntimeError, "Got argnum=2, but only 1 positional inputs"),
    (
        lambda: jacrev(lambda u: u.long())(X),
        RuntimeError,
        "All outputs of f must be floating-point or complex",
    ),
    (lambda: jacfwd(f, 2)(X), RuntimeError, "Got argnum=2, but only 1 positional inputs"),
    (
        lambda: jacfwd(f)(N),
        ValueError,
        "Expected primal to be floating point or complex, but got: torch.int64",
    ),
    (lambda: linearize(f, X)[1]((X,)), RuntimeError, "to have the same argspec as the primals"),
    (
        lambda: linearize(f, X)[1](torch.ones(3)),
        RuntimeError,
        "tangent:0 with shape torch.Size([3]) in flattened",
    ),
    (lambda: linearize(f, X)[1](X.double()), RuntimeError, "tangent:0 with dtype torch.float64 in flattened"),
    (
        lambda: vmap(f, in_dims="a")(X),
        ValueError,
        "expected `in_dims` to be int or a (potentially nested) tuple",
    ),
    (lambda: vmap(f, in_dims=(0.5,))(X), ValueError, "in_dim must be either an integer dimension or None."),
    (
        lambda: vmap(f, in_dims=(0, 0))(X),
        ValueError,
        "in_dims is not compatible with the structure of `inputs`.",
    ),
    (lambda: vmap(f, in_dims=(None,))(X), ValueError, "vmap: Expected at least one Tensor to vmap over"),
    (lambda: vmap(f)(), ValueError, "vmap(f)(<inputs>): got no inputs. Maybe you forgot to add inputs"),
    (lambda: vmap(f)(X, torch.ones(3)), ValueError, "same size in the mapped dimension, got sizes [2, 3]"),
    (lambda: vmap(f)(X, 3), ValueError, "Got in_dim=0 for an input but the input is of type <class 'int'>."),
    (
        lambda: vmap(f, in_dims=2)(X),
        ValueError,
        "that input is a Tensor of dimensionality 2 so expected in_dim",
    ),
    (lambda: vmap(lambda u: 3)(X), ValueError, "must only return Tensors, got type <class 'int'>."),
    (lambda: vmap(f, out_dims=None)(X), ValueError, "can not return a BatchedTensor when out_dim is None"),
    (
        lambda: vmap(f, out_dims=(0, 0))(X),
        ValueError,
        "out_dims is not compatible with the structure of `out",
    ),
    (
        lambda: vmap(f, out_dims="a")(X),
        ValueError,
        "`out_dims` must be an int, None or a python collection of",
    ),
    (
        lambda: vmap(f, out_dims=2)(X),
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but",
    ),
    (lambda: vmap(f, chunk_size=0)(X), ValueError, "chunk_size should be None or greater than 0. (got 0)"),
    (
        lambda: vmap(f, randomness="x")(X),
        RuntimeError,
        "Only allowed values for randomness are 'error', 'diff",
    ),
    (
        lambda: jacfwd(f, randomness="foo")(X),
        RuntimeError,
        "Only allowed values for randomness are 'error', 'different', or 'same'. Got foo",
    ),
    (
        lambda: vmap(torch.sin, in_dims=[0])(X),
        ValueError,
        "vmap(sin, in_dims=[0], ...)(<inputs>): expected `in_dims` to be int or a (potentially nested) tuple "
        "matching the structure of inputs, got: <class 'list'>.",
    ),
    (
        lambda: vmap(functools.partial(torch.add, X), in_dims=())(X),
        ValueError,
        "vmap(functools.partial(add, ...), in_dims=(), ...)(<inputs>): in_dims is not compatible",
    ),
    (
        lambda: functional_call(LINEAR, {"weight": Y}, (X,), strict=True),
        RuntimeError,
        "Error(s) in reparametrizing",
    ),
    (
        lambda: functional_call(LINEAR, [PARAMETERS] * 2, (X,)),
        ValueError,
        "['weight', 'bias'] appeared in multiple",
    ),
    (
        lambda: functional_call(LINEAR, 3, (X,)),
        ValueError,
        "Expected parameter_and_buffer_dicts to be a dict, or a",
    ),
    (
        lambda: functional_call(LINEAR, [PARAMETERS, 3], (X,)),
        ValueError,
        "Expected all elements of parameter_and",
    ),
    (lambda: functional_call(LINEAR, {"weight": 3}, (X,)), TypeError, "3 is not an instance of torch.Tensor"),
    (
        lambda: functional_call(Tied(), {"a.weight": torch.eye(3), "b.weight": torch.ones(3, 3)}, (X,)),
        ValueError,
        "got multiple values for keys ['a.weight', 'b.weight'], which are tied. Consider using",
    ),
    (lambda: stack_module_state([]), RuntimeError, "stack_module_state: Expected at least one model, got 0."),
    (
        lambda: stack_module_state([LINEAR, nn.Linear(3, 2).eval()]),
        RuntimeError,
        "stack_module_state: Expected all models to have the same training/eval mode.",
    ),
    (
        lambda: stack_module_state([LINEAR, nn.ReLU()]),
        RuntimeError,
        "Expected all models to be of the same class.",
    ),
    (
        lambda: stack_module_state([LINEAR, nn.Linear(3, 2).requires_grad_(False)]),
        RuntimeError,
        "Expected weight from each model to have the same .requires_grad",
    ),
    (
        lambda: fwAD.make_dual(X, Y),
        RuntimeError,
        "Trying to create a dual Tensor for forward AD but no level",
    ),
    (lambda: fwAD.exit_dual_level(), RuntimeError, "Dual level must be a positive number."),
    (
        lambda: fwAD.unpack_dual(3.0),
        TypeError,
        "_unpack_dual(): argument 'dual' (position 1) must be Tensor, not",
    ),
    (
        lambda: _pytree.tree_map(max, (1, [2]), (3, [4, 5])),
        ValueError,
        "Node arity mismatch; expected 1, but got 2.",
    ),
    (
        lambda: _pytree.tree_map(max, (1, [2]), (3, (4,))),
        ValueError,
        "Node type mismatch; expected <class 'list'>, but got <class 'tuple'>.",
    ),
    (
        lambda: _pytree.tree_map(max, {"a": 1}, {"b": 1}),
        ValueError,
        "Node keys mismatch; expected ['a'], but got",
    ),
    (
        lambda: _pytree.tree_unflatten([1], _pytree.tree_flatten((1, 2))[1]),
        ValueError,
        "`leaves` has length 1 but",
    ),
    (lambda: _pytree.tree_unflatten([1], 3), TypeError, "but got item of type <class 'int'>."),
]


@pytest.mark.parametrize("k", range(len(CASES)))
def test_first_line(k):
    call, kind, text = CASES[k]
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value).split("\n")[0]


INSIDE = [
    (lambda: fwAD.enter_dual_level(), RuntimeError, "Nested forward mode AD is not supported at the moment"),
    (
        lambda: fwAD.make_dual(X, torch.ones(3)),
        RuntimeError,
        "Trying to set a forward gradient that has a different",
    ),
    (
        lambda: fwAD.make_dual(N, N.float()),
        ValueError,
        "Expected primal to be floating point or complex, but got",
    ),
    (
        lambda: fwAD.make_dual(N.float(), N),
        ValueError,
        "Expected tangent to be floating point or complex, but got",
    ),
    (lambda: fwAD.make_dual(3.0, Y), AttributeError, "'float' object has no attribute 'is_floating_point'"),
    (
        lambda: fwAD.make_dual(fwAD.make_dual(X, Y), Y),
        RuntimeError,
        "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0",
    ),
    (
        lambda: fwAD.make_dual(X, fwAD.make_dual(X, Y)),
        RuntimeError,
        "Setting a forward grad that itself has a forward gradient at the same level0 is not supported.",
    ),
]


@pytest.mark.parametrize("k", range(len(INSIDE)))
def test_first_line_inside_a_dual_level(k):
    call, kind, text = INSIDE[k]
    with fwAD.dual_level(), pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value).split("\n")[0]
    with fwAD.dual_level():  # the level was closed
        assert fwAD.unpack_dual(fwAD.make_dual(X, Y)).tangent.equal(Y)
