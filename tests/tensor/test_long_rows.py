"""Writes to a few places of a tensor, blocks that end with long rows, ends of rows that fill no register."""

import numpy as np
import pytest

import pullback as torch

CHANGES = {
    "index_put_": lambda x, v, at: x.index_put_((at,), v[:4]),
    "index_put_ by two": lambda x, v, at: x.index_put_((at, at), v[:4, 0]),
    "index_put_ adds": lambda x, v, at: x.index_put_((at, at), v[:4, 0], accumulate=True),
    "a number": lambda x, v, at: x.index_put_((at,), torch.tensor(2.0)),
    "columns": lambda x, v, at: x.__setitem__((slice(None), at), v[:, :4]),
    "put_": lambda x, v, at: x.put_(at, v[0, :4]),
    "put_ adds": lambda x, v, at: x.put_(at - 9, v[0, :4], accumulate=True),
    "index_fill_": lambda x, v, at: x.index_fill_(1, at, 0.5),
    "index_add_": lambda x, v, at: x.index_add_(1, at, v[:, :4], alpha=2),
    "index_copy_": lambda x, v, at: x.index_copy_(0, at, v[:4]),
    "scatter_": lambda x, v, at: x.scatter_(1, at.expand(x.shape[0], 4), v),
    "scatter_ a number": lambda x, v, at: x.scatter_(0, at[None], 3.0),
    "scatter_add_": lambda x, v, at: x.scatter_add_(0, at[:, None].expand(4, 8), v),
    "scatter_reduce_": lambda x, v, at: x.scatter_reduce_(0, at[:, None].expand(4, 8), v, "amax"),
}


@pytest.mark.parametrize("lies", ["apart", "at the same places", "at others"])
@pytest.mark.parametrize("name", CHANGES)
def test_places_change_as_in_a_copy(name, lies):
    """Only named places are written, unless what is written lies in the same memory."""
    torch.manual_seed(0)
    x = torch.rand(8, 8)
    before, at = x.clone(), torch.tensor([3, 0, 3, 7])
    operand = {"apart": lambda t: torch.ones(8, 8) / 3, "at the same places": lambda t: t}.get(lies, torch.t)
    change = CHANGES[name]
    other = torch.zeros(8, 8)
    other.copy_(x)
    change(other, operand(before), at)
    try:
        change(x, operand(x), at)
    except RuntimeError as error:  # torch refuses dense operands that overlap in part
        assert "refer to a single memory location" in str(error) and lies != "apart"
        assert torch.equal(x, before)
    else:
        assert torch.equal(x, other)


@pytest.mark.parametrize("name", CHANGES)
def test_the_way_back_through_written_places(name):
    torch.manual_seed(0)
    x = torch.rand(8, 8, dtype=torch.float64, requires_grad=True)
    v = torch.rand(8, 8, dtype=torch.float64, requires_grad=True)

    def changed(x, v):
        y = x * 1
        CHANGES[name](y, v, torch.tensor([3, 0, 5, 7]))
        return y.sin()

    if name == "a number":  # of one type
        with pytest.raises(RuntimeError, match="Index put requires the source and destination dtypes match"):
            changed(x, v)
        return
    assert torch.autograd.gradcheck(changed, (x, v))


def test_a_place_outside_leaves_everything_as_it_was():
    x = torch.rand(50, 50)
    before = x.clone()
    bad = torch.tensor([0, 50])
    for change in (
        lambda: x.index_put_((bad,), torch.tensor(1.0)),
        lambda: x.index_fill_(0, bad, 1.0),
        lambda: x.put_(bad * 50, torch.ones(2)),
        lambda: x.scatter_(0, bad[:, None], 1.0),
    ):
        with pytest.raises((IndexError, RuntimeError), match=r"out of (bounds|range)"):
            change()
    assert torch.equal(x, before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [255, 256, 257, 511, 512, 513, 700, 1000, 1025])
