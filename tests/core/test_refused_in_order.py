"""Calls that torch's own Python code refuses, or what it calls: class, first line, and nothing changed."""

import numpy as np
import pytest

import pullback as torch
from pullback import nn

F = nn.functional
A = torch.autograd

INVALID = "received an invalid combination of arguments - got"
NOT_AN_INTEGER = "object cannot be interpreted as an integer"
NO_FIXED = (
    "is not differentiable with respect to argument 'weight'. This input cannot have requires_grad True."
)


class Given:
    def __init__(self):
        self.x = (torch.arange(6.0) / 10 + 0.1).reshape(2, 3)
        self.m = torch.arange(9.0).reshape(3, 3) / 10
        self.v = torch.arange(3.0) + 1
        self.p = torch.full((2, 3), 0.25)
        self.whole = torch.arange(6).reshape(2, 3)
        self.flags = torch.tensor([[True, False, True], [False, True, True]])
        self.classes = torch.tensor([1, 0])
        self.leaf = torch.ones(2, 3, requires_grad=True)
        self.y = self.leaf * 2

    def picture(self):
        return [
            (t.tolist(), t.dtype, tuple(t.shape), t.requires_grad, t._version) for t in vars(self).values()
        ]


TYPE, RUN, VALUE = TypeError, RuntimeError, ValueError
REFUSED = {
    # autograd: what a gradient is, then the flags, then the graph
    "a number as gradient": (lambda g: g.y.backward(5), TYPE, "'int' object is not iterable"),
    "text as gradient": (
        lambda g: g.x.backward("a"),
        TYPE,
        "gradients can be either Tensors or None, but got str",
    ),
    "a gradient too many, of another kind": (
        lambda g: A.grad([g.y], [g.leaf], (0, 0)),
        TYPE,
        "gradients can be either Tensors or None, but got int",
    ),
    "a gradient too few": (
        lambda g: A.grad([g.y, g.y], [g.leaf], [g.x]),
        RUN,
        "got 2 tensors and 1 gradients",
    ),
    "a shape before the graph": (
        lambda g: A.grad(torch.ones(4), g.leaf, g.x),
        RUN,
        "Mismatch in shape: grad_output[0] has a shape of torch.Size([2, 3]) and output[0] has a shape of "
        "torch.Size([4]).",
    ),
    "no output": (lambda g: A.backward(None), TYPE, "'NoneType' object is not iterable"),
    "no input": (lambda g: A.grad(g.y, None, g.x), TYPE, "'NoneType' object is not iterable"),
    "an input that is no tensor": (
        lambda g: A.grad(g.y, np.ones(3), g.x),
        RUN,
        "all inputs have to be Tensors or GradientEdges, but got numpy.float64",
    ),
    "an output that is no tensor": (
        lambda g: A.grad([5], [g.leaf], [g.x]),
        AssertionError,
        "Expected output to be a torch.Tensor",
    ),
    "text to keep the graph": (
        lambda g: g.y.sum().backward(retain_graph="a"),
        TYPE,
        f"'str' {NOT_AN_INTEGER}",
    ),
    "a tensor to keep the graph": (
        lambda g: g.y.sum().backward(retain_graph=torch.tensor([1, 2])),
        TYPE,
        "only integer tensors of a single element can be converted to an index",
    ),
    "an array to record": (
        lambda g: g.y.sum().backward(create_graph=np.ones(3)),
        TYPE,
        "only integer scalar arrays can be converted to a scalar index",
    ),
    "no byte": (
        lambda g: A.grad(g.y, g.leaf, g.x, retain_graph=256),
        OverflowError,
        "unsigned byte integer is greater than maximum",
    ),
    "below a byte": (
        lambda g: A.grad(g.y, g.leaf, g.x, allow_unused=-1),
        OverflowError,
        "unsigned byte integer is less than minimum",
    ),
    "no word": (
        lambda g: A.grad(g.y, g.leaf, g.x, create_graph=2**63),
        OverflowError,
        "Python int too large to convert to C long",
    ),
    "rows that are no tensor": (
        lambda g: A.grad(g.y, g.leaf, [5], is_grads_batched=True),
        TYPE,
        "gradients can be either Tensors or None, but got int",
    ),
    "backward of an unknown word": (
        lambda g: g.y.backward(foo=1),
        TYPE,
        "Tensor.backward() got an unexpected keyword argument 'foo'",
    ),
    # modules: the names of the classes that users see
    "relu": (
        lambda g: nn.ReLU(inplce=True),
        TYPE,
        "ReLU.__init__() got an unexpected keyword argument 'inplce'",
    ),
    "softmax": (
        lambda g: nn.Softmax(1, 1.5),
        TYPE,
        "Softmax.__init__() takes from 1 to 2 positional arguments but 3 were given",
    ),
    "shrink": (
        lambda g: nn.Hardshrink(foo=1),
        TYPE,
        "Hardshrink.__init__() got an unexpected keyword argument 'foo'",
    ),
    "a part of Module": (
        lambda g: nn.Linear(3, 2).load_state_dict({}, foo=1),
        TYPE,
        "Module.load_state_dict() got an unexpected keyword argument 'foo'",
    ),
    "self": (
        lambda g: nn.ReLU()(g.x, self=g.x),
        TYPE,
        "Module._wrapped_call_impl() got multiple values for argument 'self'",
    ),
    "an index of a list": (
        lambda g: nn.ModuleList([]).__getitem__(),
        TYPE,
        "ModuleList.__getitem__() missing 1 required positional argument: 'idx'",
    ),
    "a path that is no text": (
        lambda g: nn.Linear(3, 2).get_submodule(None),
        AttributeError,
        "'NoneType' object has no attribute 'split'",
    ),
    "to a list": (
        lambda g: nn.Linear(3, 2).to([1]),
        TYPE,
        f"to() {INVALID} (list), but expected one of:",
    ),
    "to two types": (
        lambda g: nn.Linear(3, 2).to(torch.float64, dtype=torch.float64),
        TYPE,
        f"to() {INVALID} (torch.dtype, dtype=torch.dtype), but expected one of:",
    ),
    "to five": (
        lambda g: g.x.to("cpu", torch.float64, False, False, None),
        TYPE,
        "to() takes from 0 to 4 positional arguments but 5 were given",
    ),
    "a copy of a module": (
        lambda g: nn.Linear(3, 2).to("cpu", copy=True),
        RUN,
        ".to() does not accept copy argument",
    ),
    "a parameter": (
        lambda g: nn.Parameter(g.x, "a"),
        TYPE,
        "_make_subclass(): argument 'require_grad' (position 3) must be bool, not str",
    ),
    "gain of a list": (lambda g: nn.init.calculate_gain([5]), VALUE, "Unsupported nonlinearity [5]"),
    "betas": (
        lambda g: torch.optim.Adam([g.leaf], betas=(0, 0)),
        VALUE,
        "betas must be either both floats or both Tensors",
    ),
    # nn.functional
    "dropout of a list": (
        lambda g: F.dropout([1.0]),
        TYPE,
        "dropout(): argument 'input' (position 1) must be Tensor, not list",
    ),
    "dropout of a module": (
        lambda g: nn.Dropout(0.3)(True),
        TYPE,
        "dropout(): argument 'input' (position 1) must be Tensor, not bool",
    ),
    "dropout with a number": (
        lambda g: F.dropout(g.x, 0.3, 1.5),
        TYPE,
        "dropout(): argument 'train' (position 3) must be bool, not float",
    ),
    "dropout in place": (
        lambda g: F.dropout(g.x, torch.tensor([0.5]), inplace=True),
        TYPE,
        "dropout_(): argument 'p' (position 2) must be float, not Tensor",
    ),
    "dropout of channels": (
        lambda g: F.dropout2d(torch.ones(1, 1, 1, 1), 0.3, "a"),
        TYPE,
        "feature_dropout(): argument 'train' (position 3) must be bool, not str",
    ),
    "dropout for selu": (
        lambda g: F.alpha_dropout(g.x, 0.3, 1),
        TYPE,
        "alpha_dropout(): argument 'train' (position 3) must be bool, not int",
    ),
    "nan": (
        lambda g: F.dropout(g.x, float("nan")),
        RUN,
        "dropout probability has to be between 0 and 1, but got nan",
    ),
    "relu of flags": (lambda g: F.relu(g.flags), RUN, "Boolean inputs not supported for relu"),
    "weights": (
        lambda g: F.nll_loss(g.x, g.classes, 5),
        TYPE,
        "nll_loss_nd(): argument 'weight' (position 3) must be Tensor, not int",
    ),
    "ignored": (
        lambda g: F.nll_loss(g.x, g.classes, ignore_index=np.float64(1)),
        TYPE,
        "nll_loss_nd(): argument 'ignore_index' (position 5) must be int, not numpy.float64",
    ),
    "smoothing": (
        lambda g: F.cross_entropy(g.x, g.classes, label_smoothing=[1]),
        TYPE,
        "cross_entropy_loss(): argument 'label_smoothing' (position 6) must be float, not list",
    ),
    "one class": (
        lambda g: F.cross_entropy(g.x, torch.tensor(1)),
        VALUE,
        "Expected input batch_size (2) to match target batch_size (0).",
    ),
    "whole scores": (
        lambda g: F.nll_loss(g.whole, g.classes, g.v),
        NotImplementedError,
        "\"nll_loss_out_frame\" not implemented for 'Long'",
    ),
    "nll weights that learn": (
        lambda g: F.nll_loss(g.x, g.classes, g.leaf[0]),
        RUN,
        f"The function 'nll_loss_forward' {NO_FIXED}",
    ),
    "bce weights that learn": (
        lambda g: F.binary_cross_entropy(g.p, g.p, g.leaf),
        RUN,
        f"The function 'binary_cross_entropy' {NO_FIXED}",
    ),
    "logits weights that learn": (
        lambda g: F.binary_cross_entropy_with_logits(g.p, g.p, g.leaf),
        RUN,
        f"The function 'binary_cross_entropy_with_logits' {NO_FIXED}",
    ),
    "weights that do not broadcast": (
        lambda g: F.binary_cross_entropy(g.p, g.p, torch.ones(4)),
        RUN,
        "Attempting to broadcast a dimension of length 4 at -1! Mismatching argument at index 1 had "
        "torch.Size([4]); but expected shape should be broadcastable to [2, 3]",
    ),
    "flags": (
        lambda g: F.mse_loss(g.flags, g.flags),
        NotImplementedError,
        "\"mse_cpu\" not implemented for 'Bool'",
    ),
    "linear of a number": (
        lambda g: F.linear(torch.tensor(1.0), g.m),
        RUN,
        "both arguments to linear need to be at least 1D, but they are 0D and 2D",
    ),
    "linear of two types": (
        lambda g: F.linear(g.x, g.whole[0], g.v),
        RUN,
        "self and mat2 must have the same dtype, but got Float and Long",
    ),
    "linear into whole numbers": (
        lambda g: F.linear(g.x, g.m, out=g.whole),
        RUN,
        "Expected out tensor to have dtype float, but got long int instead",
    ),
    # functions of tensors
    "norm of a list": (
        lambda g: torch.norm([1.0]),
        AttributeError,
        "'list' object has no attribute 'layout'",
    ),
    "norm's out": (
        lambda g: g.x.norm(2, out=g.v),
        TYPE,
        "Tensor.norm() got an unexpected keyword argument 'out'",
    ),
    "an order": (lambda g: g.x.norm("a"), RUN, "linalg.matrix_norm: Order a not supported."),
    "three axes": (
        lambda g: torch.norm(torch.ones(1, 1, 1), "fro", (0, 1, 2)),
        RUN,
        "linalg.matrix_norm: dim must be a 2-tuple. Got 0 1 2",
    ),
    "split of text": (lambda g: torch.split("a", [1]), TYPE, "must be str or None, not list"),
    "a piece below zero": (
        lambda g: g.x.split([-1, 3]),
        RUN,
        "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[-1, 3]",
    ),
    "a type by its class": (lambda g: g.x.type(int), VALUE, "invalid type: 'int'"),
    "a format on the CPU": (
        lambda g: g.x.cpu(memory_format=torch.channels_last),
        RUN,
        "required rank 4 tensor to use channels_last format",
    ),
    # numbers out of range
    "ends with axes": (
        lambda g: torch.linspace(g.v, 1, 5),
        RUN,
        "linspace only supports 0-dimensional start and end tensors, but got start with 1 dimension(s).",
    ),
    "both ends with axes": (
        lambda g: torch.linspace(g.v, g.x, 5),
        RUN,
        "linspace only supports 0-dimensional start and end tensors, but got start with 1 dimension(s) and "
        "end with 2 dimension(s).",
    ),
    "a large end": (lambda g: torch.linspace(0, 2**70, 5), OverflowError, "int too big to convert"),
    "a large range": (
        lambda g: torch.arange(2**63),
        RUN,
        "value cannot be converted to type int64_t without overflow",
    ),
    "a long range": (
        lambda g: torch.arange(0.0, 2.0**63, 0.1),
        RUN,
        "invalid size, possible overflow?",
    ),
    "no step": (lambda g: torch.arange(0.0, 1.0, float("nan")), RUN, "step must be nonzero"),
    "no range": (lambda g: torch.arange(0.0, float("inf")), RUN, "unsupported range: 0 -> inf"),
    "nan as deviation": (
        lambda g: torch.normal(g.x, float("nan")),
        RUN,
        "normal expects std >= 0.0, but found std nan",
    ),
    "a range beyond floats": (
        lambda g: g.x.uniform_(float("-inf"), 1),
        RUN,
        "from is out of bounds for float",
    ),
    "a range upside down": (
        lambda g: g.x.uniform_(1.5, 1.0),
        RUN,
        "uniform_ expects to return a [from, to) range, but found from=1.5 > to=1",
    ),
    "whole probabilities": (
        lambda g: g.x.bernoulli_(g.whole),
        NotImplementedError,
        "\"bernoulli_tensor_cpu_p_\" not implemented for 'Long'",
    ),
    "whole normal numbers": (
        lambda g: torch.normal(g.x, g.x, out=g.whole),
        NotImplementedError,
        "\"normal_kernel_cpu\" not implemented for 'Long'",
    ),
    "out that learns": (
        lambda g: torch.empty(2, 3, out=g.leaf),
        RUN,
        "cannot resize variables that require grad",
    ),
    "a high with axes": (
        lambda g: torch.randint_like(g.x, torch.tensor([1, 2])),
        RUN,
        "high must be a scalar tensor and on CPU",
    ),
    "another type of out": (
        lambda g: torch.randperm(4, dtype=torch.int32, out=g.x),
        RUN,
        "dtype Int does not match dtype of out parameter (Float)",
    ),
    "an order of flags": (
        lambda g: torch.randperm(4, out=g.flags),
        NotImplementedError,
        "\"randperm\" not implemented for 'Bool'",
    ),
    "sizes that are no integers": (
        lambda g: torch.Size(g.x),
        TYPE,
        "torch.Size() takes an iterable of 'int' (item 0 is 'Tensor')",
    ),
    # places, generators, settings
    "a device by type and tensor": (
        lambda g: torch.device("cpu", g.x),
        TYPE,
        "device(): argument 'index' (position 2) must be int, not Tensor",
    ),
    "a device of two": (
        lambda g: torch.device("cpu", foo=1),
        TYPE,
        "device() got an unexpected keyword argument 'foo'",
    ),
    "a device twice": (
        lambda g: torch.device("cpu", type="cpu"),
        TYPE,
        "device() got multiple values for argument 'type'",
    ),
    "a device of three": (
        lambda g: torch.device("cpu", 0, foo=1),
        TYPE,
        f"device() {INVALID} (str, int, foo=int), but expected one of:",
    ),
    "a far device": (lambda g: torch.device(2**70), VALUE, "Overflow when unpacking long long"),
    "a far index": (lambda g: torch.device("cpu", 2**70), VALUE, "Overflow when unpacking long long"),
    "a dtype as device": (
        lambda g: torch.zeros(1, device="float32"),
        RUN,
        "Invalid device string: 'float32'",
    ),
    "a generator of a list": (
        lambda g: torch.Generator([1]),
        TYPE,
        "Generator(): argument 'device' (position 1) must be torch.device, not list",
    ),
    "a generator elsewhere": (
        lambda g: torch.Generator(device=g.x),
        TYPE,
        "Generator(): argument 'device' must be torch.device, not Tensor",
    ),
    "a generator of two": (
        lambda g: torch.Generator("cpu", 1),
        TYPE,
        "Generator() takes from 0 to 1 positional arguments but 2 were given",
    ),
    "a generator twice": (
        lambda g: torch.Generator("cpu", device="cpu"),
        TYPE,
        "Generator() got multiple values for argument 'device'",
    ),
    "an unknown word": (
        lambda g: torch.Generator(foo=1),
        TYPE,
        "Generator() got an unexpected keyword argument 'foo'",
    ),
    "a seed by name": (
        lambda g: torch.Generator().manual_seed(seed=1),
        TYPE,
        "Generator.manual_seed() takes no keyword arguments",
    ),
    "no state": (
        lambda g: torch.Generator().set_state(),
        TYPE,
        "Generator.set_state() takes exactly one argument (0 given)",
    ),
    "a generator on a GPU": (
        lambda g: torch.Generator("cuda"),
        RUN,
        "Cannot get CUDA generator without ATen_cuda library.",
    ),
    "threads": (
        lambda g: torch.set_num_threads(np.float64(1)),
        RUN,
        "set_num_threads expects an int, but got numpy.float64",
    ),
    "threads by name": (
        lambda g: torch.set_num_threads(n=1),
        TYPE,
        "torch.set_num_threads() takes no keyword arguments",
    ),
    "two arrays": (
        lambda g: torch.from_numpy(np.ones(3), 1),
        TYPE,
        "torch._VariableFunctionsClass.from_numpy() takes exactly one argument (2 given)",
    ),
    "a gradient of an unknown word": (
        lambda g: g.x.requires_grad_(alpha=True),
        TYPE,
        "requires_grad_() got an unexpected keyword argument 'alpha'",
    ),
    "a gradient twice": (
        lambda g: g.x.requires_grad_(True, requires_grad=True),
        TYPE,
        "requires_grad_() got multiple values for argument 'requires_grad'",
    ),
    "a gradient of two": (
        lambda g: g.x.requires_grad_(True, True),
        TYPE,
        "requires_grad_() takes from 0 to 1 positional arguments but 2 were given",
    ),
    "a gradient by name": (
        lambda g: g.x.requires_grad_(requires_grad=np.ones(3)),
        TYPE,
        "requires_grad_(): argument 'requires_grad' must be bool, not numpy.ndarray",
    ),
    "a mode": (
        lambda g: torch.no_grad(foo=1),
        TYPE,
        "_NoParamDecoratorContextManager.__new__() got an unexpected keyword argument 'foo'",
    ),
    "a mode of nothing": (
        lambda g: torch.no_grad(None),
        TYPE,
        "no_grad.__init__() takes 1 positional argument but 2 were given",
    ),
}


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(call, kind, text):
    given = Given()
    before = given.picture()
    with pytest.raises(kind) as caught:
        call(given)
    assert str(caught.value).split("\n")[0] == text
    assert given.picture() == before


