"""Docstrings: the examples of every module, run; and that the public surface answers what a reader asks.

In an example `torch` is pullback, `nn` its nn and `F` its nn.functional; nothing else is there before.
"""

import doctest
import functools
import importlib
import inspect
import io
import pathlib
import pkgutil
import re
import types

import pytest

import pullback
from pullback import nn

DOCS = pathlib.Path(__file__).parent.parent / "docs"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
NAMES = {"torch": pullback, "nn": nn, "F": nn.functional}
# torch's picture of a machine has no docstrings of its own; __main__ runs when it is imported.
MODULES = [
    m.name
    for m in pkgutil.walk_packages(pullback.__path__, "pullback.")
    if not re.search(r"\.compat\b|__main__|\._core", m.name)
]
PUBLIC = """
pullback pullback.errors pullback.linalg pullback.debug pullback.extend pullback.func
pullback.nn pullback.nn.functional pullback.nn.init pullback.nn.utils
pullback.optim pullback.optim.lr_scheduler
pullback.autograd pullback.autograd.graph pullback.autograd.forward_ad pullback.autograd.functional
pullback.autograd.gradcheck
pullback.utils.checkpoint pullback.utils.data
""".split()


class Parser(doctest.DocTestParser):
    """Finds an example that begins beside its heading."""

    def get_examples(self, string, name="<string>"):
        return super().get_examples(string.replace("Example   >>>", "          >>>"), name)

    def parse(self, string, name="<string>"):
        return super().parse(string.replace("Example   >>>", "          >>>"), name)


def failures(tests):
    """What the examples that fail say."""
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in tests:
        runner.run(test, out=said.write)
    return said.getvalue()


@pytest.mark.filterwarnings("ignore")  # of old names, which have examples too
@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    assert not failures(doctest.DocTestFinder(parser=Parser()).find(module, extraglobs=NAMES))


def test_the_page_on_transformations():
    text = (DOCS / "transformations.md").read_text().replace("```python", "").replace("```", "")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(doctest.DocTestParser().get_doctest(text, {}, "transformations.md", None, 0))
    assert runner.tries > 10 and runner.failures == 0


# ---- the public surface ----


def unwrapped(x):
    while hasattr(x, "__wrapped__"):
        x = x.__wrapped__
    return x


def surface(name):
    """The public functions and classes of a namespace, by their names there."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    for n in names:
        x = unwrapped(getattr(module, n))
        if callable(x) and not isinstance(x, types.ModuleType):
            yield f"{name}.{n}", x


def members():
    """The methods and properties of Tensor; plain values such as is_cuda = False have no docstring."""
    for n in dir(pullback.Tensor):
        x = unwrapped(inspect.getattr_static(pullback.Tensor, n))
        if not n.startswith("_") and not isinstance(x, bool):
            yield f"Tensor.{n}", x


def required(x):
    """The parts that a docstring must have, by what it is about."""
    module = getattr(x, "__module__", None) or ""
    if type(x).__name__ == "OpFunction":
        return {"Shapes", "Dtypes", "Gradient", "Example"}
    if inspect.isclass(x) and issubclass(x, pullback.optim.Optimizer) and x is not pullback.optim.Optimizer:
        return {"Source", "Example"}
    if inspect.isclass(x) and module.startswith(("pullback.nn.layers", "pullback.nn.loss")):
        return {"Shapes", "Example"}
    if inspect.isfunction(x) and module.startswith(
        ("pullback.nn.functional", "pullback.composites", "pullback.primitives")
    ):
        return {"Shapes", "Gradient", "Example"}
    return {"Example"}


def parts(x):
    """The parts that a docstring has; an example may stand without its heading."""
    text = inspect.getdoc(x) or ""
    found = set(re.findall(r"^(\w+) {2,}\S", text, re.MULTILINE))
    return found | ({"Example"} if ">>>" in text else set())


@pytest.mark.parametrize("name", [*PUBLIC, "Tensor"])
def test_the_public_surface_says_what_a_reader_asks(name):
    missing = []
    for n, x in members() if name == "Tensor" else surface(name):
        if (isinstance(x, type) and not x.__doc__) or not required(x) <= parts(x):
            missing.append(f"{n} without {', '.join(sorted(required(x) - parts(x)))}")
    assert not missing, "\n".join(missing)


@functools.cache
def run_above():
    """The docstrings that stand in a module."""
    finder = doctest.DocTestFinder(parser=Parser())
    return {test.docstring for name in MODULES for test in finder.find(importlib.import_module(name))}


@pytest.mark.parametrize("name", [*PUBLIC, "Tensor"])
def test_examples_that_stand_in_no_module(name):
    """Those of ops, of the native half, and of what a loop made."""
    tests = []
    for n, x in members() if name == "Tensor" else surface(name):
        if x.__doc__ not in run_above():
            tests.append(Parser().get_doctest(inspect.getdoc(x), dict(NAMES), n, n, 0))
    assert not failures(tests)


# ---- what is derived ----


def test_every_op_has_a_row_and_every_row_an_op():
    from pullback.documentation import rows
    from pullback.primitives.registry import methods, public

    ops = {f.__name__ for f in (*public.values(), *methods.values()) if type(f).__name__ == "OpFunction"}
    assert {n.removesuffix("_") for n in ops} == set(rows())


def test_gradients_are_told_in_full():
    vague = [n for n, x in surface("pullback") if "by its rule" in (x.__doc__ or "")]
    assert not vague, f"pullback/documentation/ops.py: give these a Gradient: {vague}"


def test_docstrings_are_not_written_at_import():
    import subprocess
    import sys

    code = "import sys, pullback; print('pullback.documentation' in sys.modules)"
    where = pathlib.Path(pullback.__file__).parent.parent
    assert subprocess.check_output([sys.executable, "-c", code], cwd=where, text=True) == "False\n"
