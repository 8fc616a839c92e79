"""Calls with an `out` where torch has none, or with one that is no tensor. Texts are PyTorch's."""

import numpy as np
import pytest

import pullback as torch

X, V = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 2.0])
I, M = torch.tensor([0, 1]), torch.tensor([True, False])
UNEXPECTED = "{}() got an unexpected keyword argument 'out'"
COMBINATION = "{}() received an invalid combination of arguments - got ({}), but expected one of:"

WITHOUT = {
    "relu": (X,),
    "isnan": (X,),
    "isinf": (X,),
    "isfinite": (X,),
    "isreal": (X,),
    "flip": (X, [0]),
    "dist": (X, X),
    "trace": (X,),
    "put": (V, I, V),
    "masked_scatter": (V, M, V),
    "embedding": (X, I),
    "binary_cross_entropy_with_logits": (V, V),
    "zeros_like": (X,),
    "ones_like": (X,),
    "full_like": (X, 1),
    "permute": (X, (1, 0)),
    "transpose": (X, 0, 1),
    "select": (X, 0, 0),
    "unsqueeze": (X, 0),
    "diagonal": (X,),
    "reshape": (X, (4,)),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_functions_without_it(name):
    out = torch.full((2, 2), 7.0)
    with pytest.raises(TypeError) as e:
        getattr(torch, name)(*WITHOUT[name], out=out)
    assert str(e.value).split("\n")[0] == UNEXPECTED.format(name)
    assert out.tolist() == [[7, 7], [7, 7]]


OVERLOADED = {
    "argsort": ((X,), "Tensor"),
    "count_nonzero": ((X,), "Tensor"),
    "std_mean": ((X,), "Tensor"),
    "var_mean": ((X,), "Tensor"),
    "rsub": ((X, X), "Tensor, Tensor"),
}


@pytest.mark.parametrize("name", OVERLOADED)
def test_functions_of_several_signatures_without_it(name):
    args, found = OVERLOADED[name]
    with pytest.raises(TypeError) as e:
        getattr(torch, name)(*args, out=torch.empty(0))
    assert str(e.value).split("\n")[0] == COMBINATION.format(name, found + ", out=Tensor")


@pytest.mark.parametrize("call", [torch.sum, torch.prod])
def test_a_sum_of_all_takes_none(call):
    out = torch.zeros(())
    with pytest.raises(TypeError):
        call(X, out=out)
    assert out.item() == 0 and call(X, 0, out=torch.zeros(2)).shape == (2,)


@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("add", (X,), UNEXPECTED.format("add")),
        ("sum", (0,), UNEXPECTED.format("sum")),
        ("argmax", (), UNEXPECTED.format("argmax")),
        ("reshape", (4,), UNEXPECTED.format("reshape")),
        ("exp", (), "TensorBase.exp() takes no keyword arguments"),
        ("abs", (), "TensorBase.abs() takes no keyword arguments"),
    ],
)
def test_methods_take_none(name, args, text):
    x, out = X.clone(), torch.full((2, 2), 7.0)
    with pytest.raises(TypeError) as e:
        getattr(x, name)(*args, out=out)
    assert str(e.value).split("\n")[0] == text
    assert out.tolist() == [[7, 7], [7, 7]] and x.equal(X)


DRAWS = {
    "normal": ((X, X), "Tensor, Tensor"),
    "randint": ((0, 5, (2,)), "int, int, tuple"),
    "randperm": ((3,), "int"),
    "bernoulli": ((X * 0,), "Tensor"),
    "rand": ((2,), "int"),
    "randn": ((2,), "int"),
    "arange": ((3,), "int"),
    "linspace": ((0, 1, 3), "int, int, int"),
    "eye": ((2,), "int"),
    "quantile": ((X, 0.5), "Tensor, float"),
}


@pytest.mark.parametrize("out", [5, "a", [X], np.ones(2)])
@pytest.mark.parametrize("name", DRAWS)
def test_what_is_no_tensor(name, out):
    args, found = DRAWS[name]
    if name in ("rand", "randn", "arange", "linspace", "eye", "quantile"):
        text = None
    else:
        kind = "numpy.ndarray" if isinstance(out, np.ndarray) else type(out).__name__
        text = COMBINATION.format(name, f"{found}, out={kind}")
    with pytest.raises(TypeError) as e:
        getattr(torch, name)(*args, out=out)
    assert text is None or str(e.value).split("\n")[0] == text


