"""Calls that fit no signature: torch's class and first line, with positions as the caller counts them."""

import pytest

import pullback as torch

X = torch.arange(6.0).reshape(2, 3)

REFUSED = {
    "sum of a string": (
        lambda: X.sum("a"),
        "sum() received an invalid combination of arguments - got (str), but expected one of:",
    ),
    "second of sum": (
        lambda: X.sum(1, "a"),
        "sum(): argument 'keepdim' (position 2) must be bool, not str",
    ),
    "reshape": (
        lambda: X.reshape("a"),
        "reshape(): argument 'shape' (position 1) must be tuple of ints, not str",
    ),
    "reshape twice": (
        lambda: X.reshape("a", "b"),
        "reshape() takes 1 positional argument but 2 were given",
    ),
    "reshape, later": (
        lambda: X.reshape(1, "a"),
        "reshape(): argument 'shape' failed to unpack the object at pos 2 with error \"type must "
        'be tuple of ints,but got str"',
    ),
    "reshape of a bool": (
        lambda: X.reshape([True]),
        "reshape(): argument 'shape' (position 1) must be tuple of ints, but found element of "
        "type bool at pos 0",
    ),
    "add of nothing": (
        lambda: X.add(),
        "add() received an invalid combination of arguments - got (), but expected (Tensor other, "
        "*, Number alpha = 1)",
    ),
    "add of None": (
        lambda: X.add(None),
        "add(): argument 'other' (position 1) must be Tensor, not NoneType",
    ),
    "add of two": (
        lambda: X.add(X, 1.0),
        "add() takes 1 positional argument but 2 were given",
    ),
    "add, unknown": (
        lambda: X.add(X, foo=1),
        "add() got an unexpected keyword argument 'foo'",
    ),
    "add, missing": (
        lambda: X.add(foo=1),
        'add() missing 1 required positional arguments: "other"',
    ),
    "add, all unknown": (
        lambda: X.add(1, 2, 3, bar=1, foo=2),
        "add() received an invalid combination of arguments - got unrecognized keyword arguments: foo, bar",
    ),
    "mul twice": (
        lambda: X.mul(1, other=2),
        "mul() got multiple values for argument 'other'",
    ),
    "named": (
        lambda: X.sum(dim=0, keepdim="a"),
        "sum(): argument 'keepdim' must be bool, not str",
    ),
    "transpose": (
        lambda: X.transpose(0),
        'transpose() missing 1 required positional arguments: "dim1"',
    ),
    "transpose, both": (
        lambda: X.transpose(),
        'transpose() missing 2 required positional argument: "dim0", "dim1"',
    ),
    "none taken": (
        lambda: X.exp(1),
        "TensorBase.exp() takes no arguments (1 given)",
    ),
    "only named": (
        lambda: X.sum(foo=(1, 2)),
        "sum() received an invalid combination of arguments - got (foo=tuple, ), but expected one of:",
    ),
    "max": (
        lambda: X.max(foo=1),
        "max() received an invalid combination of arguments - got (foo=int, ), but expected one of:",
    ),
    "a parameter": (
        lambda: X.sum(torch.nn.Parameter(X)),
        "sum() received an invalid combination of arguments - got (Parameter), but expected one of:",
    ),
    "in place": (
        lambda: X.add_("a"),
        "add_(): argument 'other' (position 1) must be Tensor, not str",
    ),
    "function": (
        lambda: torch.flip(X, "a"),
        "flip(): argument 'dims' (position 2) must be tuple of ints, not str",
    ),
    "function of one": (
        lambda: torch.add(X),
        "add() received an invalid combination of arguments - got (Tensor), but expected (Tensor "
        "input, Tensor other, *, Number alpha = 1, Tensor out = None)",
    ),
    "functions of none": (
        lambda: torch.mul(),
        'mul() missing 2 required positional argument: "input", "other"',
    ),
    "no tensor": (
        lambda: torch.sum(1),
        "sum(): argument 'input' (position 1) must be Tensor, not int",
    ),
    "second name": (
        lambda: torch.concat(1),
        "concat(): argument 'tensors' (position 1) must be tuple of Tensors, not int",
    ),
    "cat of a number": (
        lambda: torch.cat([1]),
        "expected Tensor as element 0 in argument 0, but got int",
    ),
    "cat, later": (
        lambda: torch.cat([X, None]),
        "expected Tensor as element 1 in argument 0, but got NoneType",
    ),
    "meshgrid": (
        lambda: torch.meshgrid(X, 1),
        "expected Tensor as element 1 in argument 0, but got int",
    ),
    "broadcast_tensors": (
        lambda: torch.broadcast_tensors([X, X]),
        "expected Tensor as element 0 in argument 0, but got list",
    ),
    "cartesian_prod": (
        lambda: torch.cartesian_prod([X]),
        "expected Tensor as element 0 in argument 0, but got list",
    ),
    "block_diag": (
        lambda: torch.block_diag(1),
        "expected Tensor as element 0 in argument 0, but got int",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_type_errors(name):
    call, text = REFUSED[name]
    with pytest.raises(TypeError) as e:
        call()
    assert str(e.value).split("\n")[0] == text


@pytest.mark.parametrize("join", [torch.cat, torch.concat, torch.concatenate])
@pytest.mark.parametrize("nothing", [[], ()])
def test_nothing_to_join(join, nothing):
    with pytest.raises(ValueError, match=r"^torch\.cat\(\): expected a non-empty list of Tensors$"):
        join(nothing)


def test_nothing_to_combine():
    assert torch.block_diag().shape == (1, 0) and torch.broadcast_tensors() == ()


def test_sizes_that_are_too_large():
    with pytest.raises(ValueError, match=r"^Overflow when unpacking long long$"):
        X.cumsum(2**70)


def test_einsum_without_operands():
    for args in ((), ("ij",), (X,)):
        with pytest.raises(ValueError) as e:
            torch.einsum(*args)
        assert str(e.value) == (
            "einsum(): must specify the equation string and at least one operand, or at least one operand "
            "and its subscripts list"
        )


def test_einsum_of_lists():
    y = torch.arange(12.0).reshape(3, 4)
    for args, equation, operands in (
        ((X, [0, 1], y, [1, 2], [0, 2]), "ab,bc->ac", (X, y)),
        ((X, [0, 1], y, [1, 2]), "ab,bc", (X, y)),
        ((X, [30, 1], y, [1, 2]), "eB,BC", (X, y)),  # capitals come first
        ((X, [0, ...], [..., 0]), "a...->...a", (X,)),
        ((X, [1, 0], []), "ab->", (X,)),
    ):
        assert torch.einsum(*args).equal(torch.einsum(equation, *operands))
    with pytest.raises(ValueError) as e:
        torch.einsum(X, [0, 52])
    assert str(e.value).split("\n")[0] == (
        "einsum(): subscript in subscript list is not within the valid range [0, 52)"
    )


def test_methods_and_functions_are_told_apart():
    assert torch.Tensor.exp is not torch.exp and torch.Tensor.exp.function is torch.exp
    assert torch.exp.function is torch.exp
    assert torch.overrides.resolve_name(torch.exp) == "torch.exp"
    assert torch.overrides.resolve_name(torch.Tensor.exp) == "torch.Tensor.exp"
    assert torch.overrides.is_tensor_method_or_property(torch.Tensor.exp)
    assert not torch.overrides.is_tensor_method_or_property(torch.exp)
