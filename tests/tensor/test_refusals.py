"""What torch refuses (or only warns of) in arithmetic, fills and keys. Texts are PyTorch's."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

import pullback as torch

TWO_BOOLS = (
    "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
    "operator instead."
)
ONE_BOOL = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
    "use the `~` or `logical_not()` operator instead."
)


def refuses(text, call):
    with pytest.raises(RuntimeError) as e:
        call()
    assert type(e.value) is RuntimeError and str(e.value).split("\n")[0] == text, repr(e.value)


A, Z, BYTES = torch.tensor([1, 2, 3]), torch.tensor([1, 0, 1]), torch.tensor([7, 8], dtype=torch.uint8)
DIVISIONS = {
    "//": lambda: A // 0,
    "%": lambda: A % 0,
    "// tensor": lambda: A // Z,
    "% tensor": lambda: A % Z,
    "number // tensor": lambda: 5 // Z,
    "number % tensor": lambda: 5 % Z,
    "strided": lambda: A.expand(2, 3) // torch.tensor([[1, 2], [3, 4], [0, 5]]).t(),
    "floor_divide": lambda: torch.floor_divide(A, 0),
    "fmod": lambda: torch.fmod(A, Z),
    "remainder": lambda: torch.remainder(A, 0),
    "floor": lambda: A.div(Z, rounding_mode="floor"),
    "trunc": lambda: A.div(Z, rounding_mode="trunc"),
    "bytes": lambda: BYTES // 0,
    "int32": lambda: A.int() % Z.int(),
}


@pytest.mark.parametrize("case", DIVISIONS)
def test_integers_divided_by_zero(case):
    refuses("ZeroDivisionError", DIVISIONS[case])


def test_a_refused_division_changes_nothing():
    x = torch.tensor([4, 5, 6])
    for change in (x.floor_divide_, x.remainder_, x.fmod_):
        refuses("ZeroDivisionError", lambda change=change: change(Z))
    assert x.tolist() == [4, 5, 6] and x._version == 0


def test_divisions_that_torch_allows():
    assert (torch.empty(0, dtype=torch.int64) // 0).shape == (0,)
    assert (A // torch.empty(0, 1, dtype=torch.int64)).shape == (0, 3)
    assert torch.div(A, Z, rounding_mode=None).tolist() == [1.0, float("inf"), 3.0]
    assert (A // 0.0).tolist() == [float("inf")] * 3 and torch.isnan(torch.ones(1) % 0).item()
    low = torch.tensor([-(2**63)])
    assert (low // -1).tolist() == [-(2**63)] and (low % -1).tolist() == [0]


def full(dtype):
    return torch.zeros(2, dtype=dtype)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: BYTES.clone().fill_(300), "uint8_t"),
        (lambda: BYTES.clone().fill_(-256), "uint8_t"),
        (lambda: BYTES.clone().fill_(256.0), "uint8_t"),
        (lambda: BYTES.clone().__setitem__(0, 300), "uint8_t"),
        (lambda: torch.full((2,), 300, dtype=torch.uint8), "uint8_t"),
        (lambda: torch.full_like(BYTES, 300), "uint8_t"),
        (lambda: full(torch.int32).fill_(2**40), "int"),
        (lambda: full(torch.int32).fill_(1e20), "int"),
        (lambda: full(torch.int32).fill_(float("nan")), "int"),
        (lambda: full(torch.int64).fill_(1e20), "int64_t"),
        (lambda: full(torch.int64).fill_(float("inf")), "int64_t"),
        (lambda: full(torch.float32).fill_(1e300), "float"),
    ],
)
def test_numbers_out_of_range(call, name):
    refuses(f"value cannot be converted to type {name} without overflow", call)


def test_numbers_within_range():
    for value, expected in ((-1, 255), (-255, 1), (255, 255), (1.7, 1), (True, 1)):
        assert BYTES.clone().fill_(value).tolist() == [expected] * 2
    assert full(torch.bool).fill_(300).tolist() == [True, True]
    assert full(torch.float32).fill_(float("inf")).tolist() == [float("inf")] * 2
    assert BYTES.clone().fill_(torch.tensor(300)).tolist() == [44, 44]


B, I, F = torch.tensor([True, False]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: B - B, TWO_BOOLS),
        (lambda: B - True, TWO_BOOLS),
        (lambda: True - B, TWO_BOOLS),
        (lambda: torch.rsub(B, B), TWO_BOOLS),
        (lambda: B.clone().sub_(True), TWO_BOOLS),
        (lambda: torch.sub(B, B, alpha=2), TWO_BOOLS),
        (lambda: B - 1, ONE_BOOL),
        (lambda: 1 - B, ONE_BOOL),
        (lambda: B - 1.5, ONE_BOOL),
        (lambda: torch.sub(I, B), ONE_BOOL),
        (lambda: torch.sub(B, I), ONE_BOOL),
        (lambda: torch.sub(F, B), ONE_BOOL),
        (lambda: I - True, ONE_BOOL),
        (lambda: I.clone().sub_(B), ONE_BOOL),
        (lambda: torch.sub(F, B, alpha=2), ONE_BOOL),
        (lambda: torch.add(I, I, alpha=True), "Boolean alpha only supported for Boolean results."),
        (lambda: torch.add(F, F, alpha=True), "Boolean alpha only supported for Boolean results."),
    ],
)
def test_differences_of_bools(call, text):
    refuses(text, call)


def test_sums_of_bools():
    for alpha in (True, 2, -1):
        assert torch.add(B, torch.tensor([False, False]), alpha=alpha).tolist() == [True, False]
        assert torch.add(torch.tensor([False, False]), B, alpha=alpha).tolist() == [True, False]


def test_several_ellipses():
    x = torch.arange(24).reshape(2, 3, 4)
    i = torch.tensor([0, 1])
    assert x[..., ...].equal(x) and x[..., 0, ...].equal(x[..., 0]) and x[0, ..., ...].equal(x[0])
    assert (
        x[..., 1:2, ...].equal(x[..., 1:2])
        and x[i, ..., ...].equal(x[i])
        and x[..., i, ...].shape == (2, 3, 2)
    )
    x[..., 0, ...] = 7
    assert (x[..., 0] == 7).all()
    for key in ((..., ..., 0), (..., ..., None), (..., ..., slice(0, 1)), (..., ..., i)):
        with pytest.raises(IndexError):
            x[key]


def test_one_value_for_every_element_may_overlap():
    x = torch.zeros(1)
    assert x.expand(3).fill_(2).tolist() == [2, 2, 2] and x.tolist() == [2]
    assert x.expand(3).zero_().tolist() == [0, 0, 0] and x.tolist() == [0]
    text = (
        "unsupported operation: more than one element of the written-to tensor refers to a single memory "
        "location. Please clone() the tensor before performing the operation."
    )
    refuses(text, lambda: x.expand(3).fill_(torch.tensor(1.0)))
    refuses(text, lambda: x.expand(3).copy_(torch.ones(3)))
    refuses(text, lambda: x.expand(3).__setitem__(slice(None), 1.0))
    leaf = torch.ones(1, requires_grad=True)
    y = leaf * 1
    y.expand(3).zero_()
    y.sum().backward()
    assert leaf.grad.tolist() == [0]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("var", lambda: torch.ones(1).var()),
        ("var", lambda: torch.ones(2, 1).var(1)),
        ("std", lambda: torch.ones(2, 3).std(1, correction=3)),
        ("std", lambda: torch.ones(1).std(unbiased=True)),
        ("var_mean", lambda: torch.var_mean(torch.ones(2, 1), 1, True)),
        ("std_mean", lambda: torch.std_mean(torch.ones(0))),
    ],
)
def test_freedom_is_warned_of_at_every_call(name, call):
    for _ in range(3):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        text = (
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            "factor (input numel divided by output numel)."
        )
        assert [str(w.message).split(" (Triggered")[0] for w in caught] == [text]
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.ones(2, 3).std(1)
        torch.ones(1).var(unbiased=False)
        with pytest.raises(UserWarning):
            call()
        assert np.isnan(torch.ones(2).var().item()) is np.False_


SLOPE = torch.tensor(2.0, requires_grad=True)
X, BLOCK = torch.ones(5, 3), torch.ones(2, 3, 4)
LOST = "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior."


@pytest.mark.parametrize(
    "call, text",
    [
        (
            lambda: torch.full((2,), SLOPE),
            "full(): argument 'fill_value' (position 2) must be Number, not Tensor",
        ),
        (lambda: torch.arange(SLOPE), "arange(): argument 'end' (position 1) must be Number, not Tensor"),
        (
            lambda: X.new_full((2,), torch.ones(1)),
            "new_full(): argument 'fill_value' (position 2) must be Number",
        ),
        (
            lambda: torch.addcmul(X, X, X, value=SLOPE),
            "addcmul(): argument 'value' must be Number, not Tensor",
        ),
        (
            lambda: torch.nn.functional.leaky_relu(X, SLOPE),
            "leaky_relu(): argument 'negative_slope' (position 2) must be Number, not Tensor",
        ),
        (lambda: torch.softmax(X), 'softmax() missing 1 required positional arguments: "dim"'),
        (lambda: X.log_softmax(), 'log_softmax() missing 1 required positional arguments: "dim"'),
        (lambda: X.gather(), 'gather() missing 2 required positional argument: "dim", "index"'),
        (lambda: X.select(0), 'select() missing 1 required positional arguments: "index"'),
    ],
)
def test_arguments_that_would_lose_a_gradient_or_are_missing(call, text):
    with pytest.raises(TypeError) as e:
        call()
    assert str(e.value).startswith(text)


def test_numbers_may_be_tensors_without_a_gradient():
    two = torch.tensor(2.0)
    assert torch.full((2,), two).tolist() == [2.0, 2.0]
    assert torch.addcmul(X[0], X[0], X[0], value=two).tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize(
    "key, text",
    [
        ((0, 7), "index 7 is out of bounds for dimension 1 with size 3"),
        ((0, 1, -9), "index -9 is out of bounds for dimension 2 with size 4"),
        ((..., 9), "index 9 is out of bounds for dimension 1 with size 4"),
        ((None, 0, 9), "index 9 is out of bounds for dimension 2 with size 3"),
        ((slice(None), 9), "index 9 is out of bounds for dimension 1 with size 3"),
    ],
)
def test_index_errors_count_the_places_of_the_key(key, text):
    with pytest.raises(IndexError) as e:
        BLOCK[key]
    assert str(e.value).split("\n")[0] == text


def test_float_of_a_tensor_with_a_gradient_warns_once():
    code = (
        "import warnings\n"
        "import pullback as torch\n"
        "x = torch.tensor(2.0, requires_grad=True)\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    x.item(), int(x), bool(x), f'{x:.2f}', x.tolist(), float(x.detach())\n"
        "    with torch.no_grad():\n"
        "        float(x)\n"
        "    print(len(seen))\n"
        "    CALL\n"
        "    float(x)\n"
        "    print([str(w.message) for w in seen])\n"
    )
    for call in ("'%.1f' % x", "complex(x)", "torch.tensor([x, 1])"):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("CALL", call)], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"0\n{[LOST + chr(10) + 'Consider using tensor.detach() first.']}\n"


LEAF, PAIR = torch.zeros(2, requires_grad=True), torch.zeros(2)


@pytest.mark.parametrize(
    "call, kind, text",
    [
        (
            lambda: LEAF.apply_(abs),
            RuntimeError,
            "Can't call apply_() on Variable that requires grad. Use var.detach().apply_() instead.",
        ),
        (
            lambda: PAIR.map_(LEAF, max),
            RuntimeError,
            "Can't call map_() on Variable that requires grad. Use var.detach().map_() instead.",
        ),
        (
            lambda: PAIR.map_(1, max),
            TypeError,
            "map_(): argument 'other' (position 1) must be Tensor, not int",
        ),
        (
            lambda: PAIR.map_(torch.ones(2, dtype=torch.float64), max),
            TypeError,
            "map_: expected torch.FloatTensor for 'other' (got torch.DoubleTensor)",
        ),
        (
            lambda: PAIR.map2_(PAIR, torch.arange(2), max),
            TypeError,
            "map2_: expected torch.FloatTensor for argument 'y' (got torch.LongTensor)",
        ),
        (
            lambda: PAIR.map_(torch.ones(3), max),
            RuntimeError,
            "The expanded size of the tensor (2) must match",
        ),
    ],
)
def test_functions_of_elements_refuse(call, kind, text):
    with pytest.raises(kind) as e:
        call()
    assert str(e.value).startswith(text)


def test_functions_of_elements_of_several_tensors():
    assert torch.arange(4).view(2, 2).map_(torch.arange(2), max).tolist() == [[0, 1], [2, 3]]
    assert torch.zeros(2).map2_(torch.ones(1), torch.ones(2), lambda a, b, c: a + b + c).tolist() == [
        2.0,
        2.0,
    ]


@pytest.mark.parametrize("alpha", [1, 2])
def test_index_add_to_one_axis_says_what_torch_says(alpha):
    with pytest.raises(IndexError, match=r"^index out of range in self\n"):
        torch.ones(3).index_add(0, torch.tensor([7]), torch.ones(1), alpha=alpha)
