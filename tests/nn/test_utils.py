"""nn.utils: clipping and vectors. Expected numbers are PyTorch's."""

import warnings

import pytest

import pullback as torch
from pullback.nn import utils


def leaves():
    p, q = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    p.grad = torch.tensor([3.0, 4.0])
    return p, q


def test_clips_the_common_norm():
    p, q = leaves()
    assert utils.clip_grad_norm_([p, q], 1.0).item() == 5.0
    assert p.grad.tolist() == [0.5999999046325684, 0.7999998331069946] and q.grad is None
    q.grad = torch.full((3,), -2.0)
    assert utils.clip_grad_norm_((x for x in (p, q)), 10.0, norm_type=float("inf")).item() == 2.0
    assert q.grad.tolist() == [-2.0] * 3  # it was within the bound
    assert utils.clip_grad_norm_([p, q], 1.0, norm_type=1).item() == pytest.approx(7.4)
    assert utils.get_total_norm([p.grad, q.grad], 1).item() == pytest.approx(1.0, abs=1e-6)
    assert utils.clip_grad_norm_([], 1.0).item() == utils.get_total_norm([]).item() == 0.0
    utils.clip_grads_with_norm_(p, 1.0, torch.tensor(4.0))
    assert p.grad.tolist() == pytest.approx([0.6 / 7.4 / 4, 0.8 / 7.4 / 4], rel=1e-5)


def test_clips_values():
    p, q = leaves()
    utils.clip_grad_value_([p, q], 3.5)
    assert p.grad.tolist() == [3.0, 3.5]
    utils.clip_grad_value_(p, 1)
    assert p.grad.tolist() == [1.0, 1.0] and not p.grad.requires_grad


def test_says_what_is_wrong():
    p, _ = leaves()
    p.grad[1] = float("nan")
    with pytest.raises(RuntimeError, match=r"The total norm of order 2.0 for gradients from `parameters` is"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert utils.clip_grad_norm_([p], 1.0).isnan() and p.grad.isnan().all()
    with pytest.warns(FutureWarning, match=r"`torch.nn.utils.clip_grad_norm` is now deprecated"):
        utils.clip_grad_norm([p], 1.0)
    with pytest.warns(UserWarning, match=r"`parameters` is an empty generator"):
        utils.clip_grad_norm_((p for p in ()), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        utils.clip_grad_norm_([], 1.0)
    with pytest.raises(TypeError, match=r"expected torch.Tensor, but got: list"):
        utils.vector_to_parameters([1, 2], [p])
    with pytest.raises(RuntimeError, match=r"shape '\[2\]' is invalid for input of size 1"):
        utils.vector_to_parameters(torch.ones(1), [p])


def test_vector_and_back():
    p, q = leaves()
    vector = utils.parameters_to_vector([p, q])
    (vector * torch.arange(5.0)).sum().backward()
    assert q.grad.tolist() == [2, 3, 4] and p.grad.tolist() == [3, 5]
    new = torch.arange(5.0)
    utils.vector_to_parameters(new, [p, q])
    assert p.tolist() == [0, 1] and q.tolist() == [2, 3, 4] and p.requires_grad and p.is_leaf
    new[0] = 9.0
    assert p.tolist() == [9, 1]
