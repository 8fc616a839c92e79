"""T, mT, H, mH and adjoint() of tensors without two axes. Texts and warnings are PyTorch's."""

import subprocess
import sys

import pytest

import pullback as torch

WARNINGS = """
import warnings
import pullback as torch

x = torch.tensor(3.0)
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    for _ in range(2):
        assert x.mT is x and x.H is x and x.mH is x and x.adjoint() is x and x.T._base is x
    torch.ones(2).T
for w in found:
    print(w.message)
"""


def test_each_tells_once_that_there_are_no_axes():
    done = subprocess.run([sys.executable, "-c", WARNINGS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Tensor.mT is deprecated on 0-D tensors. This function is the identity in these cases.",
        "Tensor.H is deprecated on 0-D tensors. Consider using x.conj().",
        "Tensor.mH is deprecated on 0-D tensors. Consider using x.conj().",
        "adjoint() is deprecated on 0-D tensors. Consider using x.conj().",
        "Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases.",
        "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it "
        "will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
        "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
    ]


@pytest.mark.filterwarnings("ignore")
def test_inside_vmap_and_with_gradients():
    assert torch.func.vmap(lambda x: x.mT)(torch.ones(3)).shape == (3,)
    x = torch.tensor(3.0, requires_grad=True)
    (x.T * x.mT).backward()
    assert x.grad.item() == 6


@pytest.mark.parametrize(
    ("shape", "call", "text"),
    [
        (
            (2,),
            lambda x: x.mT,
            "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.",
        ),
        (
            (2,),
            lambda x: x.mH,
            "tensor.mH is only supported on matrices or batches of matrices. Got 1-D tensor.",
        ),
        ((2,), lambda x: x.H, "tensor.H is only supported on matrices (2-D tensors). Got 1-D tensor."),
        (
            (2, 1, 1),
            lambda x: x.H,
            "tensor.H is only supported on matrices (2-D tensors). Got 3-D tensor. For batches of matrices, "
            "consider using tensor.mH",
        ),
        (
            (2,),
            torch.adjoint,
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.",
        ),
    ],
)
def test_refusals(shape, call, text):
    with pytest.raises(RuntimeError) as e:
        call(torch.ones(shape))
    assert str(e.value).split("\n")[0] == text
