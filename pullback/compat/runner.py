"""`import torch` as pullback: the import hook, the module that stands for torch, and `pullback run`.

The modules below torch are pullback's own, the same objects under both names: `torch.nn is pullback.nn`. Only
`torch` itself is a thin module in front of `pullback`, because its `__version__` must read as torch's.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import io
import os
import re
import sys
import types
from collections.abc import Sequence
from importlib import import_module

from pullback.compat import aliases

VERSION = f"{aliases.TORCH_VERSION}+pullback"


class TorchModule(types.ModuleType):
    """`torch`: what pullback has, under torch's version. A name set here stays here."""

    def __init__(self):
        import pullback

        super().__init__("torch", pullback.__doc__)
        self.__path__ = []  # a package: `import torch.nn` asks for it
        self.__file__ = pullback.__file__
        self.__version__ = import_module("pullback.compat.surface.version").__version__

    def __getattr__(self, name: str):
        import pullback

        try:
            value = getattr(pullback, name)
        except AttributeError:
            if name.startswith("__"):
                raise
        else:
            if not name.startswith("_"):
                setattr(
                    self, name, value
                )  # found at once from now on: `torch.add` costs what `pullback.add` does
            return value
        # A module that nobody has imported so far, as `torch.func` after `import torch`.
        if _find_home(f"torch.{name}"):
            return import_module(f"torch.{name}")
        raise AttributeError(aliases.missing_attribute("torch", name), name=name, obj=self)

    @property
    def __all__(self) -> list[str]:
        import pullback

        return [n for n in getattr(pullback, "__all__", dir(pullback)) if not n.startswith("_")]

    def __dir__(self) -> list[str]:
        import pullback

        return sorted({*super().__dir__(), *dir(pullback)})

    def __repr__(self) -> str:
        return f"<module 'torch' ({VERSION}) from '{self.__file__}'>"


def _find_home(name: str) -> str | None:
    """The pullback module that stands for this torch module; None if there is none."""
    if name.count(".") == 1 and name.partition(".")[2] in aliases.INTERNAL:
        return None
    for home in aliases.homes(name):
        try:
            if home in sys.modules or importlib.util.find_spec(home) is not None:
                return home
        except ModuleNotFoundError:  # a parent that is no package, or not there
            continue
    return None


class _Loader(importlib.abc.Loader):
    """Puts the module that exists already in the place of the one that is being imported."""

    def __init__(self, home: str | None):
        self.home = home

    def create_module(self, spec):
        return TorchModule() if self.home is None else None

    def exec_module(self, module):
        if self.home is None:
            return
        name = module.__spec__.name
        sys.modules[name] = home = import_module(self.home)
        # A function may have the name of the module that defines it (`autograd.gradcheck`). Importing that
        # module under torch's name would put it in the function's place, so it is known from the start.
        for path, child in list(sys.modules.items()):
            parent, _, last = path.rpartition(".")
            if parent == self.home and vars(home).get(last) is not child:
                sys.modules.setdefault(f"{name}.{last}", child)


def _show_as_torch(module: types.ModuleType) -> None:
    """The public classes of a module say that they come from where torch has them, and are found there."""
    shown = aliases.CLASSES.get(module.__name__)
    for name, value in list(vars(module).items()) if shown else ():
        if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_"):
            value.__module__ = shown.format(name=re.sub(r"\d+d$", "", name.lower()))


class _ShowingLoader(importlib.abc.Loader):
    """A module of pullback whose classes are printed as torch's."""

    def __init__(self, own: importlib.abc.Loader):
        self.own = own

    def __getattr__(self, name: str):  # source, resources and the like
        return getattr(self.own, name)

    def create_module(self, spec):
        return self.own.create_module(spec)

    def exec_module(self, module):
        self.own.exec_module(module)
        _show_as_torch(module)


