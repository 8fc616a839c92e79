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
import subprocess
import sys
import types

import pytest

import pullback
from pullback import documentation, nn
from pullback.documentation.formula import recorded

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
        if x.__doc__ not in run_above() and x is not pullback.as_torch:
            tests.append(Parser().get_doctest(inspect.getdoc(x), dict(NAMES), n, n, 0))
    assert not failures(tests)


def test_the_example_that_changes_the_process():
    run = "doctest.testmod(pullback.compat, extraglobs={'pullback': pullback})"
    code = f"import doctest, pullback, pullback.compat; assert {run} == (0, 2)"
    where = pathlib.Path(pullback.__file__).parent.parent
    subprocess.run([sys.executable, "-c", code], cwd=where, check=True)


# ---- what is derived ----


def test_every_op_has_a_row_and_every_row_an_op():
    from pullback.documentation import rows
    from pullback.primitives.registry import methods, public

    ops = {f.__name__ for f in (*public.values(), *methods.values()) if type(f).__name__ == "OpFunction"}
    assert {n.removesuffix("_") for n in ops} == set(rows())


def test_gradients_are_told_in_full():
    vague = [n for n, x in surface("pullback") if "by its rule" in (x.__doc__ or "")]
    assert not vague, f"pullback/documentation/ops.py: give these a Gradient: {vague}"


def written_gradients(x):
    """{parameter: formula} of an op's docstring, without what is said of edges."""
    text = re.search(r"^Gradient  (.*?)(?=^\w)", inspect.getdoc(x), re.MULTILINE | re.DOTALL)[1]
    text = re.sub(r"; slope .*", "", " ".join(text.split()))
    if not re.match(r"\w+(\[\d\])?: ", text):
        return {"": text}
    return dict(part.split(": ", 1) for part in text.split("; "))


DIFFERENTIABLE = [
    name
    for name, x in pullback.primitives.registry.public.items()
    if name in documentation.rows() and any(d.differentiable for d in x.declarations)
]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_those_that_are_written(name):
    """Evaluates the formulas at the example; what is written by hand and in words is left out."""
    row = documentation.rows()[name]
    args, named = documentation.Example(row.example, name, False).arguments()
    declaration, values = recorded(documentation.Example(row.example, name, False), args, named)
    given = {p.name: v for p, v in zip(declaration.signature.parameters, values)}
    inputs = {n: x for n, x in given.items() if getattr(x, "requires_grad", False)}
    out = getattr(pullback, name)(*args, **named)
    first = out[0] if isinstance(out, tuple) else out
    g = pullback.linspace(0.5, 1.5, first.numel()).reshape(first.shape)
    found = pullback.autograd.grad(first, list(inputs.values()), g) if inputs else ()
    formulas = written_gradients(getattr(pullback, name))
    scope = {**vars(pullback), **given, "g": g, "out": out}
    for (n, x), gradient in zip(inputs.items(), found):
        try:
            expected = eval(formulas.get(n, formulas.get("", "")), scope)
        except (SyntaxError, NameError, TypeError, AttributeError, RuntimeError):
            assert "Gradient" in row.parts, f"{name}: {formulas} is no formula"
            continue
        expected = expected if pullback.is_tensor(expected) else pullback.full_like(x, expected)
        assert pullback.allclose(
            expected.sum_to_size(x.shape), gradient, rtol=1e-4, atol=1e-6, equal_nan=True
        ), n
