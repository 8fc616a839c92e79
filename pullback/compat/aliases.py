"""torch's module names and where pullback keeps them, and the way round what it does not have. Data only."""

from __future__ import annotations

TORCH_VERSION = "2.13.0"  # the release whose names, defaults and values pullback follows

# Parts of torch that only tell a program that it runs on a CPU: modules of pullback.compat.surface.
SURFACE = frozenset(
    {"accelerator", "backends", "compiler", "cuda", "distributed", "jit", "mps", "version", "xpu"}
)

# torch's modules that have another home here; tried in order. The longest prefix wins, what follows is kept.
MODULES: dict[str, tuple[str, ...]] = {
    "torch": ("pullback",),
    "torch.utils.data.dataloader": ("pullback.utils.data.dataloader", "pullback.utils.data.loader"),
    "torch.utils.data._utils.collate": ("pullback.utils.data.collate",),
    "torch.torch_version": ("pullback.compat.surface.version",),
    **{f"torch.{name}": (f"pullback.compat.surface.{name}",) for name in SURFACE},
}

# Parts of torch that are a module of pullback by another name; also as attributes of pullback.
RENAMED = {"return_types": "pullback._return_types", "_tensor_str": "pullback.printing"}
MODULES.update({f"torch.{name}": (home,) for name, home in RENAMED.items()})

# Optimizers that share a module here have one each in torch.
_OPTIMIZERS = {
    "adam": ("adamw",),
    "adaptive": ("adadelta", "adagrad", "rmsprop"),
    "moments": ("adamax", "nadam", "radam"),
    "rprop": ("asgd",),
}
MODULES.update(
    {f"torch.optim.{n}": (f"pullback.optim.{home}",) for home, names in _OPTIMIZERS.items() for n in names}
)

# Where torch's classes say that they come from, for the modules that define them here: programs print types.
# {name} is the class's own name in lower case, without the number of dimensions.
CLASSES: dict[str, str] = {
    "pullback.autograd.function": "torch.autograd.function",
    "pullback.nn.container": "torch.nn.modules.container",
    "pullback.nn.layers.activation": "torch.nn.modules.activation",
    "pullback.nn.layers.attention": "torch.nn.modules.activation",
    "pullback.nn.layers.batchnorm": "torch.nn.modules.{name}",
    "pullback.nn.layers.dropout": "torch.nn.modules.dropout",
    "pullback.nn.layers.linear": "torch.nn.modules.linear",
    "pullback.nn.layers.normalization": "torch.nn.modules.normalization",
    "pullback.nn.layers.shape": "torch.nn.modules.flatten",
    "pullback.nn.layers.sparse": "torch.nn.modules.sparse",
    "pullback.nn.loss": "torch.nn.modules.loss",
    "pullback.nn.module": "torch.nn.modules.module",
    "pullback.nn.parameter": "torch.nn.parameter",
    "pullback.optim.adam": "torch.optim.{name}",
    "pullback.optim.adaptive": "torch.optim.{name}",
    "pullback.optim.lbfgs": "torch.optim.lbfgs",
    "pullback.optim.lr_scheduler": "torch.optim.lr_scheduler",
    "pullback.optim.moments": "torch.optim.{name}",
    "pullback.optim.optimizer": "torch.optim.optimizer",
    "pullback.optim.rprop": "torch.optim.{name}",
    "pullback.optim.sgd": "torch.optim.sgd",
    "pullback.utils.data.dataset": "torch.utils.data.dataset",
    "pullback.utils.data.loader": "torch.utils.data.dataloader",
    "pullback.utils.data.sampler": "torch.utils.data.sampler",
}

# Modules of pullback that are its own affair: `torch.trace` is a function, not our tracer.
INTERNAL = frozenset(
    {"cli", "compat", "composites", "documentation", "explain", "generator", "primitives", "tensor", "trace"}
)

_CPU = "pullback runs on CPUs; leave the device out, or ask torch.cuda.is_available() first, it says False"
_EAGER = "pullback runs eagerly and fuses by itself; leave the call out, the values are the same"
_FLOAT32 = "there is no reduced precision yet; compute in float32 and leave autocast out"
_REAL = "complex tensors are not offered yet; keep real and imaginary parts apart"
_QUANTISED = "there are no quantised tensors; compute in float32"
_DENSE = "there are no sparse tensors; use dense ones, or index_add and gather"

# The way round a name that pullback does not offer, by torch's full name.
WAY_ROUND: dict[str, str] = {
    "torch._C": "pullback has its own core and offers no torch._C; use the public names "
    "(DisableTorchFunction and "
    "DisableTorchFunctionSubclass are in torch.overrides)",
    "torch._dynamo": _EAGER,
    "torch._inductor": _EAGER,
    "torch.amp": _FLOAT32,
    "torch.autocast": _FLOAT32,
    "torch.compile": "torch.compile is not offered yet; " + _EAGER,
    "torch.complex64": _REAL,
    "torch.complex128": _REAL,
    "torch.export": "graphs are not exported; keep the Python program and its state_dict()",
    "torch.fx": "graphs of a program are not offered; torch.func differentiates and batches functions",
    "torch.hub": "models are not downloaded; build the module and load its state_dict()",
    "torch.load": "files are not read yet; keep arrays with numpy.savez and torch.from_numpy",
    "torch.multiprocessing": "use Python's own multiprocessing, and NumPy arrays between processes",
    "torch.onnx": "ONNX is not written; keep the Python program and its state_dict()",
    "torch.profiler": "use Python's cProfile, or time the call",
    "torch.quantization": _QUANTISED,
    "torch.ao": _QUANTISED,
    "torch.save": "files are not written yet; keep arrays with tensor.numpy() and numpy.savez",
    "torch.sparse": _DENSE,
    "torch.sparse_coo_tensor": _DENSE,
    "torch.utils.cpp_extension": "C++ extensions of torch cannot be loaded; write the function in Python",
    "torch.utils.tensorboard": "log the numbers with loss.item(), or use tensorboardX",
    "torch.cuda.amp": _CPU,
    "torch.nn.DataParallel": _CPU,
    "torch.nn.parallel": "use one process, or distribute NumPy arrays by hand",
}


def _way_round(name: str) -> str:
    """The table's line for this name or for the module that holds it, as a second line of a message."""
    while name != "torch" and name:
        if name in WAY_ROUND:
            return f"\npullback: {WAY_ROUND[name]}."
        name = name.rpartition(".")[0]
    return ""


def way_round(name: str) -> str | None:
    """What to do instead of this torch name, if the table knows."""
    return _way_round(name).partition("pullback: ")[2] or None


def missing_attribute(module: str, name: str) -> str:
    """The text of an AttributeError: torch's words, then the way round."""
    hint = _way_round(f"{module}.{name}")
    return f"module '{module}' has no attribute '{name}'" + (hint or "\npullback: not offered yet.")


def missing_module(name: str) -> str:
    """The text of an ImportError: Python's words, then the way round."""
    return f"No module named '{name}'" + (_way_round(name) or "\npullback: not offered yet.")


def homes(name: str) -> list[str]:
    """Where pullback may keep the torch module of this name, most likely first."""
    prefix = name
    while prefix not in MODULES:
        prefix = prefix.rpartition(".")[0]
    return [home + name[len(prefix) :] for home in MODULES[prefix]]
