"""Graphs of a million nodes: recorded, differentiated, and freed without recursion."""

import pytest

import pullback as torch


def chain(x, n):
    z = x
    for _ in range(n):
        z = z * 1.0
    return z


def test_a_million_operations():
    x = torch.ones(1, requires_grad=True)
    z = chain(x, 1_000_000)
    z.backward()
    assert x.grad.item() == 1
    del z
    z = chain(x, 1_000_000)
    del z  # never differentiated
    assert (x * 2).requires_grad


def test_a_long_chain_kept_and_run_twice():
    x = torch.ones(1, requires_grad=True)
    z = x
    for k in range(100_000):
        z = z + x if k % 2 else z * 1.0
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.item() == 2 * 50_001


def test_a_derivative_of_a_long_chain():
    x = torch.tensor([1.0], requires_grad=True, dtype=torch.float64)
    z = x
    for _ in range(2_000):
        z = z * x
    (g,) = torch.autograd.grad(z, x, create_graph=True)
    (h,) = torch.autograd.grad(g, x)
    assert g.item() == 2_001 and h.item() == 2_001 * 2_000


@pytest.mark.parametrize("join", ["cat", "stack"])
def test_deep_through_many_operands(join):
    x = torch.ones(1, requires_grad=True)
    z = x
    for _ in range(20_000):
        z = torch.cat([z, x])[0:1] if join == "cat" else torch.stack([x, z])[1]
    z.backward()
    assert x.grad.item() == 1


@pytest.mark.parametrize("join", [torch.cat, torch.stack])
def test_thousands_of_operands(join):
    x = torch.ones(1, requires_grad=True)
    join([x * 1.0 for _ in range(3_000)]).sum().backward()
    assert x.grad.item() == 3_000


def test_a_wide_graph():
    x = torch.ones(1, requires_grad=True)
    total = x * 0.0
    for _ in range(100_000):
        total = total + x
    total.backward()
    assert x.grad.item() == 100_000


def test_doubling_does_not_take_exponential_time():
    x = torch.ones(1, requires_grad=True)
    z = x
    for _ in range(100):
        z = z + z
    z.backward()
    assert x.grad.item() == 2.0**100
