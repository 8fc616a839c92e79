"""Statistics, and tensors put together from parts: values and gradients are PyTorch's.

``statistics.json`` is written anew by ``python tests/tensor/test_statistics.py`` where torch is installed.
"""

import json
import pathlib

import pytest

FILE = pathlib.Path(__file__).parent.parent / "data" / "statistics.json"

# In these, x is (3, 4), v (4), w (4) and positive, n (3, 4) with nan.
CASES = """
torch.cov(x)
torch.cov(v)
torch.cov(x, correction=0)
torch.cov(x, fweights=torch.tensor([1, 2, 3, 4]))
torch.cov(x, aweights=w)
torch.cov(x, fweights=torch.tensor([1, 2, 3, 4]), aweights=w, correction=0)
torch.cov(x, correction=4)
torch.corrcoef(x)
torch.corrcoef(v)
torch.cumulative_trapezoid(x)
torch.cumulative_trapezoid(x, dx=0.5, dim=0)
torch.cumulative_trapezoid(x, w.cumsum(0))
torch.cumulative_trapezoid(x, x, dim=0)
torch.quantile(x, 0.3)
torch.quantile(x, 0.3, keepdim=True)
torch.quantile(x, torch.tensor([0.0, 0.3, 1.0], dtype=x.dtype), 0)
torch.quantile(x, torch.tensor([0.3], dtype=x.dtype), 1, True)
torch.quantile(x, 0.4, 1, interpolation="lower")
torch.quantile(x, 0.4, 1, interpolation="higher")
torch.quantile(x, 0.4, 1, interpolation="nearest")
torch.quantile(x, 0.4, 1, interpolation="midpoint")
torch.quantile(v[0], 0.5)
torch.quantile(n, 0.5, 1)
torch.nanquantile(n, 0.4, 1)
torch.quantile(v[0], 0.5, 0, True)
torch.nanquantile(n, torch.tensor([0.2, 0.9], dtype=x.dtype), 0)
torch.histc(x, 5)
torch.histc(x, 4, -1, 1)
torch.histc(torch.ones(3), 2)
torch.isin(torch.arange(6).reshape(2, 3), torch.tensor([1, 4]))
torch.isin(torch.arange(3), 1, invert=True)
torch.kron(x, v)
torch.kron(v, x)
torch.kron(x[:2, :2], x)
torch.cartesian_prod(v, w[:2])
torch.cartesian_prod(v)
torch.combinations(v)
torch.combinations(v, 3)
torch.combinations(v, 2, True)
torch.combinations(v, 0)
torch.combinations(v[:1])
torch.diagflat(x[:2, :2], 1)
torch.select_scatter(x, v, 0, 1)
torch.select_scatter(x, v[:3], -1, -1)
torch.slice_scatter(x, x[:, :2] * 2, 1, 0, 4, 2)
torch.slice_scatter(x, x[:1] * 2, 0, 1, 2)
torch.diagonal_scatter(x, v[:3])
torch.diagonal_scatter(x, v[:3], 1)
torch.arccosh(w + 1)
torch.arcsinh(v)
torch.arctanh(v / 10)
torch.ldexp(v, torch.tensor([1, 2, 3, 0]))
torch.logaddexp2(x, v)
x.sum_to_size(1, 4)
x.sum_to_size(4)
torch.signbit(v)
torch.isneginf(v / 0)
torch.isposinf(v / 0)
torch.trapz(x, w)
v.greater(0)
v.less_equal(w)
torch.not_equal(v, v)
torch.arctan2(v, w)
torch.fix(x)
"""
CASES = [line for line in CASES.splitlines() if line]


