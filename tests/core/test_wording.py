"""Calls that fit no signature of a function written in Python, in torch's words; and methods' positions."""

import pytest

import pullback as torch

X = torch.arange(6.0).reshape(2, 3)
V = torch.ones(3)
I = torch.tensor([1, 2])

REFUSED = [
    (lambda: torch.kron(X), 'kron() missing 1 required positional arguments: "other"'),
    (lambda: torch.kron(), 'kron() missing 2 required positional argument: "input", "other"'),
    (lambda: X.kron(), 'kron() missing 1 required positional arguments: "other"'),
    (lambda: X.kron(X, X), "kron() takes 1 positional argument but 2 were given"),
    (lambda: torch.kron(X, X, X), "kron() takes 2 positional arguments but 3 were given"),
    (lambda: torch.kron(X, X, foo=1), "kron() got an unexpected keyword argument 'foo'"),
    (lambda: torch.kron(X, X, other=X), "kron() got multiple values for argument 'other'"),
    (lambda: torch.kron(1.5), "kron(): argument 'input' (position 1) must be Tensor, not float"),
    (lambda: X.cross(X, 1, 2), "cross() takes from 1 to 2 positional arguments but 3 were given"),
    (lambda: X.adjoint(1), "TensorBase.adjoint() takes no arguments (1 given)"),
    (lambda: X.adjoint(foo=1), "TensorBase.adjoint() takes no keyword arguments"),
    (lambda: X.dim(1), "TensorBase.dim() takes no arguments (1 given)"),
    (lambda: X.data_ptr(foo=1), "TensorBase.data_ptr() takes no keyword arguments"),
    (lambda: X.exp(foo=1), "TensorBase.exp() takes no keyword arguments"),
    (lambda: X.tril(1, 2), "tril() takes from 0 to 1 positional arguments but 2 were given"),
    (lambda: torch.tril(X, 1, 2), "tril() takes from 1 to 2 positional arguments but 3 were given"),
    (lambda: X.bool(1), "bool() takes 0 positional arguments but 1 was given"),
    (lambda: X.contiguous(1), "contiguous() takes 0 positional arguments but 1 was given"),
    (lambda: torch.chunk("a", 2), "chunk(): argument 'input' (position 1) must be Tensor, not str"),
    (lambda: torch.flipud([X]), "flipud(): argument 'input' (position 1) must be Tensor, not list"),
    (lambda: X.matmul("a"), "matmul(): argument 'other' (position 1) must be Tensor, not str"),
    (lambda: torch.matmul(X, "a"), "matmul(): argument 'other' (position 2) must be Tensor, not str"),
    (lambda: X.equal(1), "equal(): argument 'other' (position 1) must be Tensor, not int"),
    (lambda: V.logical_and_(1), "logical_and_(): argument 'other' (position 1) must be Tensor, not int"),
    (lambda: torch.flatten(X, 0.5), "flatten(): argument 'start_dim' (position 2) must be int, not float"),
    (lambda: X.flatten(0.5), "flatten(): argument 'start_dim' (position 1) must be int, not float"),
    (lambda: X.clone().resize_(), 'resize_() missing 1 required positional arguments: "size"'),
    (lambda: X.sum_to_size(), 'sum_to_size() missing 1 required positional arguments: "size"'),
    (lambda: V.clone().uniform_(foo=1), "uniform_() got an unexpected keyword argument 'foo'"),
    (lambda: V.clone().random_(1, 2, 3), "random_() takes 2 positional arguments but 3 were given"),
    (
        lambda: V.clone().random_(1, foo=3),
        "random_() received an invalid combination of arguments - got (int, foo=int), but expected one of:",
    ),
    (lambda: V.type(torch.float64, foo=1), "type() got an unexpected keyword argument 'foo'"),
    (lambda: torch.unique(V, 1), "_unique2(): argument 'sorted' must be bool, not int"),
    (
        lambda: torch.tensor_split(V, {}),
        "tensor_split() received an invalid combination of arguments - got (Tensor, dict), but expected one "
        "of:",
    ),
    (
        lambda: torch.tril_indices(1.5, 2),
        "tril_indices(): argument 'row' (position 1) must be int, not float",
    ),
    (
        lambda: torch.can_cast(V, torch.int64),
        "can_cast(): argument 'from_' (position 1) must be torch.dtype, not Tensor",
    ),
    (lambda: torch.zeros([X]), "zeros(): argument 'size' (position 1) must be tuple of ints, but found "
     "element of type Tensor at pos 0"),
    (lambda: torch.median(X, out=torch.empty(0)), 'median() missing 1 required positional arguments: "dim"'),
]  # fmt: skip

