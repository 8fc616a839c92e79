"""Ops over thousands of tensors: sizes that are sums of thousands of sizes need no recursion."""

import pytest

import pullback as torch
from pullback import _core
from pullback.func import jvp, vmap
from pullback.primitives.registry import ops
from pullback.trace.program import Lowering
from pullback.trace.sizes import size_key
from pullback.trace.tracer import Graph

N = 3000


def leaves(*shape):
    return [torch.full(shape, float(k % 7), dtype=torch.float64).requires_grad_() for k in range(N)]


def test_cat():
    xs = leaves(2)
    out = torch.cat(xs)
    assert out.tolist() == [float(k // 2 % 7) for k in range(2 * N)]
    first = torch.autograd.grad((out**3).sum(), xs, create_graph=True)
    assert [g.tolist() for g in first[:9]] == [[3.0 * (k % 7) ** 2] * 2 for k in range(9)]
    (torch.cat(first) * 0.5).sum().backward()
    assert all(x.grad.tolist() == [3.0 * (k % 7)] * 2 for k, x in enumerate(xs))


@pytest.mark.parametrize(
    "cut", ["split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unbind"]
)
def test_cut_and_joined(cut):
    n = N if cut == "split" else 1200
    x = torch.arange(2.0 * n, dtype=torch.float64).reshape(n, 2).requires_grad_()
    parts = {
        "split": lambda: x.split(1),
        "split_with_sizes": lambda: x.split([1] * n),
        "chunk": lambda: x.chunk(n),
        "tensor_split": lambda: x.tensor_split(n),
        "unsafe_split": lambda: x.unsafe_split(1),
        "unbind": lambda: [p.unsqueeze(0) for p in x.unbind()],
    }[cut]()
    assert len(parts) == n
    (g,) = torch.autograd.grad(torch.cat(list(parts)).pow(3).sum(), x, create_graph=True)
    assert torch.equal(g, 3 * x * x)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert torch.equal(h, 6 * x)


def test_blocks_with_other_sizes_of_the_same_program():
    for n in (1, 2):
        xs = [torch.ones(1, n).requires_grad_() for _ in range(1200)]
        out = torch.block_diag(*xs)
        assert out.shape == (1200, 1200 * n) and out.sum().item() == 1200 * n
        assert out[700].nonzero().flatten().tolist() == list(range(700 * n, 700 * n + n))
        out.sum().backward()
        assert xs[700].grad.tolist() == [[1.0] * n]


def test_under_transformations():
    x = torch.arange(2400.0).reshape(1200, 2)

    def twice(v):
        return torch.cat([2 * p for p in v.split(1)])

    value, tangent = jvp(twice, (x,), (torch.ones_like(x),))
    assert torch.equal(value, 2 * x) and torch.equal(tangent, torch.full_like(x, 2.0))
    both = torch.stack([x, -x])
    assert torch.equal(vmap(lambda v: torch.cat(v.split(1)))(both), both)


def test_equal_expressions_are_one():
    g = Graph()
    t = g.input((8, (3, 4), (4, 1)), 0)
    assert (t.size(0) + 2) * t.size(1) is (t.size(0) + 2) * t.size(-1)
    assert t.size(0) + 2 is not t.size(0) + 3
    e = t.size(0)
    for _ in range(10_000):
        e = e + t.size(1)
    assert e.hint == 40_003
    assert size_key(e) == size_key(e + 0) != size_key(e - 1)
    assert not g.guards


def test_a_program_needs_sizes_in_order():
    t = Graph().input((8, (3,), (1,)), 0)
    lowering = Lowering([t])
    lowering.integer(t.size(0))
    lowering.finish([t])
    lowering.spec["instructions"] = [(ops["flip"].handle, [0], [(True, 0)], 1, 1)]
    lowering.spec["values"].append((1, 0, 0))
    lowering.spec["ints"] = [(1, 1, 0)]
    with pytest.raises(
        ValueError, match=r"program: instruction 0 \(flip\) needs the size of %1, which is not defined yet"
    ):
        _core.program(lowering.spec)
