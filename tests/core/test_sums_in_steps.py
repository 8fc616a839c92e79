"""A sum over what a fused step makes is taken block by block: its bits are those of the sum of a tensor."""

import pytest

import pullback as torch

F = torch.nn.functional
SIZES = [4095, 4096, 4097, 8191, 8192 * 3 + 17, 40_000, 262_144 + 5, 1_000_003]
ROWS = [(33, 128), (50, 127), (9, 769), (300, 64, 2), (7, 1, 1000), (2, 3, 40_001), (1, 5000), (5000, 1)]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def same(a, b):
    return torch.equal(a.detach(), b.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", SIZES)
def test_of_all_elements(n, dtype, threads):
    torch.manual_seed(n)
    x, y = torch.randn(n, dtype=dtype), torch.randn(n, dtype=dtype)
    gap = x - y
    assert same(F.mse_loss(x, y, reduction="sum"), (gap * gap).sum())
    assert same(F.mse_loss(x, y), (gap * gap).sum() / n)
    scale = torch.tensor(1.5, dtype=dtype, requires_grad=True)
    (g,) = torch.autograd.grad(x * scale, scale, y)  # the transpose of broadcasting
    assert same(g, (y * x).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", ROWS)
def test_of_rows(shape, dtype, threads):
    torch.manual_seed(len(shape))
    x, g = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    scale = torch.randn(shape[0], *(1,) * (len(shape) - 1), dtype=dtype).requires_grad_()
    got = torch.autograd.grad(x * scale, scale, g)[0]
    axes = [a for a in range(1, len(shape)) if shape[a] != 1]
    assert same(got, (g * x).sum(axes, keepdim=True) if axes else g * x)


def test_two_sums_of_one_step_and_what_is_computed_from_them():
    torch.manual_seed(1)
    x, g = torch.randn(64, 700, dtype=torch.float64), torch.randn(64, 700, dtype=torch.float64)
    x.requires_grad_()
    (got,) = torch.autograd.grad(F.layer_norm(x, (700,)), x, g)
    centered = x.detach() - x.detach().mean(1, keepdim=True)
    r = (centered.square().mean(1, keepdim=True) + 1e-5).rsqrt()
    hat = centered * r
    want = r * (g - g.mean(1, keepdim=True) - hat * (g * hat).mean(1, keepdim=True))
    assert torch.allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("arrange", [lambda t: t.t(), lambda t: t[:, ::2], lambda t: t.expand(3, *t.shape)])
def test_where_operands_are_not_in_order(arrange, threads):
    torch.manual_seed(2)
    x, g = arrange(torch.randn(90, 1000)), arrange(torch.randn(90, 1000))
    scale = torch.tensor(0.5, requires_grad=True)
    (got,) = torch.autograd.grad(x * scale, scale, g)
    assert same(got, (g * x).sum())
    scale = torch.randn(x.shape[0], *(1,) * (x.dim() - 1)).requires_grad_()
    (got,) = torch.autograd.grad(x * scale, scale, g)
    assert same(got, (g * x).sum(list(range(1, x.dim())), keepdim=True))


def test_nan_and_infinity_arrive():
    x = torch.randn(10_000)
    x[7_777] = float("inf")
    assert F.mse_loss(x, torch.zeros(10_000)).item() == float("inf")
    x[3] = float("nan")
    assert torch.isnan(F.mse_loss(x, torch.zeros(10_000)))