COMBINATIONS = {
    "quantile": (lambda: torch.quantile(X, 0.5, 0, True, 5), "Tensor, float, int, bool, int"),
    "searchsorted": (lambda: torch.searchsorted(V, V, foo=1), "Tensor, Tensor, foo=int"),
    "pow": (lambda: X.pow(2, 3), "int, int"),
    "repeat_interleave": (lambda: X.repeat_interleave(1, 2, foo="a"), "int, int, foo=str"),
    "movedim": (lambda: X.movedim(foo=1), "foo=int, "),
    "eq": (lambda: torch.eq(X, "a"), "Tensor, str"),
    "bitwise_and": (lambda: I.bitwise_and(), ""),
    "remainder": (lambda: X.remainder(X, 1), "Tensor, int"),
    "all": (lambda: torch.all(X, foo=1), "Tensor, foo=int"),
    "std": (lambda: torch.std("a"), "str"),
    "less_equal": (lambda: torch.less_equal(X, None), "Tensor, NoneType"),
    "multiply": (lambda: X.multiply(), ""),
    "eq_": (lambda: X.clone().eq_([1]), "list"),
}


def refused(call, text):
    with pytest.raises(TypeError) as e:
        call()
    assert str(e.value).split("\n")[0] == text


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_one_signature(case):
    refused(*REFUSED[case])


@pytest.mark.parametrize("name", COMBINATIONS)
def test_several_signatures(name):
    call, found = COMBINATIONS[name]
    refused(
        call, f"{name}() received an invalid combination of arguments - got ({found}), but expected one of:"
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: torch.tensordot(X), "tensordot() missing 1 required positional argument: 'b'"),
        (lambda: X.unique(foo=1), "Tensor.unique() got an unexpected keyword argument 'foo'"),
        (lambda: X.norm(foo=1), "Tensor.norm() got an unexpected keyword argument 'foo'"),
        (lambda: torch.norm(), "norm() missing 1 required positional argument: 'input'"),
    ],
)
def test_what_torch_has_in_python_too(call, text):
    refused(call, text)


def test_second_names_are_functions_of_their_own():
    for name, first in (("less", "lt"), ("multiply", "mul"), ("absolute", "abs"), ("divide", "div")):
        assert getattr(torch, name).__name__ == name and getattr(torch, first).__name__ == first
        assert getattr(torch.Tensor, name + "_").__name__ == name + "_"
    assert torch.overrides.resolve_name(torch.less) == "torch.less"
    assert X.multiply(2).equal(X * 2) and X.clone().divide_(2).equal(X / 2)


def test_errors_of_the_work_itself_stay():
    class Odd(torch.Tensor):
        pass

    def broken(g):
        raise TypeError("own text")

    x = X.clone().requires_grad_()
    x.register_hook(broken)
    with pytest.raises(TypeError, match=r"^own text$"):
        x.sum().backward()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        X.as_subclass(Odd).nothing  # noqa: B018


NATIVE_KINDS = (torch.float32, torch.device("cpu"), torch.strided, torch.contiguous_format, torch.Size([1]))


@pytest.mark.parametrize("given", NATIVE_KINDS, ids=str)
def test_kinds_are_named_in_full(given):
    kind = f"torch.{type(given).__name__}"
    refused(lambda: torch.eye(given), f"eye(): argument 'n' (position 1) must be int, not {kind}")
    refused(lambda: torch.exp(given), f"exp(): argument 'input' (position 1) must be Tensor, not {kind}")
    refused(lambda: torch.kron(X, given), f"kron(): argument 'other' (position 2) must be Tensor, not {kind}")


def test_sides_of_a_triangle_are_counted():
    with pytest.raises(RuntimeError, match=r"^row must be non-negative, got-1\n"):
        torch.tril_indices(-1, 2)
    assert torch.triu_indices(0, 2).shape == (2, 0)
