"""Arguments that torch refuses: the kind of error and torch's first line, call by call."""

import builtins

import numpy as np
import pytest

import pullback as torch
from pullback import nn
from pullback.nn import functional as F

SCOPE = {"torch": torch, "T": torch.tensor, "nn": nn, "F": F, "np": np, "nan": float("nan")}
SCOPE.update(p=torch.tensor([0.5]), row=torch.tensor([1.0, 2.0]), g=torch.ones(2, requires_grad=True))

CASES = """
RuntimeError: all elements of target should be between 0 and 1
    F.binary_cross_entropy(p, T([3.0]))
    F.binary_cross_entropy(p, T([-1.0]), reduction="none")
    F.binary_cross_entropy(p, T([nan]))
    torch.func.vmap(F.binary_cross_entropy)(torch.ones(2, 1), T([[1.0], [3.0]]))
RuntimeError: all elements of input should be between 0 and 1
    F.binary_cross_entropy(T([5.0]), T([3.0]))
RuntimeError: Found dtype Double but expected Float
    F.binary_cross_entropy(p, T([1.0]).double())
RuntimeError: Found dtype Long but expected Float
    F.binary_cross_entropy(p, T([1]))
RuntimeError: result type Float can't be cast to the desired output type Long
    F.binary_cross_entropy_with_logits(p, T([1]))
    F.binary_cross_entropy_with_logits(p, T([1]), pos_weight=T([2.0]))
NotImplementedError: "log_sigmoid_cpu" not implemented for 'Long'
    F.binary_cross_entropy_with_logits(T([1]), T([1.0]))
"""


def _cases():
    for block in CASES.strip().replace("\n    ", "\0").splitlines():
        refusal, *calls = block.split("\0")
        yield from (pytest.param(refusal, call, id=call) for call in calls)


@pytest.mark.parametrize(("refusal", "call"), list(_cases()))
def test_it_is_refused(refusal, call):
    kind, _, text = refusal.partition(": ")
    with pytest.raises(getattr(builtins, kind)) as caught:
        eval(call, dict(SCOPE))
    assert str(caught.value).split("\n")[0].rstrip() == text
