"""Bad input: the kind of error, torch's first line, and every tensor left as it was."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import pullback as torch
from pullback import errors

T = torch.tensor
NEGATIVE_STRIDES = (
    "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
    "currently supported. (You can probably work around this by making a copy of your array  with "
    "array.copy().) "
)
BACKWARD_TWICE = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
    "if you need to access saved tensors after calling backward."
)


class Given:
    """Tensors of which a case uses some, and a picture of all of them."""

    def __init__(self):
        self.row = T([1.0, 2.0, 3.0])
        self.matrix = T([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        self.whole = T([1, 2, 3])
        self.flags = T([True, False, True])
        self.leaf = T([1.0, 2.0, 3.0], requires_grad=True)
        self.leaf.grad = T([7.0, 8.0, 9.0])

    def picture(self):
        parts = []
        for t in vars(self).values():
            parts += [t.tolist(), t.dtype, tuple(t.shape), t.stride(), t.requires_grad, t.grad_fn, t.is_leaf]
        return [*parts, self.leaf.grad.tolist()]


def root_of_a_negative_number(g):
    with torch.debug.nonfinite():
        (g.row * T([1.0, -1.0, 1.0])).sqrt()


def backward_twice(g):
    loss = (g.row * (g.leaf * g.leaf)).sum()
    loss = torch.autograd.grad(loss, g.leaf) and loss
    loss.backward()


def saved_and_changed(g):
    y = g.leaf * 2
    z = y * y
    y.add_(1)
    z.sum().backward()


def read_only(g):
    a = np.arange(3.0)[::-1]
    torch.from_numpy(a)


# (name, error class, what torch raises, torch's first line, call)
CASES = [
    (
        "broadcast",
        errors.ShapeError,
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0",
        lambda g: g.row + torch.ones(2),
    ),
    (
        "broadcast in place",
        errors.ShapeError,
        RuntimeError,
        "output with shape [3] doesn't match the broadcast shape [2, 3]",
        lambda g: g.row.add_(g.matrix),
    ),
    (
        "product",
        errors.ShapeError,
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
        lambda g: g.matrix @ g.matrix,
    ),
    (
        "linear",
        errors.ShapeError,
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x4)",
        lambda g: torch.nn.functional.linear(g.matrix, torch.ones(4, 2)),
    ),
    (
        "view",
        RuntimeError,
        RuntimeError,
        "shape '[4]' is invalid for input of size 3",
        lambda g: g.row.view(4),
    ),
    (
        "stack",
        RuntimeError,
        RuntimeError,
        "stack expects each tensor to be equal size, but got [3] at entry 0 and [2, 3] at entry 1",
        lambda g: torch.stack([g.row, g.matrix]),
    ),
    (
        "copy",
        errors.ShapeError,
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0",
        lambda g: g.row.copy_(torch.ones(2)),
    ),
    (
        "integer mean",
        RuntimeError,
        RuntimeError,
        "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
        "Got: Long",
        lambda g: g.whole.mean(),
    ),
    (
        "bool difference",
        RuntimeError,
        RuntimeError,
        "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
        "`logical_xor()` operator instead.",
        lambda g: g.flags - g.flags,
    ),
    (
        "float bits",
        NotImplementedError,
        NotImplementedError,
        "\"bitwise_and_cpu\" not implemented for 'Float'",
        lambda g: g.row & g.row,
    ),
    (
        "float into integers",
        errors.DtypeError,
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        lambda g: g.whole.add_(1.5),
    ),
    ("huge number", OverflowError, OverflowError, "int too big to convert", lambda g: g.whole + 2**70),
    (
        "integers and gradients",
        errors.GradError,
        RuntimeError,
        "Only Tensors of floating point and complex dtype can require gradients",
        lambda g: torch.zeros(2, dtype=torch.int64, requires_grad=True),
    ),
    (
        "non-scalar backward",
        errors.GradError,
        RuntimeError,
        "grad can be implicitly created only for scalar outputs",
        lambda g: (g.leaf * 2).backward(),
    ),
    (
        "no graph",
        errors.GradError,
        RuntimeError,
        "element 0 of tensors does not require grad and does not have a grad_fn",
        lambda g: g.row.sum().backward(),
    ),
    (
        "gradcheck",
        errors.GradcheckError,
        RuntimeError,
        "Numerical gradient for function expected to be zero",
        lambda g: torch.autograd.gradcheck(lambda x: x.detach(), g.leaf.double()),
    ),
    ("backward twice", errors.GradError, RuntimeError, BACKWARD_TWICE, backward_twice),
    (
        "leaf in place",
        errors.InplaceError,
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
        lambda g: g.leaf.add_(1),
    ),
    (
        "view of a leaf in place",
        errors.InplaceError,
        RuntimeError,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.",
        lambda g: g.leaf[:2].mul_(2),
    ),
    (
        "saved tensor changed",
        errors.InplaceError,
        RuntimeError,
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        "[torch.FloatTensor [3]], which is output 0 of Add, is at version 1; expected version 0 instead. "
        "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False).",
        saved_and_changed,
    ),
    (
        "a nan where they are watched for",
        errors.NonFiniteError,
        FloatingPointError,
        "sqrt made nan at [1] of its result (shape [3])",
        root_of_a_negative_number,
    ),
    (
        "numpy with a gradient",
        RuntimeError,
        RuntimeError,
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
        lambda g: g.leaf.numpy(),
    ),
    ("negative strides", ValueError, ValueError, NEGATIVE_STRIDES, read_only),
    (
        "unknown array type",
        TypeError,
        TypeError,
        "can't convert np.ndarray of type numpy.str_. The only supported types are: float64, float32, "
        "float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.",
        lambda g: torch.from_numpy(np.array(["a"])),
    ),
    (
        "index",
        IndexError,
        IndexError,
        "index 5 is out of bounds for dimension 0 with size 3",
        lambda g: g.row[5],
    ),
    (
        "too many indices",
        IndexError,
        IndexError,
        "too many indices for tensor of dimension 1",
        lambda g: g.row[0, 0],
    ),
    (
        "index to assign",
        IndexError,
        IndexError,
        "index 5 is out of bounds for dimension 0 with size 3",
        lambda g: g.row.__setitem__(5, 1.0),
    ),
    (
        "mask",
        IndexError,
        IndexError,
        "The shape of the mask [2] at index 0 does not match the shape of the indexed tensor [3] at index 0",
        lambda g: g.row[T([True, False])],
    ),
    (
        "axis",
        IndexError,
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 2)",
        lambda g: g.row.sum(2),
    ),
    (
        "negative size",
        errors.ShapeError,
        RuntimeError,
        "Trying to create tensor with negative dimension -1: [-1]",
        lambda g: torch.empty(-1),
    ),
    (
        "zeros of a negative size",
        errors.ShapeError,
        RuntimeError,
        "zeros: Dimension size must be non-negative.",
        lambda g: torch.zeros(2, -1),
    ),
    (
        "absurd size",
        RuntimeError,
        RuntimeError,
        "Storage size calculation overflowed with sizes=[1099511627776, 1099511627776]",
        lambda g: torch.zeros(2**40, 2**40),
    ),
    (
        "more than the machine has",
        errors.MemoryRefused,
        RuntimeError,
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 4503599627370496 bytes. Error code 12 (Cannot allocate memory)",
        lambda g: torch.empty(2**50),
    ),
    (
        "ragged lists",
        ValueError,
        ValueError,
        "expected sequence of length 2 at dim 1 (got 1)",
        lambda g: T([[1, 2], [3]]),
    ),
    ("no numbers", TypeError, TypeError, "new(): invalid data type 'str'", lambda g: T("text")),
    (
        "unknown keyword",
        TypeError,
        TypeError,
        "zeros() got an unexpected keyword argument 'shape'",
        lambda g: torch.zeros(3, shape=3),
    ),
    (
        "unknown keyword of an op",
        TypeError,
        TypeError,
        "add() got an unexpected keyword argument 'foo'",
        lambda g: torch.add(g.row, 1, foo=2),
    ),
    (
        "text for a tensor",
        TypeError,
        TypeError,
        "add(): argument 'other' (position 2) must be Tensor, not str",
        lambda g: torch.add(g.row, "a"),
    ),
    (
        "operators",
        TypeError,
        TypeError,
        "unsupported operand type(s) for +: 'Tensor' and 'str'",
        lambda g: g.row + "a",
    ),
    (
        "another device",
        errors.DeviceError,
        AssertionError,
        "Torch not compiled with CUDA enabled",
        lambda g: g.row.to("cuda"),
    ),
    (
        "made on another device",
        errors.DeviceError,
        AssertionError,
        "Torch not compiled with CUDA enabled",
        lambda g: torch.zeros(2, device="cuda:0"),
    ),
    (
        "a device that only has a name",
        errors.OtherDeviceError,
        NotImplementedError,
        "PyTorch is not linked with support for mps devices",
        lambda g: g.row.to("mps"),
    ),
    (
        "no such device",
        RuntimeError,
        RuntimeError,
        "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, "
        "vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: banana",
        lambda g: torch.zeros(2, device="banana"),
    ),
    (
        "a number of several elements",
        RuntimeError,
        RuntimeError,
        "a Tensor with 3 elements cannot be converted to Scalar",
        lambda g: g.row.item(),
    ),
    (
        "truth of several elements",
        RuntimeError,
        RuntimeError,
        "Boolean value of Tensor with more than one value is ambiguous",
        lambda g: bool(g.row),
    ),
    (
        "out= and gradients",
        errors.GradError,
        RuntimeError,
        "add(): functions with out=... arguments don't support automatic differentiation, but one of the "
        "arguments requires grad.",
        lambda g: torch.add(g.leaf, 1, out=g.row),
    ),
    (
        "out= of another type",
        RuntimeError,
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        lambda g: torch.add(g.row, 1, out=g.whole),
    ),
    (
        "another second run under checkpoint()",
        errors.CheckpointError,
        RuntimeError,
        "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
        "during the forward pass.",
        lambda g: checkpointed(iter([g.row, g.row[:2]]), g.leaf),
    ),
    (
        "a negative size to expand to",
        RuntimeError,
        RuntimeError,
        "numel: integer multiplication overflow",
        lambda g: torch.zeros(1).expand(-2),
    ),
    (
        "a grid without axes",
        RuntimeError,
        RuntimeError,
        "meshgrid expects a non-empty TensorList",
        lambda g: torch.meshgrid(indexing="ij"),
    ),
    (
        "one axis to turn",
        RuntimeError,
        RuntimeError,
        "expected total rotation dims == 2, but got dims = 1",
        lambda g: torch.rot90(g.leaf, 1, [0]),
    ),
    (
        "a plane of one axis",
        RuntimeError,
        RuntimeError,
        "expected rotation dims to be different, but got dim0 = 0 and dim1 = -2",
        lambda g: torch.rot90(torch.ones(2, 2), 1, [0, -2]),
    ),
    (
        "turning a row",
        RuntimeError,
        RuntimeError,
        "expected total dims >= 2, but got total dims = 1",
        lambda g: torch.rot90(g.row, 1, [0, 1]),
    ),
    (
        "nothing but a negative class",
        RuntimeError,
        RuntimeError,
        "Class values must be non-negative.",
        lambda g: torch.nn.functional.one_hot(torch.tensor([-1])),
    ),
    (
        "an integer default type",
        TypeError,
        TypeError,
        "only floating-point types are supported as the default type",
        lambda g: torch.set_default_tensor_type(torch.IntTensor),
    ),
    (
        "no default type",
        TypeError,
        TypeError,
        "invalid type object: only floating-point types are supported as the default type",
        lambda g: torch.set_default_tensor_type(torch.float32),
    ),
]


def checkpointed(values, x):
    checkpoint = torch.utils.checkpoint.checkpoint
    y = checkpoint(lambda t: (t[:1] * next(values)).sum(), x, use_reentrant=False)
    y.backward()


@pytest.mark.parametrize(
    ("kind", "torchs", "text", "call"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bad_input(kind, torchs, text, call):
    given = Given()
    before = given.picture()
    with pytest.raises(torchs) as caught:
        call(given)
    assert isinstance(caught.value, kind), type(caught.value)
    assert str(caught.value).split("\n")[0] == text
    assert given.picture() == before


def test_every_error_class_is_raised_by_a_case():
    own = {c for c in vars(errors).values() if isinstance(c, type) and c.__module__ == errors.__name__}
    assert own == {c[1] for c in CASES} & own


@pytest.mark.parametrize("name", ["ShapeError", "DtypeError", "GradError", "InplaceError", "MemoryRefused"])
def test_errors_are_what_torch_raises(name):
    assert issubclass(getattr(errors, name), RuntimeError)
    assert issubclass(errors.DeviceError, AssertionError)


def test_copying_refuses_with_the_same_words_after_copies_that_fit():
    for source in (torch.ones(3), torch.ones(1), torch.ones(3, dtype=torch.int64)):
        torch.zeros(3).copy_(source)
        with pytest.raises(errors.ShapeError, match=r"^The size of tensor a \(3\) must match"):
            torch.zeros(3).copy_(torch.ones(2, dtype=source.dtype))
        with pytest.raises(
            errors.ShapeError, match=r"^output with shape \[3\] doesn't match the broadcast shape"
        ):
            torch.zeros(3).copy_(torch.ones(2, 3, dtype=source.dtype))


def test_a_second_line_says_what_to_do():
    with pytest.raises(errors.ShapeError) as caught:
        torch.ones(2, 3) + torch.ones(4)
    assert "[2, 3] and [4] do not broadcast" in str(caught.value)


def test_states_are_restored_when_a_block_raises():
    for block in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        with pytest.raises(ZeroDivisionError), block():
            raise ZeroDivisionError
        assert torch.is_grad_enabled()


def test_scripts_that_look_for_torch_find_no_private_parts():
    assert importlib.util.find_spec("pullback._C") is None
