"""The examples in the docstrings of public functions, run; and that there are docstrings at all."""

import doctest
import importlib
import inspect
import pathlib
import pkgutil

import pytest

import pullback.autograd
import pullback.func

DOCS = pathlib.Path(__file__).parent.parent / "docs"
MODULES = [
    "pullback.creation",
    "pullback.random",
    "pullback.errors",
    "pullback.functions",
    "pullback.composites.einsum",
    "pullback.composites.linalg",
    *(f"pullback.autograd.{m.name}" for m in pkgutil.iter_modules(pullback.autograd.__path__)),
    *(f"pullback.func.{m.name}" for m in pkgutil.iter_modules(pullback.func.__path__)),
    "pullback.utils._pytree",
]


class Parser(doctest.DocTestParser):
    """Finds an example that begins beside its heading."""

    def get_examples(self, string, name="<string>"):
        return super().get_examples(string.replace("Example   >>>", "          >>>"), name)

    def parse(self, string, name="<string>"):
        return super().parse(string.replace("Example   >>>", "          >>>"), name)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(parser=Parser()).find(module):
        runner.run(test)
    assert runner.failures == 0


def test_the_page_on_transformations():
    text = (DOCS / "transformations.md").read_text().replace("```python", "").replace("```", "")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(doctest.DocTestParser().get_doctest(text, {}, "transformations.md", None, 0))
    assert runner.tries > 10 and runner.failures == 0


@pytest.mark.parametrize("name", ["pullback.creation", "pullback.random"])
def test_every_public_function_has_an_example(name):
    module = importlib.import_module(name)
    bare = {
        "range",
        "arange",
        "seed",
        "initial_seed",
        "set_rng_state",
        "randint_like",
        "fork_rng",
    }
    for f_name, f in inspect.getmembers(module, inspect.isfunction):
        own = f.__module__ == name and not f_name.startswith("_") and not f_name.endswith("_")
        if own and f_name not in bare:
            assert ">>>" in (f.__doc__ or ""), f_name
