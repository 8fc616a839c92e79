"""Calls with a factor in front: the values of the form that is not deprecated, and one warning a process."""

import subprocess
import sys

import pytest

import pullback as torch


@pytest.mark.parametrize(
    ("name", "factor", "count"),
    [("add", "alpha", 1), ("sub", "alpha", 1), ("addcmul", "value", 2), ("addcdiv", "value", 2)],
)
@pytest.mark.filterwarnings("ignore:This overload")
def test_is_the_form_with_a_keyword(name, factor, count):
    torch.manual_seed(0)
    x, *others = (torch.rand(3, dtype=torch.float64, requires_grad=True) for _ in range(count + 1))
    expected = getattr(torch, name)(x, *others, **{factor: 0.3})
    old = getattr(torch, name)(x, 0.3, *others)
    assert torch.equal(old, expected) and torch.equal(getattr(x, name)(0.3, *others), expected)
    assert old.grad_fn.name() == expected.grad_fn.name()
    changed = getattr(x.detach().clone(), name + "_")(0.3, *(o.detach() for o in others))
    assert torch.equal(changed, expected)
    inputs = (x, *others)
    for a, b in zip(
        torch.autograd.grad(old.sum(), inputs), torch.autograd.grad(expected.sum(), inputs), strict=True
    ):
        assert torch.equal(a, b)


def test_warns_once():
    program = (
        "import warnings, pullback as torch\n"
        "warnings.simplefilter('always')\n"
        "x = torch.ones(2)\n"
        "x.add_(0.5, x); x.addcmul_(0.5, x, x); torch.sub(x, 2, x)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("UserWarning") == 1
    assert (
        "This overload of add is deprecated:\n\tadd(Tensor input, Number alpha, Tensor other)" in done.stderr
    )