class TorchFinder(importlib.abc.MetaPathFinder):
    """Finds `torch` and everything below it in pullback, before any installed torch."""

    def find_spec(self, fullname: str, path=None, target=None):
        if fullname == "torch":
            return importlib.machinery.ModuleSpec("torch", _Loader(None), origin="pullback", is_package=True)
        if fullname in aliases.CLASSES:
            spec = importlib.machinery.PathFinder.find_spec(fullname, path)
            if spec is not None:
                spec.loader = _ShowingLoader(spec.loader)
            return spec
        if not fullname.startswith("torch."):
            return None
        home = _find_home(fullname)
        if home is None:
            # The name is pullback's, so that `from torch import <this>` does not swallow the text.
            raise ModuleNotFoundError(aliases.missing_module(fullname), name="pullback" + fullname[5:])
        return importlib.machinery.ModuleSpec(fullname, _Loader(home), origin=home, is_package=True)

    def find_distributions(self, context=None):
        """Libraries ask `importlib.metadata.version("torch")` before they offer their torch side."""
        name = getattr(context, "name", None)
        return iter([_Distribution()] if name == "torch" else [])


class MissingNames(importlib.abc.MetaPathFinder):
    """The last finder: tells the way round a name that `from torch.nn import <name>` did not find."""

    def find_spec(self, fullname: str, path=None, target=None):
        if fullname.startswith("pullback."):
            torch_name = "torch" + fullname[len("pullback") :]
            if torch_name in aliases.WAY_ROUND:
                raise ModuleNotFoundError(aliases.missing_module(torch_name), name=torch_name)
        return None


class _Distribution(importlib.metadata.Distribution):
    """The installed package `torch`, as far as its name and version go."""

    def read_text(self, filename: str) -> str | None:
        if filename in ("METADATA", "PKG-INFO"):
            return f"Metadata-Version: 2.1\nName: torch\nVersion: {VERSION}\n"
        return None

    def locate_file(self, path):
        return os.path.join(os.path.dirname(os.path.dirname(__file__)), path)


def install() -> TorchModule:
    """Makes `import torch` mean pullback in this process (again: no change), and returns the module."""
    present = sys.modules.get("torch")
    if isinstance(present, TorchModule):
        return present
    if present is not None or any(name.startswith("torch.") for name in sys.modules):
        where = getattr(present, "__file__", None) or "an installed package"
        raise ImportError(
            f"torch is already imported, from {where}\n"
            "as_torch: `import torch` cannot mean pullback from here on, the program would hold two kinds of "
            "tensors. Call pullback.as_torch() before the first import of torch (in a notebook: restart the "
            "kernel and make it the first cell), or run the program with `pullback run script.py`.",
            name="torch",
        )
    sys.meta_path.insert(0, TorchFinder())
    sys.meta_path.append(MissingNames())
    for name in aliases.CLASSES:
        if name in sys.modules:
            _show_as_torch(sys.modules[name])
    return import_module("torch")


def _without_our_frames(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The part of a traceback that is the program's: not the runner before it, not the hook after it."""
    ours = (__file__, "<frozen importlib", "<frozen runpy")

    def is_ours(t: types.TracebackType) -> bool:
        return t.tb_frame.f_code.co_filename.startswith(ours)

    while trace is not None and is_ours(trace):
        trace = trace.tb_next
    last = t = trace
    while t is not None:
        last = last if is_ours(t) else t
        t = t.tb_next
    if last is not None:
        last.tb_next = None
    return trace


def _main_module(path: str, code_path: str) -> types.ModuleType:
    """A fresh `__main__` as `python script.py` would make it."""
    main = types.ModuleType("__main__")
    main.__file__ = code_path
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    main.__builtins__ = __builtins__
    main.__cached__ = None
    return main


def _report(error: BaseException, trace: types.TracebackType | None) -> int:
    """Prints an uncaught exception the way the interpreter does, and gives its exit code."""
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def run_script(path: str, arguments: Sequence[str] = ()) -> int:
    """Runs a torch program with pullback in torch's place: what `python path arguments...` would do.

    The program sees its own `__file__`, `sys.argv`, `sys.path[0]` and `__name__ == "__main__"`. Returns its
    exit code; a SystemExit passes through.
    """
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"pullback: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        return 2
    sys.argv = [path, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    main = _main_module(os.path.abspath(path), path)
    try:
        install()
        # It stays in sys.modules to the end, so that threads and exit handlers keep their globals.
        sys.modules["__main__"] = main
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        return _report(error, _without_our_frames(error.__traceback__))
    return 0


def run_module(name: str, arguments: Sequence[str] = ()) -> int:
    """The same for `python -m name arguments...`."""
    import runpy

    sys.argv = [name, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd()
    try:
        install()
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit:
        raise
    except BaseException as error:
        return _report(error, _without_our_frames(error.__traceback__))
    return 0