def test_what_is_broadcast_along_long_rows(n, threads):
    random = np.random.RandomState(n)
    arrays = [
        random.rand(*s).astype(np.float32) for s in ((2, 40, n), (2, 40, 1), (n,), (40, n), (2, 1, 2 * n))
    ]
    x, column, row, part, wide = map(torch.from_numpy, arrays)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    def mixed(x, column, row, part, wide):
        return torch.addcmul(x - column, row, part) * wide

    a, b, c, d, e = arrays
    got = torch.nn.functional.smooth_l1_loss(x * column, part.expand(x.shape), reduction="none")
    got, other = got.numpy(), mixed(x, column, row, part, wide[..., ::2]).numpy()
    assert np.array_equal(torch.where(x > column, row, part).numpy(), np.where(a > b, c, d))
    gap = np.abs(a * b - d)
    np.testing.assert_allclose(got, np.where(gap < 1, 0.5 * gap * gap, gap - 0.5), rtol=1e-5)
    np.testing.assert_allclose(other, ((a - b) + c * d) * e[..., ::2], rtol=1e-5, atol=1e-6)
    changed = x.clone().sub_(column).lerp_(part.expand(x.shape), 0.25)
    np.testing.assert_allclose(changed.numpy(), (a - b) + 0.25 * (d - (a - b)), rtol=1e-5, atol=1e-6)
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 9, 15, 17, 31])
@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64]
)
def test_ends_that_fill_no_register(n, dtype):
    chosen = torch.arange(n) % 3 == 0
    a, b = torch.arange(n).to(dtype), (torch.arange(n) * 7 % 5).to(dtype)
    assert torch.where(chosen, a, b).tolist() == [
        p if k % 3 == 0 else q for k, (p, q) in enumerate(zip(a.tolist(), b.tolist(), strict=True))
    ]
    assert (~chosen).tolist() == torch.logical_not(chosen).tolist() == [k % 3 != 0 for k in range(n)]
    assert chosen.to(dtype).tolist() == [k % 3 == 0 for k in range(n)]
    if dtype.is_floating_point:
        x = a / 3
        padded = torch.cat([x, torch.full((32,), torch.inf, dtype=dtype)])[:n]
        rows = torch.stack([padded, padded * 2], 1)
        for dim, along in ((0, rows), (1, rows.t())):
            for name in ("softmax", "log_softmax"):
                expected = np.exp(along.numpy()) / np.exp(along.numpy()).sum(dim, keepdims=True)
                expected = expected if name == "softmax" else np.log(expected)
                np.testing.assert_allclose(getattr(along, name)(dim).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_conversions_of_what_no_integer_holds():
    """The smallest integer, whole registers and their ends alike."""
    x = torch.tensor([1.9, -1.9, 3e9, -3e9, 1e19, torch.inf, -torch.inf, torch.nan, -0.0] * 3)
    low, least = -(2**31), -(2**63)
    for y in (x, x.double()):
        assert y.int().tolist() == [1, -1, low, low, low, low, low, low, 0] * 3
        whole = [int(v) for v in y[2:4].tolist()]
        assert y.long().tolist() == [1, -1, *whole, least, least, least, least, 0] * 3


def test_one_value_in_any_order_of_axes():
    x = torch.rand(3, 4, 5).permute(2, 0, 1)
    assert x.fill_(2.5).tolist() == torch.full((5, 3, 4), 2.5).tolist() and x.stride() == (1, 20, 5)
    y = torch.rand(6, 8)
    y.t()[1:3].zero_()
    assert (y == 0).sum() == 12 and bool((y[:, 1:3] == 0).all())


@pytest.mark.parametrize("n", [63, 64, 65, 127, 128, 129, 1000, 5000])
def test_moments_of_groups(n):
    random = np.random.RandomState(n)
    a = (random.randn(n, 19) * 0.01 + 100).astype(np.float32)
    x, wide = torch.from_numpy(a), a.astype(np.float64)
    for dim, t in ((0, x), (1, x.t()), (1, x.t().contiguous())):
        np.testing.assert_allclose(t.var(dim).numpy(), wide.var(0, ddof=1), rtol=1e-6)
        np.testing.assert_allclose(t.std(dim, correction=0).numpy(), wide.std(0), rtol=1e-6)
    np.testing.assert_allclose(x.var().item(), wide.var(ddof=1), rtol=1e-6)
    mean = x.double().mean().item()
    total = 0.0
    for v in wide.ravel().tolist():  # as torch: the finished mean, then the squares in order
        total += (v - mean) * (v - mean)
    assert x.double().var().item() == total / (a.size - 1)


def test_copies_and_their_way_back():
    x = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    for copied in (
        lambda x: x.t().contiguous(),
        lambda x: x.repeat(1, 1),
        lambda x: x.repeat(1, 2),
        lambda x: x.repeat(3, 1, 2),
        lambda x: x.repeat(1, 1, 1),
    ):
        assert torch.autograd.gradcheck(copied, (x,))


def test_numbers_that_stand_before_a_large_step():
    x, y = torch.rand(2000), torch.rand(2000)
    weight = torch.tensor([0.75])
    expected = (y + (weight - 1) * (y - x)).numpy()
    np.testing.assert_allclose(torch.lerp(x, y, weight).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(torch.lerp(x, y, 0.75).numpy(), expected, rtol=1e-6)
