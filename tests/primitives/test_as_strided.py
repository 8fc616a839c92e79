"""as_strided() of inputs whose elements share places in memory. Values are PyTorch's."""

import numpy as np
import pytest

import pullback as torch
from pullback.func import grad, jacfwd, jacrev, jvp, vmap

X = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
# Each place that the view shows counts once, however many elements of the input lie there.
CASES = [
    (lambda x: x.expand(2, 3), (2,), (1,), [[1, 0, 0], [0, 1, 0]]),
    (lambda x: x.expand(2, 3).t(), (2,), (2,), [[1, 0, 0], [0, 0, 1]]),
    (lambda x: x.expand(2, 2, 3), (2, 2), (1, 1), [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1]]]),
    (lambda x: x.unfold(0, 2, 1), (3,), (1,), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    (lambda x: x.unfold(0, 2, 1), (2,), (0,), [[1, 0, 0], [1, 0, 0]]),
    (lambda x: x.expand(2, 3), (), (), [1, 0, 0]),
    (lambda x: x.reshape(3, 1), (2,), (2,), [[1, 0, 0], [0, 0, 1]]),
    (lambda x: x.as_strided((2, 2), (1, 1)), (2,), (2,), [[1, 0, 0], [0, 0, 1]]),
    (lambda x: x[::2], (3,), (1,), [[1, 0, 0], [0, 0, 0], [0, 0, 1]]),
]


@pytest.mark.parametrize(("prepare", "size", "stride", "slope"), CASES)
def test_each_place_counts_once(prepare, size, stride, slope):
    def view(x):
        return prepare(x).as_strided(size, stride)

    x = X.clone().requires_grad_()
    w = view(x)
    slopes = np.array(slope, dtype=float).reshape(-1, 3)
    (g,) = torch.autograd.grad((w * w).sum(), x, create_graph=True)
    shown = w.detach().numpy().ravel()
    np.testing.assert_allclose(g.detach().numpy(), 2 * shown @ slopes)
    (h,) = torch.autograd.grad((g * g).sum(), x, create_graph=True)
    np.testing.assert_allclose(h.detach().numpy(), 4 * slopes.T @ slopes @ g.detach().numpy())
    np.testing.assert_allclose(jacrev(view)(X).numpy(), slope)


@pytest.mark.parametrize(("prepare", "size", "stride", "slope"), CASES[:-2])
def test_tangents_and_samples(prepare, size, stride, slope):
    def view(x):
        return prepare(x).as_strided(size, stride)

    tangent = torch.tensor([0.5, 0.25, 2.0], dtype=torch.float64)
    np.testing.assert_allclose(jvp(view, (X,), (tangent,))[1].numpy(), np.dot(slope, tangent.numpy()))
    np.testing.assert_allclose(jacfwd(view)(X).numpy(), slope)
    many = torch.stack([X, 2 * X, -X])
    one_by_one = [grad(lambda x: (view(x) ** 2).sum())(x.clone()).tolist() for x in many]
    np.testing.assert_allclose(vmap(grad(lambda x: (view(x) ** 2).sum()))(many).numpy(), one_by_one)


def test_samples_of_views_that_begin_before_their_input():
    def view(x):
        return x[1:].as_strided((2, 2), (0, 0), 0)

    assert jacrev(view)(X).abs().sum().item() == 0  # none of the slice's elements is shown


def test_one_program_for_inputs_that_overlap_and_one_for_others():
    for n, step in ((3, 1), (2, 2), (2, 3)) * 2:
        x = torch.zeros(5, requires_grad=True)
        w = x.unfold(0, n, step)
        (g,) = torch.autograd.grad(w.as_strided((3,), (1,)).sum(), x)
        covered = {k * step + i for k in range((5 - n) // step + 1) for i in range(n)}
        assert g.tolist() == [float(k < 3 and k in covered) for k in range(5)], (n, step)