def test_what_torch_takes_is_taken():
    g = Given()
    assert F.mse_loss(g.flags, g.x, reduction="sum").item() == pytest.approx(1.91)
    assert torch.softmax(g.x, 1, dtype=float).dtype == torch.float64
    assert g.x.to(1.5).dtype == torch.float64 and g.x.to(tensor=5).dtype == torch.int64
    assert nn.Linear(3, 2).to(2.5).weight.dtype == torch.float64
    assert g.x.type(torch.Tensor) is g.x
    assert torch.zeros(2, requires_grad=None).requires_grad is False
    assert torch.bernoulli(g.x, torch.tensor(1)).tolist() == torch.ones(2, 3).tolist()
    assert F.linear(g.x, g.m, out=torch.empty(0)).shape == (2, 3)
    assert A.grad([g.y], [g.leaf], [g.x, 5])[0].shape == (2, 3)
    assert len(list(nn.Sequential(*[nn.ReLU()] * 2).modules(remove_duplicate=False))) == 3
    assert F.binary_cross_entropy_with_logits(g.x, g.p, pos_weight=g.x.double()).dtype == torch.float32
    before = torch.get_num_threads()
    torch.set_num_threads(np.int64(before))
    with torch.no_grad(), torch.enable_grad(None):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_zero_grad_asks_its_argument_only_about_gradients(kind):
    g = Given()
    optimizer = kind([g.leaf], lr=0.1)
    optimizer.zero_grad(g.x)  # several elements have no truth, but no gradient asks for it
    g.y.sum().backward()
    with pytest.raises(RuntimeError, match=r"^Boolean value of Tensor with more than one value"):
        optimizer.zero_grad(g.x)
    optimizer.zero_grad(0)
    assert g.leaf.grad.tolist() == [[0.0] * 3] * 2
    optimizer.zero_grad(1)
    assert g.leaf.grad is None


def test_drawing_into_out_takes_its_shape_where_torch_does():
    g = Given()
    with pytest.raises(RuntimeError, match=r"^The size of tensor a \(3\) must match"):
        torch.normal(g.x, 1.0, out=torch.zeros(7))
    with pytest.warns(UserWarning, match="^An output with one or more elements was resized"):
        assert torch.normal(0.0, g.x, out=torch.zeros(2)).shape == (2, 3)
