"""What `import pullback` leaves for later is there when it is asked for; each in a process of its own."""

import subprocess
import sys

import pytest

WAITING = """
    pullback.nn pullback.optim pullback.func pullback.trace.derived pullback.primitives.batch_rules
    pullback.autograd.functional pullback.autograd.gradcheck.checks pullback.autograd.forward_ad
    pullback.autograd.saved_names pullback.debug.judge pullback.utils.data pullback.utils.checkpoint
    pullback.compat.runner pullback.checking pullback.extend
    pullback.documentation dataclasses
""".split()


def run(program):
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_parts_that_a_program_may_do_without_are_not_imported():
    loaded = run(
        "import numpy, sys; before = set(sys.modules); import pullback; print(*set(sys.modules) - before)"
    )
    assert not set(WAITING) & set(loaded.split())


@pytest.mark.parametrize(
    "program",
    [
        # by attribute, by import, and by both in the order that could put a module in a function's place
        "import pullback; assert callable(pullback.autograd.gradcheck)",
        "import pullback.autograd.gradcheck; assert callable(pullback.autograd.gradcheck)",
        "from pullback.autograd.gradcheck import gradcheck, GradcheckError; import pullback\n"
        "assert pullback.autograd.gradcheck is gradcheck; GradcheckError.mro()",
        "import pullback.autograd.gradcheck.checks, pullback; assert callable(pullback.autograd.gradcheck)",
        "import pullback; pullback.autograd.functional.jacobian; pullback.utils.data.DataLoader",
        "from pullback import nn, optim, func, vmap; assert vmap is func.vmap; nn.Linear, optim.SGD",
        "import pullback.nn.functional as F, pullback; assert pullback.nn.functional is F",
        "from pullback.optim import *; LBFGS, Adamax, SGD, lr_scheduler.StepLR",
        "from pullback import *; nn.Linear, optim.Adam, vmap, autograd.grad, tensor",
        "import pullback; pullback.as_torch(); import torch.optim.lr_scheduler, torch.nn.functional\n"
        "import torch.func\n"
        "assert torch.nn is pullback.nn and torch.func is pullback.func and torch.optim is pullback.optim",
        "import pullback\nfor space in (pullback, pullback.autograd, pullback.optim, pullback.utils):\n"
        "    assert set(space.__all__) <= set(dir(space)); [getattr(space, name) for name in dir(space)]",
    ],
)
def test_they_come_when_they_are_asked_for(program):
    run(program)


MODE = """
import pullback as torch
from pullback.overrides import TorchFunctionMode, resolve_name

class Mode(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        print(resolve_name(func))
        return func(*args, **(kwargs or {}))

x = torch.ones(2)
with Mode():
    torch.nn.functional.relu(x)
"""


def test_functions_of_a_part_that_comes_later_ask_first_too():
    assert "torch.nn.functional.relu" in run(MODE)


def test_pickles_are_read_where_nothing_is_imported_yet(tmp_path):
    file = str(tmp_path / "state")
    run(
        "import pickle, pullback as torch\nmodel = torch.nn.Linear(2, 1)\n"
        f"pickle.dump((model, torch.optim.RMSprop, torch.autograd.gradcheck), open({file!r}, 'wb'))"
    )
    out = run(f"import pickle; print(*(type(x).__name__ for x in pickle.load(open({file!r}, 'rb'))))")
    assert out.split() == ["Linear", "type", "function"]
