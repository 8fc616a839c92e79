"""Torch's names of the nodes of second derivatives: what `grad_fn` prints after create_graph=True."""

from __future__ import annotations

# The nodes whose backward is one operation in torch; what differentiates it is <name>BackwardBackward0.
WHOLE = frozenset(
    "BinaryCrossEntropy Diagonal Elu Embedding Gelu Glu Hardshrink Hardswish Hardtanh HuberLoss LeakyRelu "
    "LogSigmoid MaskedScatter MseLoss NativeBatchNorm NativeLayerNorm NllLoss NllLoss2D PreluKernel "
    "RreluWithNoise Select Sigmoid Slice SmoothL1Loss Softplus Softshrink Tanh Threshold Unfold".split()
)
# Ours whose backward is that of another operation there.
ALIASES = {"Relu": "Threshold", "Celu": "Elu"}


def of_backward(node_name, gradients):
    """The name of the node that records a whole backward program.

    Torch records the operations of a rule one by one, unless it has the rule as one operation; what a program
    then sees of a gradient is the last of them.
    """
    name = node_name.partition("Backward")[0]
    name = ALIASES.get(name, name)
    if name in WHOLE and "BackwardBackward" not in node_name:
        return f"{name}BackwardBackward0"
    for gradient in gradients:
        last = _of_last_operation(gradient)
        if last is not None:
            return last
    return f"{name}BackwardBackward0"


def _of_last_operation(t):
    """The name of what made t. Summing down to the same shape is nothing, as torch leaves it out."""
    while t.source is not None:
        op = t.source.op
        if op.name != "sum_to":
            return op.node_name if op.differentiable and not op.shape_only else None
        before = t.source.operands[0]
        if before.ndim != t.ndim:
            return "SumBackward0" if t.ndim == 0 else "ViewBackward0"
        if [_hint(n) for n in before.shape] != [_hint(n) for n in t.shape]:
            return "SumBackward1"
        t = before
    return None


def _hint(size):
    return getattr(size, "hint", size)
