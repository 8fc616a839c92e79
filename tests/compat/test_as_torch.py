"""`import torch` means pullback: names, modules, versions, errors. Each program has its own process."""

import os
import subprocess
import sys
import textwrap

import pytest


def run(program, *, path=None, prelude="import pullback; pullback.as_torch()\n"):
    """Runs the program in a fresh interpreter and returns what it printed."""
    env = dict(os.environ)
    if path is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), env.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def installed_torch(tmp_path):
    """A package named torch that stands for an installed one."""
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '1.0'\nREAL = True\n")
    (package / "nn.py").write_text("REAL = True\n")
    return tmp_path


def test_modules_are_the_same_objects():
    run("""
        import sys
        import pullback.nn, pullback.nn.functional, pullback.optim, pullback.utils.data
        import torch, torch.nn, torch.nn.functional as F, torch.optim as optim, torch.autograd
        from torch import nn
        from torch.utils.data import DataLoader
        import torch.optim.lr_scheduler
        assert nn is torch.nn is pullback.nn is sys.modules["torch.nn"]
        assert F is pullback.nn.functional and optim is pullback.optim
        assert DataLoader is pullback.utils.data.DataLoader
        assert torch.autograd is pullback.autograd
        assert torch.Tensor is pullback.Tensor
        assert pullback.nn.__name__ == "pullback.nn" and pullback.nn.__spec__.name == "pullback.nn"
    """)


def test_modules_found_by_attribute_alone():
    run("""
        import torch
        import pullback.utils.data, pullback.nn.functional
        assert torch.autograd.grad is pullback.autograd.grad
        assert torch.utils.data is pullback.utils.data
        assert torch.nn.functional is pullback.nn.functional
    """)


def test_torchs_homes_of_layers_and_losses():
    run("""
        from torch.nn.modules import Linear
        from torch.nn.modules.loss import MSELoss
        from torch.nn.modules.linear import Linear as Same
        import torch
        assert Linear is torch.nn.Linear and MSELoss.__name__ == "MSELoss" and Same.__name__ == "Linear"
    """)


def test_functions_win_over_our_own_modules():
    assert (
        run("import torch\nfrom torch import trace, tensor\nprint(callable(trace), callable(torch.tensor))")
        == "True True"
    )


def test_versions():
    out = run("""
        import torch, pullback, importlib.metadata
        print(torch.__version__, pullback.__version__, torch.version.__version__, torch.version.cuda)
        print(importlib.metadata.version("torch"), torch.__name__)
        v = torch.__version__
        print(isinstance(v, str), v >= (2, 2), v >= "2.9", v < "2.13", v > "2.13.1", v == "2.13.0",
              v == "2.13.0+pullback", v != "2.12", v.split(".")[0], "2.9" < v)
    """)
    assert out.splitlines() == [
        "2.13.0+pullback 0.1.0 2.13.0+pullback None",
        "2.13.0+pullback torch",
        "True True True False False True True True 2 True",
    ]


def test_the_cpu_surface():
    run("""
        import torch, pullback
        assert torch.cuda.is_available() is False and torch.cuda.device_count() == 0
        assert pullback.cuda is torch.cuda
        torch.cuda.manual_seed_all(0); torch.cuda.empty_cache()
        import torch.backends.cudnn as cudnn
        cudnn.benchmark = True
        cudnn.deterministic = True
        assert torch.backends.cudnn.benchmark is True and not cudnn.is_available()
        assert not torch.backends.mps.is_available() and not torch.backends.cuda.is_built()
        torch.backends.cuda.matmul.allow_tf32 = True
        assert not torch.mps.is_available() and not torch.xpu.is_available()
        assert not torch.accelerator.is_available()
        assert not torch.distributed.is_available() and not torch.distributed.is_initialized()
        assert not isinstance(torch.nn.Module(), torch.jit.ScriptModule)
        assert not torch.jit.is_scripting() and not torch.compiler.is_compiling()
        @torch.jit.script
        def f(x): return x + 1
        @torch.jit.ignore(drop=True)
        def g(x): return x + 1
        @torch.jit.ignore
        def h(x): return x + 1
        @torch.compiler.disable()
        def k(x): return x + 1
        assert f(1) == g(1) == h(1) == k(1) == 2
        try: torch.cuda.current_device()
        except AssertionError as e: assert str(e).startswith("Torch not compiled with CUDA enabled\\n")
        else: raise SystemExit("no error")
    """)


@pytest.mark.parametrize(
    ("statement", "kind", "texts"),
    [
        ("torch._C", AttributeError, ["module 'torch' has no attribute '_C'", "no torch._C"]),
        (
            "torch.no_such_name",
            AttributeError,
            ["module 'torch' has no attribute 'no_such_name'", "not offered yet"],
        ),
        ("import torch._C", ImportError, ["No module named 'torch._C'", "no torch._C"]),
        ("import torch.onnx.utils", ImportError, ["No module named 'torch.onnx'", "ONNX is not written"]),
        (
            "from torch import no_such_name",
            ImportError,
            ["No module named 'torch.no_such_name'", "not offered yet"],
        ),
        ("from torch import hub", ImportError, ["No module named 'torch.hub'", "load its state_dict"]),
        ("from torch.nn import NoSuchLayer", ImportError, ["cannot import name 'NoSuchLayer'"]),
        (
            "from torch.nn import DataParallel",
            ImportError,
            ["No module named 'torch.nn.DataParallel'", "runs on CPUs"],
        ),
        ("torch.cuda.nothing", AttributeError, ["module 'torch.cuda' has no attribute 'nothing'"]),
        ("torch.jit.trace", AttributeError, ["module 'torch.jit' has no attribute 'trace'"]),
    ],
)
def test_what_is_missing_says_its_name_and_the_way_round(statement, kind, texts):
    out = run(f"""
        import torch
        try:
            {statement}
        except {kind.__name__} as error:
            print(error)
        else:
            print("no error")
    """)
    for text in texts:
        assert text in out


