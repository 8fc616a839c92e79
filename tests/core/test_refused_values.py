"""Calls with values that torch refuses: strings, numbers, devices, buffers. Texts are PyTorch's."""

import pytest

import pullback as torch
import pullback.nn.functional as F
from pullback import nn

X, I = torch.ones(2), torch.tensor([0, 1])

CASES = {
    "rounding_mode": (
        RuntimeError,
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'foo'",
        lambda: torch.div(X, X, rounding_mode="foo"),
    ),
    "rounding_mode of a second name": (
        RuntimeError,
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'foo'",
        lambda: torch.divide(X, 2, rounding_mode="foo"),
    ),
    "gelu": (
        RuntimeError,
        "approximate argument must be either none or tanh.",
        lambda: F.gelu(X, approximate="foo"),
    ),
    "gelu by position": (
        TypeError,
        "gelu() takes 1 positional argument but 2 were given",
        lambda: F.gelu(X, "none"),
    ),
    "scatter": (
        RuntimeError,
        "reduce argument must be either add or multiply.",
        lambda: torch.scatter(X, 0, I, 1.0, reduce="foo"),
    ),
    "scatter_reduce": (
        RuntimeError,
        "reduce argument must be either sum, prod, mean, amax or amin, got foo",
        lambda: torch.scatter_reduce(X, 0, I, X, "foo"),
    ),
    "smooth_l1_loss": (
        RuntimeError,
        "smooth_l1_loss does not support negative values for beta.",
        lambda: nn.SmoothL1Loss(beta=-1.0)(X, X),
    ),
    "no target": (
        AttributeError,
        "'NoneType' object has no attribute 'size'",
        lambda: nn.MSELoss()(X, None),
    ),
    "no input": (
        AttributeError,
        "'NoneType' object has no attribute 'size'",
        lambda: F.huber_loss(None, X),
    ),
    "several targets": (
        RuntimeError,
        "0D or 1D target tensor expected, multi-target not supported",
        lambda: F.nll_loss(torch.ones(2, 3), torch.ones(2, 3)),
    ),
    "several targets of one row": (
        RuntimeError,
        "0D or 1D target tensor expected, multi-target not supported",
        lambda: torch.nn.functional.nll_loss(X, torch.tensor([[0]])),
    ),
    "clip_grad_value_": (
        ValueError,
        "could not convert string to float: 'a'",
        lambda: nn.utils.clip_grad_value_([nn.Parameter(X)], "a"),
    ),
    "Dropout": (
        TypeError,
        "'<' not supported between instances of 'str' and 'int'",
        lambda: nn.Dropout("a"),
    ),
    "betas": (
        TypeError,
        "'float' object is not subscriptable",
        lambda: torch.optim.Adam([nn.Parameter(X)], betas=0.9),
    ),
    "bernoulli_": (
        RuntimeError,
        "bernoulli_ expects p to be in [0, 1], but got p=2",
        lambda: torch.zeros(2).bernoulli_(2.0),
    ),
    "tensor": (
        TypeError,
        "tensor() takes 1 positional argument but 2 were given",
        lambda: torch.tensor(1, 2),
    ),
    "threads": (
        RuntimeError,
        "set_num_threads expects an int, but got str",
        lambda: torch.set_num_threads("a"),
    ),
    "promote_types": (
        TypeError,
        "promote_types(): argument 'type2' (position 2) must be torch.dtype, not int",
        lambda: torch.promote_types(torch.int64, 2),
    ),
    "rand": (
        TypeError,
        "rand() received an invalid combination of arguments - got (int, dtype=str), but expected one of:",
        lambda: torch.rand(2, dtype="a"),
    ),
    "randn": (
        TypeError,
        "randn() received an invalid combination of arguments - got (int, foo=int), but expected one of:",
        lambda: torch.randn(2, foo=1),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_values(case):
    kind, text, call = CASES[case]
    with pytest.raises(kind) as e:
        call()
    assert str(e.value).split("\n")[0] == text
    assert X.tolist() == [1, 1] and X._version == 0


@pytest.mark.parametrize("name", ["mps", "mps:0", "hip", "xla", "vulkan", "lazy", "privateuseone"])
def test_devices_that_only_have_a_name(name):
    assert torch.device(name).type == name.partition(":")[0]
    for call in (
        lambda: torch.zeros(2, device=name),
        lambda: torch.tensor([1], device=name),
        lambda: X.to(name),
        lambda: nn.Linear(1, 1).to(name),
    ):
        with pytest.raises(
            NotImplementedError
        ) as e:  # which is a RuntimeError: torch raises the one or the other
            call()
        assert isinstance(e.value, torch.errors.DeviceError)
        text = f"PyTorch is not linked with support for {name.partition(':')[0]} devices"
        assert str(e.value).split("\n")[0] == text


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (RuntimeError, "Device string must not be empty", lambda: torch.device("")),
        (RuntimeError, "Device index must not be negative", lambda: torch.device(-1)),
        (
            TypeError,
            "device() received an invalid combination of arguments - got (NoneType), but expected one of:",
            lambda: torch.device(None),
        ),
        (RuntimeError, "Cannot access accelerator device when none is available.", lambda: X.cuda(0)),
        (RuntimeError, "Invalid device, must be cuda device", lambda: X.cuda("cpu")),
        (AssertionError, "Torch not compiled with CUDA enabled", lambda: X.cuda()),
        (AssertionError, "Torch not compiled with CUDA enabled", lambda: X.cuda("cuda:0")),
        (AssertionError, "Torch not compiled with XPU enabled", lambda: torch.zeros(2, device="xpu")),
    ],
)
def test_devices(kind, text, call):
    with pytest.raises(kind) as e:
        call()
    assert str(e.value).split("\n")[0] == text


