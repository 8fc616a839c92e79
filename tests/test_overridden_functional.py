"""What classes and modes see of the functions of torch.nn.functional: as PyTorch shows it."""

import pytest

import pullback as torch
import pullback.nn.functional as F
from pullback.overrides import TorchFunctionMode

seen = []


def shown(a):
    if isinstance(a, torch.Tensor):
        return "T"
    return tuple(map(shown, a)) if isinstance(a, (list, tuple)) else a


class Noting(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        seen.append((func.__name__, shown(args), {k: shown(v) for k, v in kwargs.items()}))
        return super().__torch_function__(func, types, args, kwargs)


class NotingMode(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        seen.append((func.__name__, shown(args), {k: shown(v) for k, v in kwargs.items()}))
        return func(*args, **kwargs)


T = torch.tensor([0, 1, 2])
W, B = torch.ones(5, 4), torch.zeros(5)
REDUCED = {"size_average": None, "reduce": None, "reduction": "mean"}
WEIGHTED = {"weight": None, **REDUCED}
CALLS = {
    # native in PyTorch: as they were called
    "linear": (lambda x: F.linear(x, W, B), ("T", "T", "T"), {}),
    "linear, named": (lambda x: F.linear(x, W, bias=B), ("T", "T"), {"bias": "T"}),
    "gelu": (lambda x: F.gelu(x, approximate="tanh"), ("T",), {"approximate": "tanh"}),
    "softplus": (lambda x: F.softplus(x, 2), ("T", 2), {}),
    "prelu": (lambda x: F.prelu(x, torch.ones(1)), ("T", "T"), {}),
    # written in Python: what is needed by place, and all the rest by name
    "relu": (F.relu, ("T",), {"inplace": False}),
    "relu, by place": (lambda x: F.relu(x, True), ("T",), {"inplace": True}),
    "relu, by name": (lambda x: F.relu(input=x), ("T",), {"inplace": False}),
    "elu": (lambda x: F.elu(x, 2.0), ("T",), {"alpha": 2.0, "inplace": False}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), ("T",), {"negative_slope": 0.2, "inplace": False}),
    "hardtanh": (F.hardtanh, ("T",), {"min_val": -1.0, "max_val": 1.0, "inplace": False}),
    "glu": (F.glu, ("T",), {"dim": -1}),
    "mse_loss": (lambda x: F.mse_loss(x, x), ("T", "T"), {**REDUCED, "weight": None}),
    "huber_loss": (
        lambda x: F.huber_loss(x, x),
        ("T", "T"),
        {"reduction": "mean", "delta": 1.0, "weight": None},
    ),
    "smooth_l1_loss": (lambda x: F.smooth_l1_loss(x, x), ("T", "T"), {**REDUCED, "beta": 1.0}),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, T, torch.ones(4)),
        ("T", "T"),
        {**WEIGHTED, "weight": "T", "ignore_index": -100, "label_smoothing": 0.0},
    ),
    "nll_loss": (lambda x: F.nll_loss(x, T), ("T", "T"), {**WEIGHTED, "ignore_index": -100}),
    "binary_cross_entropy": (lambda x: F.binary_cross_entropy(x, x), ("T", "T"), WEIGHTED),
    "kl_div": (lambda x: F.kl_div(x, x), ("T", "T"), {**REDUCED, "log_target": False}),
    "softmax": (lambda x: F.softmax(x, 1), ("T",), {"dim": 1, "_stacklevel": 3, "dtype": None}),
    "log_softmax": (
        lambda x: F.log_softmax(x, dim=-1, dtype=torch.float64),
        ("T",),
        {"dim": -1, "_stacklevel": 3, "dtype": torch.float64},
    ),
    "dropout": (
        lambda x: F.dropout(x, 0.3, training=False),
        ("T",),
        {"p": 0.3, "training": False, "inplace": False},
    ),
    "layer_norm": (
        lambda x: F.layer_norm(x, (4,)),
        ("T", (4,)),
        {"weight": None, "bias": None, "eps": 1e-05},
    ),
    "batch_norm": (
        lambda x: F.batch_norm(x, None, None, training=True),
        ("T", None, None),
        {"weight": None, "bias": None, "training": True, "momentum": 0.1, "eps": 1e-05},
    ),
    "normalize": (F.normalize, ("T",), {"p": 2.0, "dim": 1, "eps": 1e-12, "out": None}),
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")
@pytest.mark.parametrize("name", CALLS)
def test_arguments(name):
    call, args, kwargs = CALLS[name]
    expected = [(name.partition(",")[0], args, kwargs)]
    plain = torch.linspace(0.1, 0.9, 12).reshape(3, 4)
    results = [call(plain.clone())]
    del seen[:]
    results.append(call(plain.clone().as_subclass(Noting)))
    assert [s for s in seen if s[0] == expected[0][0]][:1] == expected
    x = plain.clone()
    del seen[:]
    with NotingMode():
        results.append(call(x))
    assert [s for s in seen if s[0] == expected[0][0]][:1] == expected
    assert all(torch.equal(r, results[0]) for r in results)


def test_a_call_that_does_not_fit_says_so():
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        F.relu(torch.ones(2).as_subclass(Noting), other=1)
