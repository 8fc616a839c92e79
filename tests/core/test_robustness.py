"""Limits and life spans of the core: what once crashed, leaked into other tensors or gave wrong gradients."""

import gc
import math
import subprocess
import sys
import threading

import pytest

import pullback as torch
from pullback.primitives.family import composite
from pullback.primitives.registry import ops
from pullback.trace.tracer import functions


@pytest.mark.parametrize("n", [1, 62, 63, 64, 65, 130])
def test_gradients_reach_every_one_of_many_outputs(n):
    x = torch.arange(2.0 * n).reshape(n, 2).requires_grad_()
    parts = x.unbind(0)
    (parts[n - 1] * 3 + parts[n // 2] * 5).sum().backward()
    expected = torch.zeros(n, 2)
    expected[n - 1] += 3
    expected[n // 2] += 5
    assert torch.equal(x.grad, expected)


@pytest.mark.parametrize("join", [torch.cat, torch.stack])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 100])
def test_second_derivatives_through_many_inputs(join, n):
    xs = [torch.full((2,), float(i)).requires_grad_(i % 3 != 1) for i in range(n)]
    weights = torch.arange(2.0 * n)
    loss = (join(xs).reshape(-1) ** 2 * weights).sum()
    wanted = [x for x in xs if x.requires_grad]
    gradients = torch.autograd.grad(loss, wanted, create_graph=True)
    sum((g * g).sum() for g in gradients).backward()
    for i, x in enumerate(xs):
        w = weights[2 * i : 2 * i + 2]
        if x.requires_grad:
            assert torch.allclose(x.grad, 8 * x.detach() * w * w)
        else:
            assert x.grad is None


def test_the_tape_holds_more_than_65535_inputs():
    xs = [torch.ones(1) for _ in range(70_000)]
    xs[-1].requires_grad_()
    torch.cat(xs).sum().backward()
    assert xs[-1].grad.item() == 1


def test_default_dtype_is_asked_for_at_each_call():
    x = torch.tensor([1, 2])
    assert (x * 1.5).dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert (x * 1.5).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert (x * 1.5).dtype == torch.float32


@pytest.mark.parametrize("leave", [lambda x: x.requires_grad_(False), lambda x: x.detach_()])
def test_a_leaf_may_stop_asking_and_die_before_backward(leave):
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).sum()
    leave(x)
    del x
    gc.collect()
    others = [torch.zeros(3) for _ in range(50)]
    y.backward()
    assert all(t.grad is None for t in others)


def test_a_leaf_that_asks_again_gets_the_gradient():
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).sum()
    x.requires_grad_(False)
    y.backward(retain_graph=True)
    assert x.grad is None
    x.requires_grad_(True)
    y.backward()
    assert x.grad.tolist() == [2, 2, 2]


@pytest.mark.filterwarnings("ignore:Using backward")
def test_gradients_kept_for_create_graph_are_their_own():
    a, b, g = (torch.ones(3, requires_grad=True) for _ in range(3))
    (a + b).backward(g, create_graph=True)
    assert len({t.data_ptr() for t in (a.grad, b.grad, g)}) == 3
    a.grad = b.grad = None


def test_a_leaf_with_elements_of_another_shape_is_an_error():
    x = torch.ones(4, requires_grad=True)
    y = (x * x).sum()
    x.data = torch.ones(100_000)
    with pytest.raises(RuntimeError, match=r"invalid gradient at index 0 - got .4. but expected"):
        y.backward()


def test_numbers_among_three_operands():
    x = torch.ones(3)
    fma = functions["fma"]
    for args in ((x, x, 2.0), (2.0, x, x), (x, 2.0, x)):
        assert fma(*args).tolist() == [3, 3, 3]