def test_multinomial_into_what_is_no_tensor():
    with pytest.raises(TypeError) as e:
        torch.multinomial(X, 1, out=5)
    assert str(e.value) == "multinomial(): argument 'out' must be Tensor, not int"


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("arange", lambda **kw: torch.arange(2, **kw)),
        ("arange", lambda **kw: torch.arange(0, 3, 1, **kw)),
        ("range", lambda **kw: torch.range(0, 1, **kw)),
        ("linspace", lambda **kw: torch.linspace(0, 1, 2, **kw)),
        ("logspace", lambda **kw: torch.logspace(0, 1, 2, **kw)),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.range")
def test_no_ranges_of_truth_values(name, call):
    for place in ({"dtype": torch.bool}, {"out": torch.empty(0, dtype=torch.bool)}):
        with pytest.raises(NotImplementedError) as e:
            call(**place)
        assert str(e.value).split("\n")[0] == f"\"{name}_cpu\" not implemented for 'Bool'"
    assert torch.linspace(0, 1, 1, dtype=torch.bool).tolist() == [False]


def test_nansum_of_floats_into_whole_numbers():
    for kind, name in ((torch.int64, "Long"), (torch.uint8, "Byte")):
        out = torch.tensor(7, dtype=kind)
        with pytest.raises(NotImplementedError) as e:
            torch.nansum(X, out=out)
        assert str(e.value) == f"\"nansum_cpu\" not implemented for '{name}'" and out.item() == 7
    assert torch.nansum(X, dtype=torch.int64).item() == 10
    assert torch.nansum(I, out=torch.tensor(7)).item() == 1
    text = (
        "nanmean(): could not infer output dtype. Optional dtype must be either a floating point or complex "
        "dtype. Got: Long"
    )
    with pytest.raises(RuntimeError) as e:
        torch.nanmean(X, dtype=torch.int64)
    assert str(e.value) == text


def test_second_names_in_errors_are_the_first():
    x = X.clone().requires_grad_()
    for name, first in (("divide", "div"), ("arccos", "acos"), ("absolute", "abs"), ("arctan2", "atan2")):
        args = (x, X) if first in ("div", "atan2") else (x,)
        with pytest.raises(RuntimeError) as e:
            getattr(torch, name)(*args, out=torch.empty(0))
        assert str(e.value).startswith(f"{first}(): functions with out=... arguments don't support")


RECORDED = {
    "inner": lambda x, out: torch.inner(x, X, out=out),
    "tensordot": lambda x, out: torch.tensordot(x, X, dims=1, out=out),
    "quantile": lambda x, out: torch.quantile(x, 0.25, 0, out=out),
    "nanquantile": lambda x, out: torch.nanquantile(x, 0.25, 0, out=out),
}


@pytest.mark.parametrize("name", RECORDED)
def test_gradients_flow_through_out(name):
    call = RECORDED[name]
    x = X.clone().requires_grad_()
    for out in (torch.empty(0), torch.zeros(2) if "quantile" in name else torch.zeros(2, 2)):
        assert call(x, out) is out and out.requires_grad
        expected = torch.autograd.grad(call(x, None).sum(), x)[0]
        assert torch.autograd.grad(out.sum(), x)[0].equal(expected) and out.equal(call(x, None))
    leaf = torch.full_like(out.detach(), 7.0).requires_grad_()
    with pytest.raises(RuntimeError) as e:
        call(x, leaf)
    text = "a leaf Variable that requires grad is being used in an in-place operation."
    assert str(e.value).split("\n")[0] == text and (leaf == 7).all() and leaf.grad_fn is None
    with torch.no_grad():
        assert call(x, torch.empty(0)).grad_fn is None


def test_the_indices_of_a_median_are_looked_at_first():
    for call in (torch.median, torch.nanmedian):
        out = (torch.zeros(2, dtype=torch.int32), torch.zeros(2, dtype=torch.int32))
        with pytest.raises(RuntimeError) as e:
            call(X, 0, out=out)
        assert str(e.value) == (
            "Expected tensor for argument #1 'indices' to have scalar type Long; but got torch.IntTensor "
            "instead (while checking arguments for median)"
        )


def test_floats_have_no_bits():
    for call in (torch.bitwise_not, lambda x: x.bitwise_not(), lambda x: x.clone().bitwise_not_()):
        with pytest.raises(NotImplementedError) as e:
            call(X)
        assert str(e.value).split("\n")[0] == "\"bitwise_not_cpu\" not implemented for 'Float'"
    with pytest.raises(TypeError) as e:
        _ = ~X
    assert str(e.value) == "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
    for call, name in ((lambda: X << 1, "lshift"), (lambda: I >> X[0], "rshift")):
        with pytest.raises(NotImplementedError) as e:
            call()
        assert str(e.value).split("\n")[0] == f"\"{name}_cpu\" not implemented for 'Float'"
