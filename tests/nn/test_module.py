"""nn.Module, containers and their texts. Expected texts are PyTorch's."""

import copy
import pickle
from collections import OrderedDict

import pytest

import pullback as torch
from pullback import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(1, 1)
        self.b = self.a
        self.inner = nn.ModuleList([self.a, nn.Sequential(nn.ReLU())])
        self.register_buffer("mean", torch.ones(1))
        self.register_buffer("scratch", torch.ones(2), persistent=False)
        self.p = nn.Parameter(torch.ones(1))
        self.q = self.p

    def extra_repr(self):
        return "one\ntwo"


def test_repr():
    assert repr(Net()) == (
        "Net(\n  one\n  two\n  (a): Linear(in_features=1, out_features=1, bias=True)\n"
        "  (b): Linear(in_features=1, out_features=1, bias=True)\n  (inner): ModuleList(\n"
        "    (0): Linear(in_features=1, out_features=1, bias=True)\n    (1): Sequential(\n"
        "      (0): ReLU()\n    )\n  )\n)"
    )
    assert repr(nn.ModuleList([nn.Linear(1, 2)] * 3 + [nn.ReLU()])) == (
        "ModuleList(\n  (0-2): 3 x Linear(in_features=1, out_features=2, bias=True)\n  (3): ReLU()\n)"
    )
    assert repr(nn.ParameterList([torch.ones(2), 3])) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n"
        "    (1): Object of type: int\n)"
    )
    assert repr(nn.LeakyReLU(0.2, True)) == "LeakyReLU(negative_slope=0.2, inplace=True)"
    assert repr(nn.ReLU6()) == "ReLU6()"
    assert repr(nn.Dropout(0.3)) == "Dropout(p=0.3, inplace=False)"
    assert repr(nn.CrossEntropyLoss()) == "CrossEntropyLoss()"
    assert repr(nn.Parameter(torch.ones(2))) == (
        "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    )


def test_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["p", "a.weight", "a.bias"]
    assert [n for n, _ in net.named_parameters("x", recurse=False)] == ["x.p"]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == [
        "p",
        "q",
        "a.weight",
        "a.bias",
        "b.weight",
        "b.bias",
        "inner.0.weight",
        "inner.0.bias",
    ]
    assert [n for n, _ in net.named_modules()] == ["", "a", "inner", "inner.1", "inner.1.0"]
    assert [n for n, _ in net.named_children()] == ["a", "inner"]
    assert list(net.state_dict()) == [
        "p",
        "q",
        "mean",
        "a.weight",
        "a.bias",
        "b.weight",
        "b.bias",
        "inner.0.weight",
        "inner.0.bias",
    ]
    assert net.get_submodule("inner.1.0") is net.inner[1][0]
    assert net.get_parameter("a.weight") is net.a.weight


def forgot_init(name):
    class Forgot(nn.Module):
        def __init__(self):
            if name == "parameter":
                self.w = nn.Parameter(torch.ones(1))
            elif name == "module":
                self.w = nn.ReLU()
            else:
                self.register_buffer("w", None)

    return Forgot


ERRORS = [
    (
        lambda: forgot_init("parameter")(),
        AttributeError,
        "cannot assign parameters before Module.__init__() call",
    ),
    (lambda: forgot_init("module")(), AttributeError, "cannot assign module before Module.__init__() call"),
    (lambda: forgot_init("buffer")(), AttributeError, "cannot assign buffer before Module.__init__() call"),
    (lambda: Net().nothing, AttributeError, "'Net' object has no attribute 'nothing'"),
    (
        lambda: setattr(nn.Linear(1, 1), "weight", 3),
        TypeError,
        "cannot assign 'int' as parameter 'weight' (torch.nn.Parameter or None expected)",
    ),
    (
        lambda: Net().register_parameter("z", torch.ones(1)),
        TypeError,
        "cannot assign 'torch.FloatTensor' object to parameter 'z' (torch.nn.Parameter or None required)",
    ),
    (lambda: Net().register_buffer("p", None), KeyError, "attribute 'p' already exists"),
    (lambda: Net().register_parameter("a.b", None), KeyError, 'parameter name can\'t contain "."'),
    (lambda: Net().add_module("x", 3), TypeError, "int is not a Module subclass"),
    (lambda: Net().get_submodule("a.z"), AttributeError, "Linear has no attribute `z`"),
    (lambda: Net().get_submodule("p"), AttributeError, "`p` is not an nn.Module"),
    (
        lambda: Net().to(torch.int32),
        TypeError,
        "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int32",
    ),
    (lambda: Net().train(1), ValueError, "training mode is expected to be boolean"),
    (lambda: Net()(1), NotImplementedError, 'Module [Net] is missing the required "forward" function'),
    (lambda: nn.Sequential(nn.ReLU())[3], IndexError, "index 3 is out of range"),
    (lambda: nn.Dropout(2), ValueError, "dropout probability has to be between 0 and 1, but got 2"),
    (
        lambda: nn.functional.binary_cross_entropy(torch.ones(2), torch.ones(3)),
        ValueError,
        "Using a target size (torch.Size([3])) that is different to the input size (torch.Size([2])) is "
        "deprecated. Please ensure they have the same size.",
    ),
    (
        lambda: nn.functional.mse_loss(torch.ones(2), torch.ones(2), reduction="x"),
        ValueError,
        "x is not a valid value for reduction",
    ),
    (
        lambda: nn.functional.cross_entropy(torch.ones(2, 3), torch.ones(3, dtype=torch.int64)),
        ValueError,
        "Expected input batch_size (2) to match target batch_size (3).",
    ),
    (
        lambda: nn.functional.cross_entropy(torch.ones(2, 3), torch.tensor([1, 5])),
        IndexError,
        "Target 5 is out of bounds.",
    ),
    (
        lambda: nn.init.xavier_uniform_(torch.ones(3)),
        ValueError,
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions",
    ),
    (lambda: nn.init.calculate_gain("x"), ValueError, "Unsupported nonlinearity x"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    message = error.value.args[0] if kind is KeyError else str(error.value)
    assert message.startswith(text)


def test_warnings():
    with pytest.warns(
        UserWarning, match=r"Using a target size \(torch.Size\(\[2, 1\]\)\) that is different to"
    ):
        nn.MSELoss()(torch.ones(2), torch.ones(2, 1))
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated"):
        nn.Softmax()(torch.ones(2, 2))
    with pytest.warns(UserWarning, match="please use reduction='none' instead"):
        assert nn.L1Loss(reduce=False).reduction == "none"
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        nn.Linear(0, 3)


def test_load_state_dict():
    net = nn.Linear(2, 4)
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict({"weight": torch.ones(2, 2), "x": 1, "y.z": 2, "bias": 3})
    assert str(error.value) == (
        'Error(s) in loading state_dict for Linear:\n\tUnexpected key(s) in state_dict: "x", "y.z". \n\t'
        "size mismatch for weight: copying a param with shape torch.Size([2, 2]) from checkpoint, the shape "
        "in current model is torch.Size([4, 2]).\n\t"
        'While copying the parameter named "bias", expected torch.Tensor or Tensor-like object from '
        "checkpoint but received <class 'int'>"
    )
    result = nn.Linear(2, 4).load_state_dict({"x": 1}, strict=False)
    assert repr(result) == "_IncompatibleKeys(missing_keys=['weight', 'bias'], unexpected_keys=['x'])"
    assert repr(net.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    assert net.state_dict()._metadata == OrderedDict([("", {"version": 1})])
    weight = torch.ones(4, 2)
    net.load_state_dict({"weight": weight, "bias": torch.zeros(4)}, assign=True)
    assert net.weight.data_ptr() == weight.data_ptr()
    assert isinstance(net.weight, nn.Parameter)


def test_conversion_keeps_objects():
    net = nn.Linear(2, 1)
    net(torch.ones(1, 2)).sum().backward()
    weight, grad = net.weight, net.weight.grad
    net.double()
    assert net.weight is weight
    assert weight.grad is grad
    assert weight.dtype == grad.dtype == torch.float64
    net.zero_grad()
    assert weight.grad is None


def test_copies():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = torch.ones(1, 2)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net)
        assert other[0].weight is not net[0].weight
        assert isinstance(other[0].weight, nn.Parameter)
        assert other(x).tolist() == net(x).tolist()


def test_isinstance_of_parameter():
    p = nn.Parameter(torch.ones(2))
    assert isinstance(p, nn.Parameter)
    assert isinstance(p, torch.Tensor)
    assert not isinstance(torch.ones(2), nn.Parameter)
    assert type(p * 2) is torch.Tensor
    b = nn.Buffer(torch.ones(2), persistent=False)
    assert isinstance(b, nn.Buffer)
    assert not isinstance(torch.ones(2), nn.Buffer)
    net = nn.Module()
    net.b = b
    assert next(net.buffers()) is b
    assert not net.state_dict()


def test_sequential_is_a_sequence():
    net = nn.Sequential(*[nn.Linear(i + 1, i + 2) for i in range(4)])
    first = net[0]
    assert len(net[1:3]) == 2
    net.append(nn.ReLU())
    net.insert(0, nn.Tanh())
    assert net[1] is first
    assert net.pop(1) is first
    del net[-1]
    assert list(net._modules) == ["0", "1", "2", "3"]
    assert len(net + net) == 8
    assert len(2 * net) == 8


def test_forward_hooks():
    log = []
    net = nn.Linear(2, 1, bias=False)
    net.weight.data.fill_(1.0)
    handles = [
        net.register_forward_pre_hook(lambda m, a: log.append("second")),
        net.register_forward_pre_hook(lambda m, a: log.append("first"), prepend=True),
        net.register_forward_pre_hook(lambda m, a, k: ((a[0] * 2,), k), with_kwargs=True),
        net.register_forward_hook(lambda m, a, out: out + 1),
    ]
    assert net(torch.ones(1, 2)).tolist() == [[5.0]]
    assert log == ["first", "second"]
    for handle in handles:
        handle.remove()
    assert net(torch.ones(1, 2)).tolist() == [[2.0]]
    net.register_forward_hook(lambda m, a, out: log.append(out), always_call=True)
    with pytest.raises(TypeError):
        net(1)
    assert log[-1] is None


def test_full_backward_hooks():
    log = []
    net = nn.ReLU()
    net.register_full_backward_pre_hook(lambda m, g: (g[0] * 2,))
    net.register_full_backward_hook(lambda m, gi, go: log.append((gi[0].tolist(), go[0].tolist())))
    net.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    net(x).sum().backward()
    assert log == [([2.0, 0.0], [2.0, 2.0])]
    assert x.grad.tolist() == [20.0, 0.0]


def test_extra_state_and_load_hooks():
    class Counter(nn.Module):
        count = 5

        def get_extra_state(self):
            return self.count

        def set_extra_state(self, state):
            self.count = state

    net = Counter()
    assert net.state_dict() == OrderedDict(_extra_state=5)
    net.load_state_dict({"_extra_state": 9})
    assert net.count == 9
    assert net.load_state_dict({}, strict=False).missing_keys == ["_extra_state"]
    with net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear()):
        net.load_state_dict({})


def test_hooks_for_all_modules_from_where_torch_has_them():
    log, where = [], torch.nn.modules.module
    handles = [
        where.register_module_forward_pre_hook(lambda m, args: log.append("before")),
        where.register_module_forward_hook(lambda m, args, out: log.append("after")),
        where.register_module_full_backward_pre_hook(lambda m, grads: log.append("back, before")),
        where.register_module_full_backward_hook(lambda m, i, o: log.append("back, after")),
        where.register_module_parameter_registration_hook(lambda m, name, p: log.append(name)),
    ]
    try:
        layer = torch.nn.Linear(2, 1)
        layer(torch.ones(1, 2, requires_grad=True)).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    layer(torch.ones(1, 2))
    assert log == ["weight", "bias", "before", "after", "back, before", "back, after"]
