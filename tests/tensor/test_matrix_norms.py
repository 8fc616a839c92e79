"""Norms of matrices, and moments under odd corrections."""

import pytest

import pullback as torch


@pytest.mark.parametrize(
    ("order", "options", "expected"),
    [
        (1, {}, 9.0),
        (-1, {}, 5.0),
        (torch.inf, {}, 15.0),
        (-torch.inf, {}, 6.0),
        (torch.inf, {"dim": (0, 1), "keepdim": True}, [[15.0]]),
        (1, {"dtype": torch.float64}, 9.0),
    ],
)
def test_norms_of_matrices(order, options, expected):
    x = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], requires_grad=True)
    out = torch.linalg.norm(x, order, **options)
    assert out.tolist() == expected and out.dtype == options.get("dtype", torch.float32)
    out.sum().backward()
    assert x.grad.abs().sum() == (2 if abs(order) == 1 else 3)
    assert torch.linalg.norm(torch.ones(0, 3), order) == 0
    with pytest.raises(NotImplementedError, match=r"^linalg\.norm: the matrix norm 2 needs singular values"):
        torch.linalg.norm(x, 2)


def test_corrections_that_are_no_numbers():
    x = torch.tensor([1.0, 3.0])
    assert x.var(0, correction=torch.nan) == torch.inf
    with pytest.warns(UserWarning, match=r"^std\(\): degrees of freedom is <= 0"):
        assert x.std(0, correction=torch.inf) == torch.inf
    with pytest.warns(UserWarning, match=r"^var\(\): degrees of freedom is <= 0"):
        assert torch.ones(0, 3).var(1).shape == (0,)
