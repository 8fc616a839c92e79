"""torch.nn.modules and torch.nn.utils.stateless: names that programs import."""

import importlib
import subprocess
import sys

import pytest

import pullback as torch

HOMES = {
    "activation": ["ReLU", "Softmax2d", "MultiheadAttention"],
    "batchnorm": ["BatchNorm1d", "_BatchNorm", "_NormBase"],
    "container": ["Sequential", "ModuleList", "ParameterDict"],
    "dropout": ["Dropout"],
    "flatten": ["Flatten", "Unflatten"],
    "instancenorm": ["InstanceNorm2d"],
    "linear": ["Linear", "Bilinear", "Identity"],
    "loss": ["MSELoss", "CrossEntropyLoss"],
    "module": ["Module", "register_module_forward_hook"],
    "normalization": ["LayerNorm", "GroupNorm", "RMSNorm"],
    "sparse": ["Embedding"],
    "utils": ["_pair", "_triple", "consume_prefix_in_state_dict_if_present"],
}


@pytest.mark.parametrize("name", HOMES)
def test_classes_are_those_of_nn(name):
    module = importlib.import_module(f"pullback.nn.modules.{name}")
    assert module is getattr(torch.nn.modules, name)
    for found in HOMES[name]:
        assert getattr(torch.nn, found, None) in (None, getattr(module, found))
    assert torch.nn.modules.Linear is torch.nn.Linear


def test_nothing_is_imported_before_it_is_asked_for():
    program = (
        "import sys, pullback.nn as nn\n"
        "assert not {'pullback.nn.modules', 'pullback.nn.utils.stateless'} & set(sys.modules)\n"
        "from pullback.nn.modules.linear import Linear\n"
        "assert Linear is nn.Linear is nn.modules.linear.Linear and nn.utils.stateless.functional_call"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_helpers():
    from pullback.nn.modules import utils

    assert (
        utils._pair(3) == (3, 3) and utils._pair([1, 2]) == (1, 2) and utils._triple("abc") == ("a", "b", "c")
    )
    assert utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert utils._list_with_default([None, 3], [5, 6, 7]) == [6, 3]
    assert utils._list_with_default(4, [5]) == 4
    with pytest.raises(ValueError, match="Input dimension should be at least 3"):
        utils._list_with_default([1, 2], [3, 4])
    net = torch.nn.Sequential(torch.nn.Linear(1, 1))
    state = torch.nn.ModuleDict({"module": net}).state_dict()
    utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["0.weight", "0.bias"]
    assert list(state._metadata) == ["", "0"]
    net.load_state_dict(state)


def test_stateless():
    stateless = torch.nn.utils.stateless
    net, given = torch.nn.Linear(2, 2, bias=False), {"weight": torch.eye(2) * 3}
    with pytest.warns(FutureWarning, match="`torch.nn.utils.stateless.functional_call` is deprecated as of"):
        assert stateless.functional_call(net, given, torch.ones(2)).tolist() == [3, 3]
    with stateless._reparametrize_module(net, given, strict=True):
        assert net.weight is given["weight"]
    assert net.weight is not given["weight"]
    with pytest.raises(RuntimeError, match=r"Error\(s\) in reparametrizing for Linear"):
        with stateless._reparametrize_module(net, {"bias": torch.ones(2)}, strict=True):
            pass