BUFFERS = {
    "object does not implement Python buffer protocol.": (5, {}),
    "both buffer length (0) and count (-1) must not be 0": (b"", {}),
    "both buffer length (4) and count (0) must not be 0": (b"abcd", {"count": 0}),
    "buffer length (3 bytes) after offset (0 bytes) must be a multiple of element size (4)": (b"abc", {}),
    "requested buffer length (2 * 4 bytes) after offset (0 bytes) must not be greater than actual buffer "
    "length (4 bytes)": (b"abcd", {"count": 2}),
    "offset (-1 bytes) must be non-negative and no greater than buffer length (4 bytes) minus 1": (
        b"abcd",
        {"offset": -1},
    ),
    "offset (4 bytes) must be non-negative and no greater than buffer length (4 bytes) minus 1": (
        b"abcd",
        {"offset": 4},
    ),
}


@pytest.mark.parametrize("text", BUFFERS)
def test_buffers(text):
    buffer, place = BUFFERS[text]
    with pytest.raises(ValueError) as e:
        torch.frombuffer(buffer, dtype=torch.int32, **place)
    assert str(e.value) == text


def test_a_buffer_in_a_type_that_is_none():
    with pytest.raises(TypeError) as e:
        torch.frombuffer(bytearray(4), dtype="a")
    assert str(e.value) == "frombuffer(): argument 'dtype' must be torch.dtype, not str"
    assert torch.frombuffer(bytearray(b"abcde"), dtype=torch.uint8, offset=1, count=2).tolist() == [98, 99]


V = torch.ones(4)
SEVERAL = "{}() received an invalid combination of arguments - got ({}), but expected one of:"
NO_NUMBERS = {
    "chunk(): argument 'chunks' (position 1) must be int, not str": lambda: V.chunk("a"),
    "chunk(): argument 'chunks' (position 2) must be int, not Tensor": lambda: torch.chunk(V, V),
    "chunk(): argument 'chunks' (position 2) must be int, not float": lambda: torch.chunk(V, 1.5),
    "unsafe_split(): argument 'split_size' (position 1) must be int, not Tensor": lambda: V.unsafe_split(V),
    "unbind(): argument 'dim' (position 2) must be int, not str": lambda: torch.unbind(V, "a"),
    "histc(): argument 'bins' (position 2) must be int, not str": lambda: torch.histc(V, "a"),
    "normal_(): argument 'mean' (position 1) must be float, not str": lambda: V.normal_("a"),
    "normal_(): argument 'std' (position 2) must be float, not Tensor": lambda: V.normal_(0, V),
    "exponential_(): argument 'lambd' (position 1) must be float, not str": lambda: V.exponential_("a"),
    SEVERAL.format("narrow", "int, str, int"): lambda: V.narrow(0, "a", 1),
    SEVERAL.format("linspace", "int, int, Tensor"): lambda: torch.linspace(0, 1, V),
    SEVERAL.format("movedim", "Tensor, Tensor, int"): lambda: torch.movedim(V, V, 0),
}
NO_TENSORS = {
    "unsafe_chunk(): argument 'input' (position 1) must be Tensor, not str": lambda: torch.unsafe_chunk(
        "a", 2
    ),
    "prelu(): argument 'weight' (position 2) must be Tensor, not str": lambda: torch.prelu(V, "a"),
    "ldexp(): argument 'other' (position 2) must be Tensor, not int": lambda: torch.ldexp(V, 2),
    "ldexp(): argument 'other' (position 1) must be Tensor, not int": lambda: V.ldexp(2),
    "_unique2(): argument 'input' (position 1) must be Tensor, not str": lambda: torch.unique("a"),
    "unique_consecutive(): argument 'input' (position 1) must be Tensor, not str": (
        lambda: torch.unique_consecutive("a")
    ),
    "is_complex(): argument 'input' (position 1) must be Tensor, not int": lambda: torch.is_complex(5),
    "is_set_to(): argument 'tensor' (position 1) must be Tensor, not int": lambda: V.is_set_to(5),
}


@pytest.mark.parametrize("text", {**NO_NUMBERS, **NO_TENSORS})
def test_arguments_of_another_kind(text):
    with pytest.raises(TypeError) as e:
        {**NO_NUMBERS, **NO_TENSORS}[text]()
    assert str(e.value).split("\n")[0] == text and V.tolist() == [1, 1, 1, 1] and V._version == 0


def test_errors_of_a_program_pass_unchanged():
    def refuse(*values):
        raise ValueError("could not convert string to float: 'mine'")

    with pytest.raises(ValueError, match="mine"):
        torch.ones(2).apply_(refuse)
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(V)
