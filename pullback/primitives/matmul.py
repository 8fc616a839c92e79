"""Products of vectors and matrices: linear in each operand."""

from __future__ import annotations

from pullback.primitives.family import multilinear
from pullback.trace.tracer import functions as f


def transposed(x):
    return f["transpose"](x, -2, -1)


multilinear("mm(Tensor input, Tensor mat2)", lambda g, a, b: (f["mm"](g, transposed(b)), f["mm"](transposed(a), g)))
multilinear("bmm(Tensor input, Tensor mat2)",
            lambda g, a, b: (f["bmm"](g, transposed(b)), f["bmm"](transposed(a), g)))  # fmt: skip
multilinear("mv(Tensor input, Tensor vec)",
            lambda g, a, v: (f["unsqueeze"](g, 1) * f["unsqueeze"](v, 0), f["mv"](f["transpose"](a, 0, 1), g)))  # fmt: skip
multilinear("dot(Tensor input, Tensor tensor)", lambda g, a, b: (g * b, g * a))
