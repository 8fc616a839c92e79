"""What is refused first where several things are wrong; nothing has changed then. Texts are PyTorch's."""

import pytest

import pullback as torch


def values():
    a = torch.arange
    return {
        "x": (a(6.0) / 10 + 0.1).reshape(2, 3),
        "y": (a(6.0) / 7 + 0.2).reshape(2, 3),
        "v": a(3.0) + 1,
        "m": (a(9.0) / 10).reshape(3, 3),
        "b3": a(12.0).reshape(2, 2, 3),
        "c3": a(12.0).reshape(2, 3, 2),
        "s": torch.tensor(0.5),
        "i": torch.tensor([0, 2, 1]),
        "i9": torch.tensor([0, 9, 1]),
        "i2": torch.tensor([[0, 1, 0], [1, 0, 1]]),
        "xi": a(6).reshape(2, 3),
        "xb": torch.tensor([[True, False, True], [False, True, True]]),
        "b4": torch.tensor([True, False, True, True]),
        "four": torch.ones(4),
        "s4": torch.ones(4, 5),
        "one": torch.ones(1),
        "ex": torch.ones(3).expand(2, 3),
        "g": torch.ones(2, 3, requires_grad=True),
        "gv": (a(3.0) + 1).requires_grad_(),
    }


CASES = {
    "s4.add(y, alpha=2)": (
        RuntimeError,
        "The size of tensor a (5) must match the size of tensor b (3) at non-singleton dimension 1",
    ),
    "xb.sub(y.t(), alpha=2)": (
        RuntimeError,
        (
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
    ),
    "x.sub(y, alpha=True)": (
        RuntimeError,
        "Boolean alpha only supported for Boolean results.",
    ),
    "torch.rsub(x, y, alpha=True)": (
        RuntimeError,
        "Boolean alpha only supported for Boolean results.",
    ),
    "xi.sub(xi, alpha=1.5)": (
        RuntimeError,
        "For integral input tensors, argument alpha must not be a floating point number.",
    ),
    "xi.bitwise_and_(x)": (
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
    ),
    "xi.bitwise_or_(four)": (
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
    ),
    "s.bitwise_xor_(x)": (
        RuntimeError,
        "output with shape [] doesn't match the broadcast shape [2, 3]",
    ),
    "ex.bitwise_and_(1.5)": (
        RuntimeError,
        (
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        ),
    ),
    "ex.sub_(xb)": (
        RuntimeError,
        (
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
    ),
    "xb.remainder_(xi)": (
        RuntimeError,
        "result type Long can't be cast to the desired output type Bool",
    ),
    "xi.clamp_(min=0.2)": (
        RuntimeError,
        "result type Float can't be cast to the desired output type long int",
    ),
    "xi.clamp_min_(0.5)": (
        RuntimeError,
        "result type Float can't be cast to the desired output type long int",
    ),
    "xb.clip_(0.2, 0.5)": (
        RuntimeError,
        "result type Float can't be cast to the desired output type bool",
    ),
    "xi.clamp_(min=s)": (
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
    ),
    "x.masked_fill(four, 1.0)": (
        RuntimeError,
        "The size of tensor a (4) must match the size of tensor b (3) at non-singleton dimension 1",
    ),
    "x.masked_fill(xi, 1.0)": (
        RuntimeError,
        "masked_fill_ only supports boolean masks, but got mask with dtype long int",
    ),
    "x.masked_fill_(four, s)": (
        RuntimeError,
        "masked_fill_ only supports boolean masks, but got mask with dtype float",
    ),
    "x.masked_fill_(b4, 1.0)": (
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
    ),
    "x.cumsum_(1, dtype=torch.float64)": (
        RuntimeError,
        "Bad in-place call: input tensor dtype float and output tensor dtype double should match",
    ),
    "xi.cumprod_(1, dtype=torch.float64)": (
        RuntimeError,
        "Bad in-place call: input tensor dtype long int and output tensor dtype double should match",
    ),
    "xb.cumsum_(1)": (
        NotImplementedError,
        "\"cumsum_out_cpu\" not implemented for 'Bool'",
    ),
    "b4.cumsum_(1, dtype=torch.float64)": (
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
    ),
    "torch.round(xi, decimals=1)": (
        NotImplementedError,
        "\"round_cpu\" not implemented for 'Long'",
    ),
    "torch.round(xi, decimals=0)": (
        NotImplementedError,
        "\"round_vml_cpu\" not implemented for 'Long'",
    ),
    "xb.floor()": (
        NotImplementedError,
        "\"floor_vml_cpu\" not implemented for 'Bool'",
    ),
    "xb.ceil()": (
        NotImplementedError,
        "\"ceil_vml_cpu\" not implemented for 'Bool'",
    ),
    "xb.trunc()": (
        NotImplementedError,
        "\"trunc_vml_cpu\" not implemented for 'Bool'",
    ),
    "xb.round()": (
        NotImplementedError,
        "\"round_vml_cpu\" not implemented for 'Bool'",
    ),
    "xb.relu_()": (
        RuntimeError,
        "Boolean inputs not supported for relu",
    ),
    "xb ** xb": (
        NotImplementedError,
        "\"pow\" not implemented for 'Bool'",
    ),
    "True ** xb": (
        NotImplementedError,
        "\"pow\" not implemented for 'Bool'",
    ),
    "x.index_select(1, i9)": (
        RuntimeError,
        "INDICES element is out of DATA bounds, id=9 axis_dim=3",
    ),
    "x.index_select(0, i9)": (
        IndexError,
        "index out of range in self",
    ),
    "b3.index_select(1, i)": (
        RuntimeError,
        "INDICES element is out of DATA bounds, id=2 axis_dim=2",
    ),
    "x.index_copy(1, i, s)": (
        IndexError,
        "index_copy_(): When source is scalar, index should have one element (got 3)",
    ),
    "x.index_copy(1, i, s4)": (
        RuntimeError,
        (
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            "slice shape: 2 at dimension 1 and source slice shape: 4 at dimension 0."
        ),
    ),
    "x.index_add(1, i, s)": (
        RuntimeError,
        "index_add_(): Indexing dim 1 is out of bounds of the source tensor with dim 0",
    ),
    "x.index_add(0, i, s)": (
        IndexError,
        "Dimension specified as 0 but tensor has no dimensions",
    ),
    "x.scatter(1, i2, v)": (
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
    ),
    "x.scatter_add_(0, i2, v)": (
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
    ),
    "x.scatter_(1, x, 1.0)": (
        RuntimeError,
        "scatter(): Expected dtype int32/int64 for index",
    ),
    "x.take_along_dim(v, 1)": (
        RuntimeError,
        (
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            "but got 2 dimensions for input, and 1 dimensions for indices"
        ),
    ),
    "x.take_along_dim(x, 1)": (
        RuntimeError,
        "torch.take_along_dim(): dtype of indices should be Long but got Float",
    ),
    "s4.take_along_dim(i2, 1)": (
        RuntimeError,
        "The size of tensor a (4) must match the size of tensor b (2) at non-singleton dimension 0",
    ),
    "b4.masked_select(xb)": (
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
    ),
    "x.narrow(0, xi, 1)": (
        RuntimeError,
        "start must be an 0-dim integral Tensor.",
    ),
    "x.narrow(0, one, 1)": (
        RuntimeError,
        "start must be an 0-dim integral Tensor.",
    ),
    "x.split((-1, 4), 1)": (
        RuntimeError,
        ("split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[-1, 4]"),
    ),
    "x.split(s)": (
        RuntimeError,
        "split_size can only be 0 if dimension size is 0, but got dimension size of 2",
    ),
    "s.unbind(1)": (
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
    ),
    "torch.mv(s, v)": (
        IndexError,
        "Dimension specified as 0 but tensor has no dimensions",
    ),
    "torch.bmm(b3.bool(), c3)": (
        NotImplementedError,
        "\"bmm\" not implemented for 'Bool'",
    ),
    "x.addmm(x, xi)": (
        RuntimeError,
        "self and mat2 must have the same dtype, but got Float and Long",
    ),
    "x.addmm(xi, m)": (
        RuntimeError,
        "mat1 and mat2 must have the same dtype, but got Long and Float",
    ),
    "xi.addmm(x, m, beta=2)": (
        RuntimeError,
        "self and mat2 must have the same dtype, but got Long and Float",
    ),
    "x.addmm(v, m, beta=2)": (
        RuntimeError,
        "mat1 must be a matrix, got 1-D tensor",
    ),
    "x.addmm(x, v, beta=2)": (
        RuntimeError,
        "mat2 must be a matrix, got 1-D tensor",
    ),
    "x.addmm_(x, s4)": (
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
    ),
    "x.addmm_(x.t(), x, beta=2)": (
        RuntimeError,
        "Bad in-place call: input tensor size [2, 3] and output tensor size [3, 3] should match",
    ),
    "gv.addmm_(x, m)": (
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    "xi.addmm_(x, m)": (
        RuntimeError,
        "self and mat2 must have the same dtype, but got Long and Float",
    ),
    "torch.std(xi, 5)": (
        RuntimeError,
        "std and var only support floating point and complex dtypes",
    ),
    "torch.std(s, 1)": (
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
    ),
    "torch.linalg.norm(b3, 1)": (
        RuntimeError,
        "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got 3D.",
    ),
    "torch.linalg.norm(x, 1.5)": (
        RuntimeError,
        "linalg.matrix_norm: Order 1.5 not supported.",
    ),
    'torch.linalg.norm(x, "a")': (
        RuntimeError,
        "linalg.matrix_norm: Order a not supported.",
    ),
    "torch.linalg.norm(xi, 1)": (
        RuntimeError,
        "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got Long",
    ),
    "torch.linalg.norm(x, 1, dim=(0, 0))": (
        RuntimeError,
        "linalg.matrix_norm: dims must be different. Got (0, 0)",
    ),
    "torch.norm((1, 2))": (
        AttributeError,
        "'tuple' object has no attribute 'layout'",
    ),
    "torch.split((1, 2), 1)": (
        AttributeError,
        "'tuple' object has no attribute 'split'",
    ),
    "x.rsub(y)": (
        AttributeError,
        "'Tensor' object has no attribute 'rsub'",
    ),
    "torch.argmax(x, out=g)": (
        RuntimeError,
        "Expected out tensor to have dtype long int, but got float instead",
    ),
    "torch.all(x, out=g)": (
        RuntimeError,
        "all only supports bool tensor for result, got: Float",
    ),
    "torch.nonzero(x, out=g)": (
        RuntimeError,
        "nonzero: Expected out tensor to have scalar type Long but got scalar typeFloat",
    ),
    "torch.softmax(x, 1, out=g)": (
        RuntimeError,
        (
            "aten::softmax(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        ),
    ),
    "torch.floor_divide(x, y, out=g)": (
        RuntimeError,
        (
            "aten::floor_divide(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        ),
    ),
    "torch.heaviside(x, y, out=g)": (
        RuntimeError,
        (
            "aten::heaviside(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        ),
    ),
    "s.view(torch.uint8)": (
        RuntimeError,
        "self.dim() cannot be 0 to view Float as Byte (different element sizes)",
    ),
    "x.view(torch.float64)": (
        RuntimeError,
        ("self.size(-1) must be divisible by 2 to view Float as Double (different element sizes), but got 3"),
    ),
    "four[1:3].view(torch.float64)": (
        RuntimeError,
        (
            "self.storage_offset() must be divisible by 2 to view Float as Double (different "
            "element sizes), but got 1"
        ),
    ),
    "s4[:, :4].view(torch.float64)": (
        RuntimeError,
        (
            "self.stride(0) must be divisible by 2 to view Float as Double (different element "
            "sizes), but got 5"
        ),
    ),
    "four[::2].view(torch.float64)": (
        RuntimeError,
        "self.stride(-1) must be 1 to view Float as Double (different element sizes), but got 2",
    ),
    "c3.transpose(1, 2).view(torch.uint8)": (
        RuntimeError,
        "self.stride(-1) must be 1 to view Float as Byte (different element sizes), but got 2",
    ),
    "x.set_(xi)": (
        RuntimeError,
        "Could not set tensor of type long int to a tensor of type float",
    ),
    "xi.set_(x.storage())": (
        RuntimeError,
        (
            "Expected a Storage of type long int or an UntypedStorage, but got type Float for "
            "argument 1 'storage'"
        ),
    ),
    "x.set_(y, -1, (2,))": (
        RuntimeError,
        "Tensor: invalid storage offset -1",
    ),
    "x.set_(y, 0, (-2,))": (
        RuntimeError,
        "numel: integer multiplication overflow",
    ),
    "x.set_(y, 0, (2,), (-1,))": (
        RuntimeError,
        "Storage size calculation overflowed with sizes=[2] and strides=[-1]",
    ),
    "gv.set_(y)": (
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    "gv.set_()": (
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CASES)
def test_refused(call):
    kind, text = CASES[call]
    given = values()
    before = {name: (t._version, t.shape, t.tolist(), t.requires_grad) for name, t in given.items()}
    with pytest.raises(kind) as error:
        eval(call, {"torch": torch, **given})
    assert str(error.value).split("\n")[0] == text
    assert before == {name: (t._version, t.shape, t.tolist(), t.requires_grad) for name, t in given.items()}
