"""Modules under pullback.func: many parameter sets at once, and forward mode against reverse mode."""

from __future__ import annotations

import numpy as np
from bridge import Bridge, close, leaves

MODELS = 3
COLUMNS = ("vmap(parameters)", "vmap(grad)", "forward-mode")


class ModuleTransforms:
    """One module with one sample's arguments, as a function of its parameters and buffers."""

    def __init__(self, module, cls, sample, training):
        self.module, self.ours = module, Bridge(module)
        made, called = sample.constructor_input, sample.forward_input
        self.models = []
        for seed in range(MODELS):
            module.manual_seed(seed)
            one = cls(*self.ours.to(made.args), **self.ours.to(made.kwargs)).double().train(training)
            self.models.append(one)
        self.args, self.kwargs = self.ours.to(called.args), self.ours.to(called.kwargs)
        self.params, self.buffers = module.func.stack_module_state(self.models)
        self.params = {name: p.detach() for name, p in self.params.items()}

    def call(self, params, buffers):
        self.module.manual_seed(4)
        buffers = {name: b.clone() for name, b in buffers.items()}  # running statistics move
        out = self.module.func.functional_call(self.models[0], (params, buffers), self.args, self.kwargs)
        return tuple(leaves(out, self.module.Tensor))

    def state(self, k):
        return tuple({name: t[k] for name, t in d.items()} for d in (self.params, self.buffers))

    def total(self, params, buffers):
        return sum((o * o).sum() for o in self.call(params, buffers) if o.dtype.is_floating_point)

    def compare(self, column):
        checks = (self.vmap, self.vmap_grad, self.forward_mode)
        dict(zip(COLUMNS, checks, strict=True))[column]()

    def vmap(self):
        self._compare(self.call)

    def vmap_grad(self):
        gradient = self.module.func.grad(self.total)
        self._compare(lambda p, b: tuple(leaves(gradient(p, b), self.module.Tensor)))

    def _compare(self, function):
        m = self.module
        looped = [function(*self.state(k)) for k in range(MODELS)]
        got = m.func.vmap(function, randomness="same")(self.params, self.buffers)
        for k, (*one_by_one, y) in enumerate(zip(*looped, got, strict=True)):
            expected = self.ours.numpy(m.stack(one_by_one))
            close(expected, self.ours.numpy(y), f"result {k} of {MODELS} models", 1e-6, 1e-8)

    def forward_mode(self):
        """The derivative in a direction, by forward mode and by reverse mode."""
        m = self.module
        params, buffers = self.state(0)
        m.manual_seed(9)
        tangents = {name: m.randn(p.shape, dtype=p.dtype) for name, p in params.items()}
        ahead = m.func.jvp(lambda p: self.total(p, buffers), (params,), (tangents,))[1]
        back = m.func.grad(self.total)(params, buffers)
        products = [self.ours.numpy(back[name] * tangents[name]).ravel() for name in params]
        products = np.concatenate(products)
        difference = abs(float(ahead) - products.sum())
        if difference > 1e-9 + 1e-8 * np.abs(products).sum():
            raise AssertionError(f"not the transpose of reverse: {float(ahead):.6g}, {products.sum():.6g}")
