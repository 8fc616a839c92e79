"""Runs cases on pullback: arrays become tensors, ops are called by their name in the registry."""

from __future__ import annotations

import numpy as np

import pullback as torch
from pullback import _core
from pullback.checking.cases import Fixed, Strided


def function_of(op):
    """The op as a function, whether it has a public name or not."""
    return _core.op_function(op.name, [(op.signature.text, op.handle)], False, None, "")


def _tensor(x, dtype):
    if isinstance(x, Fixed):
        return torch.tensor(x.array, dtype=dtype)
    if isinstance(x, Strided):
        order = tuple(reversed(range(x.array.ndim)))
        laid_out = torch.tensor(np.ascontiguousarray(x.array.transpose(order)), dtype=dtype).permute(order)
        return laid_out.detach().requires_grad_()
    if x.dtype.kind == "f":
        return torch.tensor(x, dtype=dtype, requires_grad=True)
    return torch.tensor(x)


class Call:
    """A case with its tensors: `inputs` are those that need a gradient."""

    def __init__(self, op, case, dtype=torch.float64):
        self.op, self.function, self.inputs, self.kwargs = op, function_of(op), [], {}
        self.args = []
        for p, value in zip(op.signature.parameters, case, strict=False):
            value = self._convert(value, dtype)
            if p.keyword_only:
                self.kwargs[p.name] = value
            else:
                self.args.append(value)

    def _convert(self, x, dtype):
        if isinstance(x, (np.ndarray, Fixed, Strided)):
            t = _tensor(x, dtype)
            if t.requires_grad:
                self.inputs.append(t)
            return t
        if isinstance(x, list):
            return [self._convert(v, dtype) for v in x]
        if isinstance(x, str) and x.startswith("float"):
            return getattr(torch, x)
        return x

    def with_inputs(self, new):
        """The outputs for other values of the inputs."""
        swap = {id(old): t for old, t in zip(self.inputs, new, strict=True)}

        def replace(x):
            return [replace(v) for v in x] if isinstance(x, list) else swap.get(id(x), x)

        return self.run([replace(x) for x in self.args], {k: replace(v) for k, v in self.kwargs.items()})

    def run(self, args=None, kwargs=None):
        """The outputs that a derivative can be asked of."""
        out = self.function(
            *(self.args if args is None else args), **(self.kwargs if kwargs is None else kwargs)
        )
        out = out if isinstance(out, (tuple, list)) else (out,)
        return [o for o in out if o.dtype.is_floating_point]


def like(tensors, random):
    """Random tensors of the same shapes and types."""
    return [torch.tensor(random.randn(*t.shape), dtype=t.dtype) for t in tensors]


def inner(a, b):
    """The inner product of two lists of tensors, recorded. None counts as zeros."""
    total = torch.zeros((), dtype=torch.float64)
    for x, y in zip(a, b, strict=True):
        if x is not None and y is not None:
            total = total + (x.to(torch.float64) * y).sum()
    return total


def grad(outputs, inputs, cotangents=None, create_graph=False):
    """autograd.grad for lists, where outputs without a graph count as zero."""
    kept = [k for k, o in enumerate(outputs) if o is not None and o.requires_grad]
    if not kept or not inputs:
        return [None] * len(inputs)
    cotangents = None if cotangents is None else [cotangents[k] for k in kept]
    outputs = [outputs[k] for k in kept]
    return list(
        torch.autograd.grad(
            outputs, inputs, cotangents, allow_unused=True, retain_graph=True, create_graph=create_graph
        )
    )


def bits(tensors):
    """What a list of tensors holds, for comparing bit by bit."""
    return [None if t is None else t.detach().numpy().tobytes() for t in tensors]