@pytest.mark.parametrize("make", [
    lambda: torch.ones(1, dtype=torch.float64).expand(2**61) + 1,
    lambda: torch.empty(2**61, dtype=torch.float64),
    lambda: torch.empty_strided((2,), (2**62,)),
    lambda: torch.empty_strided((3,), (-1,)),
    lambda: torch.ones(4).as_strided((2,), (1,), -1),
])  # fmt: skip
def test_sizes_that_overflow_are_refused(make):
    with pytest.raises(RuntimeError, match=r"Storage size calculation overflowed|invalid storage offset"):
        make()


def test_elements_are_not_written_over_themselves():
    x = torch.arange(100.0)
    with pytest.raises(RuntimeError, match="unsupported operation: some elements of the input tensor"):
        x[1:] = x[:-1]
    assert torch.equal(x, torch.arange(100.0))


def test_a_chain_of_aliases_is_freed_flat():
    program = (
        "import pullback as torch\nx = torch.ones(3)\nfor _ in range(90000): x.data = x.data.clamp_(0, 1)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_zeroed_value_is_not_kept():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.zero_()
    y.mul_(x)
    (y + x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_a_program_made_for_other_sizes_is_no_error():
    name = "robustness_pick"
    composite(
        f"{name}(Tensor x, Tensor y)",
        lambda x, y: x + y if x.size(0) == y.size(0) else functions["sum"](x) + y,
        expose_as="_" + name,
    )
    pick = functions["_" + name]
    del ops[name]
    assert pick(torch.ones(3), torch.ones(3)).tolist() == [2, 2, 2]
    assert pick(torch.ones(2), torch.ones(3)).tolist() == [3, 3, 3]
    assert pick(torch.ones(4), torch.ones(4)).tolist() == [2, 2, 2, 2]


def _train(scale):
    p = torch.full((800, 800), 0.01 * scale).requires_grad_()
    optimizer = torch.optim.Adam([p], lr=0.01 * scale)
    for _ in range(10):
        p.grad = p.detach() * 0.3 + 0.01 * scale
        optimizer.step()
    return p.detach().sum().item()


def test_optimizers_may_step_in_several_threads():
    expected = [_train(k) for k in (1, 2, 3)]
    got = [None] * 3

    def work(k):
        got[k] = _train(k + 1)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == expected


def _changed_in_place(x, transposed):
    b = (x.t() if transposed else x) * x.detach().mean()
    b = b.tanh() * 2 if transposed else b.t().tanh().t() * 2
    rows, all_of_it = b[1:], b.unsqueeze(0)
    rows.mul_(b[:-1].detach() + 2)
    return all_of_it


@pytest.mark.parametrize("transposed", [False, True])
def test_views_of_a_base_that_does_not_lie_in_order(transposed):
    x = (torch.arange(9.0).reshape(3, 3) / 9).requires_grad_()
    view = _changed_in_place(x, transposed)
    weights = torch.arange(9.0).reshape(3, 3)
    through_view = torch.autograd.grad((view[0] ** 2 * weights).sum(), x, create_graph=True)[0]
    y = x.t() if transposed else x
    plain = (y * x.detach().mean()).tanh() * 2
    plain = torch.cat([plain[:1], plain[1:] * (plain[:-1].detach() + 2)])
    expected = torch.autograd.grad((plain**2 * weights).sum(), x, create_graph=True)[0]
    assert torch.allclose(through_view, expected)
    second = torch.autograd.grad((through_view**2).sum(), x)[0]
    assert torch.allclose(second, torch.autograd.grad((expected**2).sum(), x)[0])


@pytest.mark.parametrize("high", [100.0, 232.0, 1e4, -1e4])
def test_rows_that_end_within_a_vector(high):
    """What stands behind the end of a row is far from its largest element."""
    for n in (1, 3, 7, 9, 15, 17, 33):
        x = torch.full((3, n), high)
        assert torch.softmax(x, 1).sub(1 / n).abs().max() < 1e-6
        assert torch.logsumexp(x, 1).sub(high + math.log(n)).abs().max() <= abs(high) * 1e-6
