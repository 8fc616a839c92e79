"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from pullback import _core
from pullback.optim.optimizer import Optimizer, check_fused, stepping
from pullback.optim.rule import add_scaled, number, update_rule
from pullback.tensor import Tensor

__all__ = ["SGD"]


@update_rule("p", "buf")
def sgd(p, g, buf, *, minus_lr, momentum, undamped, weight_decay, decay, moving, first, nesterov, maximize):
    """One step; ``decay`` and ``moving`` say whether there are weight decay and momentum, ``first`` that the
    momentum buffer starts as the gradient."""
    if maximize:
        g = -g
    if decay:
        g = add_scaled(g, p, weight_decay)
    if moving:
        buf = g if first else add_scaled(buf * momentum, g, undamped)
        g = add_scaled(g, buf, momentum) if nesterov else buf
    return add_scaled(p, g, minus_lr), buf


class SGD(Optimizer):
    """p -= lr * g, or with momentum buf = momentum * buf + (1 - dampening) * g; p -= lr * buf.

    ``foreach`` and ``fused`` are accepted: there is one implementation, and it is fused.

    Errors    ValueError for a negative rate, momentum or decay, and for nesterov without momentum
    Source    Sutskever et al., ICML 2013 (momentum, in torch's form)
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.SGD([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    @stepping
    def step(self, closure=None):
        """Change the parameters once; ``closure`` computes the loss again and is called first."""
        loss = None if closure is None else self._run_closure(closure)
        for group in self.param_groups:
            params, gradients = _core.with_gradients(group["params"])
            if group["momentum"] == 0:
                self._update(group, params, gradients, None, first=False)
                continue
            state = self.state
            new = [p for p in params if state[p].get("momentum_buffer") is None]
            if new:
                old = [p for p in params if state[p].get("momentum_buffer") is not None]
                for p in new:
                    # A clone has the gradient's layout; the rule overwrites its values.
                    state[p]["momentum_buffer"] = p.grad.detach().clone()
                buffers = [state[p]["momentum_buffer"] for p in new]
                self._update(group, new, [p.grad for p in new], buffers, first=True)
                params, gradients = old, [p.grad for p in old]
            buffers = [state[p]["momentum_buffer"] for p in params]
            self._update(group, params, gradients, buffers, first=False)
        return loss

    def _update(self, group, params, gradients, buffers, *, first):
        if not params:
            return
        lr, weight_decay, keep = group["lr"], group["weight_decay"], group["differentiable"]
        sgd(
            [params, gradients, buffers],
            minus_lr=-lr if type(lr) is float else number(-lr, keep),
            momentum=group["momentum"],
            undamped=1 - group["dampening"],
            weight_decay=number(weight_decay, keep) if weight_decay else 0.0,
            decay=not not weight_decay,  # a bool without a call
            moving=buffers is not None,
            first=first,
            nesterov=not not group["nesterov"],
            maximize=not not group["maximize"],
        )
