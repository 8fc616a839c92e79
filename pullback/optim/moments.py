"""Relatives of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

from pullback import _api as torch
from pullback.optim.rule import add_quotient, add_scaled, number, update_rule
from pullback.optim.stepwise import Stepwise, beta_errors, columns, zeros_of

__all__ = ["Adamax", "NAdam", "RAdam"]


@update_rule("p", "exp_avg", "exp_inf")
def adamax(p, g, exp_avg, exp_inf, *, minus_step_size, rest1, beta2, eps, weight_decay, decay, maximize):
    """One step (Kingma & Ba, ICLR 2015, section 7)."""
    g = -g if maximize else g
    g = add_scaled(g, p, weight_decay) if decay else g
    exp_avg = torch.lerp(exp_avg, g, rest1)
    exp_inf = torch.maximum(exp_inf * beta2, torch.abs(g) + eps)
    return add_quotient(p, exp_avg, exp_inf, minus_step_size), exp_avg, exp_inf


class Adamax(Stepwise):
    """Adam with the largest (decayed) gradient so far in place of the root of the second moment.

    Errors    ValueError for negative numbers and for betas outside [0, 1)
    Source    Kingma & Ba, ICLR 2015, section 7
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.Adamax([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        beta_errors(betas)
        super().__init__(
            params,
            ("lr", "eps", "weight_decay"),
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            foreach=foreach,
            maximize=maximize,
            differentiable=differentiable,
            capturable=capturable,
        )

    def _begin(self, p, own, group):
        own["exp_avg"], own["exp_inf"] = zeros_of(p), zeros_of(p)

    def _update(self, group, count, members):
        beta1, beta2 = group["betas"]
        keep = group["differentiable"]
        adamax(
            columns(members, "exp_avg", "exp_inf"),
            minus_step_size=number(-(group["lr"] / (1 - beta1**count)), keep),
            rest1=1 - beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=number(group["weight_decay"], keep),
            decay=bool(group["weight_decay"] != 0),
            maximize=bool(group["maximize"]),
        )


def _averages(p, g, exp_avg, exp_avg_sq, keep, weight_decay, rest1, beta2, rest2, decay, decoupled, maximize):
    """The decayed parameter and both moments with the new gradient, as in Adam."""
    g = -g if maximize else g
    if decay and decoupled:
        p = p * keep
    elif decay:
        g = add_scaled(g, p, weight_decay)
    return (
        p,
        g,
        torch.lerp(exp_avg, g, rest1),
        torch.addcmul(exp_avg_sq * beta2, g, g, value=rest2),
    )


def _options(group):
    """The options of _averages()."""
    beta1, beta2 = group["betas"]
    keep, weight_decay = group["differentiable"], group["weight_decay"]
    return {
        "keep": number(1 - group["lr"] * weight_decay, keep),
        "weight_decay": number(weight_decay, keep),
        "rest1": 1 - beta1,
        "beta2": beta2,
        "rest2": 1 - beta2,
        "decay": bool(weight_decay != 0),
        "decoupled": bool(group["decoupled_weight_decay"]),
        "maximize": bool(group["maximize"]),
    }


@update_rule("p", "exp_avg", "exp_avg_sq")
def nadam(p, g, exp_avg, exp_avg_sq, *, by_gradient, by_average, correction2, eps, **common):
    """One step (Dozat, 2016)."""
    p, g, exp_avg, exp_avg_sq = _averages(p, g, exp_avg, exp_avg_sq, **common)
    denominator = torch.sqrt(exp_avg_sq / correction2) + eps
    p = add_quotient(p, g, denominator, by_gradient)
    return add_quotient(p, exp_avg, denominator, by_average), exp_avg, exp_avg_sq


class NAdam(Stepwise):
    """Adam with Nesterov's momentum, whose coefficient grows towards beta1 by ``momentum_decay``.

    Errors    ValueError for negative numbers and for betas outside [0, 1)
    Source    Dozat, 2016
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.NAdam([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.8944], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        beta_errors(betas)
        super().__init__(
            params,
            ("lr", "eps", "weight_decay", "momentum_decay"),
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("decoupled_weight_decay", False)

    def _begin(self, p, own, group):
        own["mu_product"] = torch.ones((), dtype=own["step"].dtype)
        own["exp_avg"], own["exp_avg_sq"] = zeros_of(p), zeros_of(p)

    def _update(self, group, count, members):
        beta1, beta2 = group["betas"]
        shrink = 0.96 ** group["momentum_decay"]
        mu, mu_next = (beta1 * (1.0 - 0.5 * shrink**n) for n in (count, count + 1))
        lr, keep, options = group["lr"], group["differentiable"], _options(group)
        by_product = {}
        for p, own in members:
            by_product.setdefault(own["mu_product"].mul_(mu).item(), []).append((p, own))
        for product, some in by_product.items():
            nadam(
                columns(some, "exp_avg", "exp_avg_sq"),
                by_gradient=number(-lr * (1.0 - mu) / (1.0 - product), keep),
                by_average=number(-lr * mu_next / (1.0 - product * mu_next), keep),
                correction2=1 - beta2**count,
                eps=group["eps"],
                **options,
            )


@update_rule("p", "exp_avg", "exp_avg_sq")
def radam(p, g, exp_avg, exp_avg_sq, *, lr, correction1, root2, eps, rectify, certain, **common):
    """One step (Liu et al., ICLR 2020); ``certain`` says that the variance is known well enough to use."""
    p, g, exp_avg, exp_avg_sq = _averages(p, g, exp_avg, exp_avg_sq, **common)
    step = exp_avg / correction1 * lr
    if certain:
        step = step * (root2 / (torch.sqrt(exp_avg_sq) + eps)) * rectify
    return p - step, exp_avg, exp_avg_sq


class RAdam(Stepwise):
    """Adam that takes plain steps of the first moment until the second has seen enough gradients.

    Errors    ValueError for negative numbers and for betas outside [0, 1)
    Source    Liu et al., ICLR 2020
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.RAdam([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        beta_errors(betas)
        super().__init__(
            params,
            ("lr", "eps", "weight_decay"),
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            decoupled_weight_decay=decoupled_weight_decay,
            differentiable=differentiable,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("decoupled_weight_decay", False)

    def _begin(self, p, own, group):
        own["exp_avg"], own["exp_avg_sq"] = zeros_of(p), zeros_of(p)

    def _update(self, group, count, members):
        beta1, beta2 = group["betas"]
        correction2 = 1 - beta2**count
        full = 2 / (1 - beta2) - 1
        rho = full - 2 * count * (beta2**count) / correction2
        certain = rho > 5.0
        rectify = ((rho - 4) * (rho - 2) * full / ((full - 4) * (full - 2) * rho)) ** 0.5 if certain else 1.0
        radam(
            columns(members, "exp_avg", "exp_avg_sq"),
            lr=number(group["lr"], group["differentiable"]),
            correction1=1 - beta1**count,
            root2=correction2**0.5,
            eps=group["eps"],
            rectify=rectify,
            certain=certain,
            **_options(group),
        )
