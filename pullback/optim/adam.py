"""Adam and AdamW."""

from __future__ import annotations

from pullback import _api as torch
from pullback.optim.optimizer import Optimizer, check_fused, stepping
from pullback.optim.rule import add_quotient, add_scaled, number, update_rule
from pullback.tensor import Tensor

__all__ = ["Adam", "AdamW"]

_CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]


@update_rule("p", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
def adam(
    p,
    g,
    exp_avg,
    exp_avg_sq,
    max_exp_avg_sq,
    *,
    minus_step_size,
    keep,
    weight_decay,
    rest1,
    beta2,
    rest2,
    root_correction2,
    eps,
    decay,
    decoupled,
    maximize,
):
    """One step (Kingma & Ba, ICLR 2015; decoupled decay: Loshchilov & Hutter, ICLR 2019).

    ``keep`` is 1 - lr * weight_decay, ``rest1`` and ``rest2`` are 1 - beta; the bias corrections are in
    ``minus_step_size`` and ``root_correction2``.
    """
    if maximize:
        g = -g
    if decay:
        if decoupled:
            p = p * keep
        else:
            g = add_scaled(g, p, weight_decay)
    exp_avg = torch.lerp(exp_avg, g, rest1)
    exp_avg_sq = torch.addcmul(exp_avg_sq * beta2, g, g, value=rest2)
    second = exp_avg_sq
    if max_exp_avg_sq is not None:
        second = max_exp_avg_sq = torch.maximum(max_exp_avg_sq, exp_avg_sq)
    denominator = torch.sqrt(second) / root_correction2 + eps
    p = add_quotient(p, exp_avg, denominator, minus_step_size)
    return p, exp_avg, exp_avg_sq, max_exp_avg_sq


def _check_single(value, name, foreach, capturable):
    if not isinstance(value, Tensor):
        return
    if foreach and not capturable:
        raise ValueError(f"{name} as a Tensor is not supported for capturable=False and foreach=True")
    if value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")


def _new_step():
    dtype = torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
    return torch.tensor(0.0, dtype=dtype)


class Adam(Optimizer):
    """Steps of lr * m / (sqrt(v) + eps), with m and v the bias-corrected averages of g and g^2.

    ``weight_decay`` adds weight_decay * p to the gradient, with ``decoupled_weight_decay`` it shrinks p
    instead; ``amsgrad`` divides by the largest v so far. ``foreach`` and ``fused`` are accepted: there is one
    implementation, and it is fused.

    Errors    ValueError for negative numbers and for betas outside [0, 1)
    Source    Kingma & Ba, ICLR 2015; amsgrad: Reddi, Kale & Kumar, ICLR 2018
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.Adam([p], lr=0.1)
              >>> for _ in range(100):
              ...     optimizer.zero_grad()
              ...     ((p - 3.0) ** 2).sum().backward()
              ...     optimizer.step()
              >>> bool((p - 3.0).abs() < 0.2)
              True
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        _check_single(lr, "lr", foreach, capturable)
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i in range(2):
            beta = betas[i]
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not any(all(isinstance(beta, kind) for beta in betas[:2]) for kind in (float, Tensor)):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            _check_single(beta, f"betas[{i}]", foreach, capturable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("decoupled_weight_decay", False)
            group.setdefault("fused", None)
            for p in group["params"]:
                own = self.state.get(p, {})
                # Checkpoints of old releases hold the step as a number.
                if own and not isinstance(own["step"], Tensor):
                    own["step"] = torch.tensor(float(own["step"]), dtype=_new_step().dtype)

    def _state_of(self, p, amsgrad):
        own = self.state[p]
        if not own:
            own["step"] = _new_step()
            own["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            own["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            if amsgrad:
                own["max_exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return own

    @stepping
    def step(self, closure=None):
        """Change the parameters once; ``closure`` computes the loss again and is called first."""
        loss = None if closure is None else self._run_closure(closure)
        for group in self.param_groups:
            self._check(group)
            # Parameters that have taken equally many steps share their bias corrections, hence one call.
            by_step = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                own = self._state_of(p, group["amsgrad"])
                if group["differentiable"] and own["step"].requires_grad:
                    raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
                count = own["step"].add_(1).item()
                by_step.setdefault(count, []).append((p, own))
            for count, members in by_step.items():
                self._update(group, count, members)
        return loss

    @staticmethod
    def _check(group):
        if group["foreach"] and isinstance(group["lr"], Tensor) and not group["capturable"]:
            raise RuntimeError("lr as a Tensor is not supported for capturable=False and foreach=True")
        if group["capturable"]:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{_CAPTURABLE_DEVICES}."
            )

    def _update(self, group, count, members):
        lr, weight_decay, keep_graph = group["lr"], group["weight_decay"], group["differentiable"]
        beta1, beta2 = group["betas"]
        # In torch's order and precision: float64 for numbers, the tensor's own where lr or a beta is one.
        step_size = lr / (1 - beta1**count)
        columns = [
            [p for p, _ in members],
            [p.grad for p, _ in members],
            [own["exp_avg"] for _, own in members],
            [own["exp_avg_sq"] for _, own in members],
            [own["max_exp_avg_sq"] for _, own in members] if group["amsgrad"] else None,
        ]
        adam(
            columns,
            minus_step_size=number(-step_size, keep_graph),
            keep=number(1 - lr * weight_decay, keep_graph),
            weight_decay=number(weight_decay, keep_graph),
            rest1=number(1 - beta1),
            beta2=number(beta2),
            rest2=number(1 - beta2),
            root_correction2=number((1 - beta2**count) ** 0.5),
            eps=group["eps"],
            decay=bool(weight_decay != 0),
            decoupled=bool(group["decoupled_weight_decay"]),
            maximize=bool(group["maximize"]),
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters instead of being added to the gradient.

    Errors    as of Adam
    Source    Loshchilov & Hutter, ICLR 2019
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.AdamW([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.8990], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
