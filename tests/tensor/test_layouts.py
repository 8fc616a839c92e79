"""How results lie in memory: torch's strides for operands that are permuted, spread out and broadcast."""

import pytest

import pullback as torch

STRIDES = {  # as torch 2.13 gives them
    "number": (1, 3),
    "one operand": (1, 3),
    "clone": (1, 3),
    "zeros": (1, 3),
    "dtype": (1, 3),
    "permuted": (1, 12, 4),
    "permuted, row": (1, 12, 4),
    "row, permuted": (1, 12, 4),
    "two orders": (1, 3),
    "two orders, turned": (4, 1),
    "expanded": (3, 1),
    "expanded, dense": (1, 4),
    "comparison": (1, 3),
    "where": (4, 1),
    "masked": (4, 1),
    "masked by turned": (3, 1),
}


def results():
    t = torch.arange(24.0).reshape(4, 6)[:, ::2].t()
    p = torch.arange(48.0).reshape(2, 3, 8).permute(2, 0, 1)[::2]
    e = torch.arange(3.0).expand(4, 3)
    r = torch.arange(12.0).reshape(3, 4)
    yield "number", t * 2
    yield "one operand", t.exp()
    yield "clone", t.clone()
    yield "zeros", torch.zeros_like(t)
    yield "dtype", t.to(torch.float64)
    yield "permuted", p + 1
    yield "permuted, row", p + torch.arange(3.0)
    yield "row, permuted", torch.arange(3.0) - p
    yield "two orders", t + r
    yield "two orders, turned", r + t
    yield "expanded", e * 2
    yield "expanded, dense", e + r.t()
    yield "comparison", t > 3
    yield "where", torch.where(r > 2, t, r)
    yield "masked", t.masked_fill(r > 2, 0)
    yield "masked by turned", r.t().contiguous().masked_fill(r.t() > 2, 0)


@pytest.mark.parametrize(("name", "result"), list(results()))
def test_strides_are_those_of_torch(name, result):
    assert result.stride() == STRIDES[name]


def test_every_layout_is_computed_right():
    for _, result in results():
        assert torch.equal(result, result.contiguous()) and result.is_non_overlapping_and_dense()
    t = torch.arange(24.0).reshape(4, 6)[:, ::2].t()
    assert (t * 2).tolist() == [[2 * v for v in row] for row in t.tolist()]