def test_hasattr_and_find_spec_answer():
    run("""
        import importlib.util, torch
        assert not hasattr(torch, "no_such_name") and hasattr(torch, "Tensor")
        assert getattr(torch, "no_such_name", 7) == 7
        assert importlib.util.find_spec("torch") is not None
        assert "Tensor" in dir(torch)
        namespace = {}
        exec("from torch import *", namespace)
        assert namespace["Tensor"] is torch.Tensor
    """)


def test_a_name_costs_one_lookup_from_the_second_time():
    run("import torch, pullback\ntorch.Tensor\nassert vars(torch)['Tensor'] is pullback.Tensor")


def test_a_name_set_on_torch_stays_there():
    run("import torch, pullback\ntorch.mine = 1\nassert torch.mine == 1 and not hasattr(pullback, 'mine')")


def test_twice_is_once():
    run("""
        import pullback, sys, torch
        before = list(sys.meta_path)
        assert pullback.as_torch() is torch and sys.meta_path == before
    """)


def test_wins_over_an_installed_torch(installed_torch):
    assert run(
        "import torch, torch.nn\nprint(torch.__version__, hasattr(torch, 'REAL'))", path=installed_torch
    ) == ("2.13.0+pullback False")


def test_only_where_it_is_asked_for(installed_torch):
    out = run("import torch, pullback\nprint(torch.__version__)", path=installed_torch, prelude="")
    assert out == "1.0"


def test_too_late_is_an_error(installed_torch):
    out = run(
        """
        import torch, pullback
        try: pullback.as_torch()
        except ImportError as error: print(error)
        """,
        path=installed_torch,
        prelude="",
    )
    assert out.startswith("torch is already imported, from ") and "before the first import of torch" in out


@pytest.mark.parametrize("imported", ["", "import pullback.nn, pullback.optim.lr_scheduler\n"])
def test_classes_say_that_they_come_from_torch(imported):
    """Whether they are loaded before or after; user's classes keep their own module."""
    printed = run(
        """
        import pickle
        import torch, torch.optim.lr_scheduler
        from torch.utils.data import DataLoader, TensorDataset
        nn = torch.nn
        optim = torch.optim
        layers = nn.Linear, nn.InstanceNorm1d, nn.MultiheadAttention, nn.Parameter
        for cls in (*layers, optim.AdamW, optim.RMSprop, optim.lr_scheduler.StepLR, DataLoader):
            print(cls)
        print(torch.autograd.Function)
        print(type(torch.ones(2).max(0)))
        class Mine(nn.Module):
            pass
        print(Mine, type(nn.Sequential(nn.ReLU())[0]).__name__)
        packages = (nn, torch.optim, torch.optim.lr_scheduler, torch.utils.data)
        public = [vars(p)[n] for p in packages for n in p.__all__ if isinstance(vars(p).get(n), type)]
        for cls in public:
            assert cls.__module__.startswith("torch."), cls
            assert pickle.loads(pickle.dumps(cls)) is cls
        assert len(public) > 80
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh())
        print(type(pickle.loads(pickle.dumps(model))[1]))
        top = torch.ones(2).topk(1)
        assert pickle.loads(pickle.dumps(top)) == top
        """,
        prelude=imported + "import pullback; pullback.as_torch()\n",
    )
    assert printed.splitlines() == [
        "<class 'torch.nn.modules.linear.Linear'>",
        "<class 'torch.nn.modules.instancenorm.InstanceNorm1d'>",
        "<class 'torch.nn.modules.activation.MultiheadAttention'>",
        "<class 'torch.nn.parameter.Parameter'>",
        "<class 'torch.optim.adamw.AdamW'>",
        "<class 'torch.optim.rmsprop.RMSprop'>",
        "<class 'torch.optim.lr_scheduler.StepLR'>",
        "<class 'torch.utils.data.dataloader.DataLoader'>",
        "<class 'torch.autograd.function.Function'>",
        "<class 'torch.return_types.max'>",
        "<class '__main__.Mine'> ReLU",
        "<class 'torch.nn.modules.batchnorm.BatchNorm1d'>",
    ]


def test_without_as_torch_classes_are_found_where_they_are():
    run(
        """
        import pickle, pullback as torch
        model = torch.nn.Sequential(torch.nn.Linear(2, 3))
        assert type(pickle.loads(pickle.dumps(model))[0]).__module__ == "pullback.nn.layers.linear"
        """,
        prelude="",
    )