def run(torch, text):
    """[value, gradients of x, v and w] of an expression."""
    torch.manual_seed(0)
    x = (torch.rand(3, 4).double() * 4 - 2).requires_grad_()
    v = (torch.rand(4).double() * 4 - 2).requires_grad_()
    w = (torch.rand(4).double() + 0.1).requires_grad_()
    n = torch.rand(3, 4).double()
    n[0, 1] = n[2, 2] = n[2, 3] = float("nan")
    out = eval(text, {"torch": torch, "x": x, "v": v, "w": w, "n": n.requires_grad_()})
    gradients = []
    if out.requires_grad:
        weights = torch.arange(1.0, out.numel() + 1).double().reshape(out.shape)
        found = torch.autograd.grad((out * weights).sum(), (x, v, w, n), allow_unused=True)
        gradients = [None if g is None else rounded(g.tolist()) for g in found]
    return [str(out.dtype), list(out.shape), rounded(out.tolist()), gradients]


def rounded(value):
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return str(value) if value != value or abs(value) == float("inf") else round(value, 10)


def close(a, b):
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(map(close, a, b))
    return a == b or (not isinstance(b, (str, type(None))) and abs(a - b) <= 1e-9 * (1 + abs(b)))


@pytest.mark.parametrize("text", CASES)
def test_agrees_with_torch(text):
    import pullback

    expected = json.loads(FILE.read_text())[text]
    got = run(pullback, text)
    assert close(got, expected), (got, expected)


def test_ldexp_has_a_gradient_for_negative_exponents():
    import pullback as torch

    x = torch.ones(2, requires_grad=True)
    torch.ldexp(x, torch.tensor([-1, 3])).sum().backward()
    assert x.grad.tolist() == [0.5, 8.0]


BAD = {
    "torch.cov(x[None])": "cov(): expected input to have two or fewer dimensions but go",
    "torch.cov(x > 1)": "cov(): bool dtype is not supported for input",
    "torch.corrcoef(x[None])": "corrcoef(): expected input to have two or fewer dimensions b",
    "torch.cumulative_trapezoid(x[0, 0])": "slice() cannot be applied to a 0-dim tensor.",
    "torch.cumulative_trapezoid(x, x[0, :2])": "cumulative_trapezoid: There must be one `x` value for each s",
    "torch.quantile(x, 2.0)": "quantile() q must be in the range [0, 1] but got 2",
    "torch.quantile(x.long(), 0.5)": "quantile() input tensor must be either float or double dtype",
    "torch.quantile(x, 0.3, interpolation='x')": "quantile() interpolation must be one of linear, lower",
    "torch.quantile(x, x)": "quantile() q must be a scalar or 1D tensor",
    "torch.quantile(x, x[0].double())": "quantile() q tensor must be same dtype as the input tensor",
    "torch.nanquantile(x[:0], 0.5)": "nanquantile() input tensor must be non-empty",
    "torch.histc(x.long(), 4)": "\"histogram_cpu\" not implemented for 'Long'",
    "torch.histc(x, 0)": "torch.histogram(): bins must be > 0, but got 0 for dimension",
    "torch.histc(x, 3, 2, 1)": "torch.histc: max must be larger than min",
    "torch.histc(x / 0, 3)": "torch.histc: range of [",
    "torch.cartesian_prod(x)": "Expect a 1D vector, but got shape [3, 4]",
    "torch.combinations(x[0], -1)": "Expect a non-negative number, but got -1",
    "torch.select_scatter(x, x, 0, 1)": "expected src to have a size equal to the slice of self. src ",
    "torch.slice_scatter(x, x, 0, 1)": "expected src to have a size equal to the slice of self. src ",
    "torch.diagonal_scatter(x, x[0])": "expected src to have a size equal to the slice of self. src ",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_input(text):
    import pullback as torch

    with pytest.raises((RuntimeError, IndexError)) as error:
        eval(text, {"torch": torch, "x": torch.ones(3, 4)})
    assert str(error.value).startswith(BAD[text])


if __name__ == "__main__":
    import torch

    results = {text: run(torch, text) for text in CASES}
    FILE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items()) + "\n}\n"
    )
