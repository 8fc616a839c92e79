"""One sample on one side of a comparison, as a function of the tensors among its arguments."""

from __future__ import annotations

from bridge import Bridge, leaves


def filled(nest, tensors, tensor_type):
    """A nest with its tensors replaced, in order, by those of an iterator."""
    if isinstance(nest, tensor_type):
        return next(tensors)
    if isinstance(nest, dict):
        return {k: filled(v, tensors, tensor_type) for k, v in nest.items()}
    if isinstance(nest, (list, tuple)):
        return type(nest)([filled(v, tensors, tensor_type) for v in nest])
    return nest


class Side:
    """A function of a module with the arguments of a sample. `wanted` are the positions of the tensors that
    derivatives are taken by."""

    def __init__(self, module, function, sample, strided):
        self.module, self.function = module, function
        self.bridge = Bridge(module, strided)
        self.nest = self.bridge.to(((sample.input, *sample.args), sample.kwargs))
        tensors = leaves(self.nest, module.Tensor)
        self.wanted = [k for k, t in enumerate(tensors) if t.requires_grad]
        self.tensors = [t.detach() for t in tensors]

    def call(self, *tensors):
        """The tensors that the function gives, with random numbers from the same start."""
        args, kwargs = filled(self.nest, iter(tensors), self.module.Tensor)
        self.module.manual_seed(0)
        return leaves(self.function(*args, **kwargs), self.module.Tensor)

    def call_once(self, *tensors):
        """The same as a tuple, which stands for several results in functions of functions."""
        return tuple(self.call(*tensors))

    def among(self, given, tensors=None):
        """All arguments (or `tensors`), with `given` in the wanted places."""
        tensors = list(tensors or self.tensors)
        for k, t in zip(self.wanted, given, strict=True):
            tensors[k] = t
        return tensors

    def start(self):
        """Leaves for the wanted arguments."""
        return [self.tensors[k].clone().requires_grad_() for k in self.wanted]

    def carried(self, tensors):
        """Tensors of torch on this side; None stays."""
        dense = Bridge(self.module)
        return [None if t is None else dense.tensor(t.detach()) for t in tensors]

    def jvp(self, tangents):
        """Values, and tangents (None: zero) of all results, by tensors with tangents."""
        forward_ad = self.module.autograd.forward_ad
        with forward_ad.dual_level():
            given = [
                forward_ad.make_dual(self.tensors[k], t) for k, t in zip(self.wanted, tangents, strict=True)
            ]
            pairs = [forward_ad.unpack_dual(o) for o in self.call(*self.among(given))]
            return [p for p, _ in pairs], [t for _, t in pairs]

    def gradients(self, cotangents, create_graph=False):
        """Leaves, and gradients of the results that need one. `cotangents` has one entry a result."""
        xs = self.start()
        out = self.call(*self.among(xs))
        return xs, self._grad(out, xs, cotangents, create_graph)

    def _grad(self, out, xs, cotangents, create_graph):
        pairs = [(o, c) for o, c in zip(out, cotangents, strict=True) if o.requires_grad and c is not None]
        if not pairs:
            return [None] * len(xs)
        outputs, cotangents = (list(part) for part in zip(*pairs, strict=True))
        return self.module.autograd.grad(
            outputs, xs, cotangents, create_graph=create_graph, allow_unused=True
        )

    def gradient_jvp(self, tangents, cotangents, create_graph):
        """The tangents of the gradients: forward over reverse."""
        forward_ad = self.module.autograd.forward_ad
        with forward_ad.dual_level():
            xs = self.start()
            given = [forward_ad.make_dual(x, t) for x, t in zip(xs, tangents, strict=True)]
            found = self._grad(self.call(*self.among(given)), xs, cotangents, create_graph)
            return [None if g is None else forward_ad.unpack_dual(g).tangent for g in found]

    def gradient_vjp(self, tangents, cotangents):
        """The same products, the Hessian being symmetric, by reverse over reverse."""
        xs, found = self.gradients(cotangents, create_graph=True)
        pairs = [(g, t) for g, t in zip(found, tangents, strict=True) if g is not None and g.requires_grad]
        if not pairs:
            return [None] * len(xs)
        outputs, given = (list(part) for part in zip(*pairs, strict=True))
        return self.module.autograd.grad(outputs, xs, given, allow_unused=True)

    def total(self, cotangents):
        """A function of all tensors that gives one number: the results times their cotangents."""

        def scalar(*tensors):
            out = self.call(*tensors)
            return sum((o * c).sum() for o, c in zip(out, cotangents, strict=True) if c is not None)

        return scalar
