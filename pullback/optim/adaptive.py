"""Steps scaled by averages of squared gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from pullback import _api as torch
from pullback.optim.optimizer import check_fused
from pullback.optim.rule import add_quotient, add_scaled, number, update_rule
from pullback.optim.stepwise import Stepwise, columns, new_step, zeros_of

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


def _gradient(p, g, weight_decay, decay, maximize):
    g = -g if maximize else g
    return add_scaled(g, p, weight_decay) if decay else g


def _decay(group):
    """The options of _gradient()."""
    return {
        "weight_decay": number(group["weight_decay"], group["differentiable"]),
        "decay": bool(group["weight_decay"] != 0),
        "maximize": bool(group["maximize"]),
    }


@update_rule("p", "total")
def adagrad(p, g, total, *, minus_lr, eps, weight_decay, decay, maximize):
    """One step (Duchi, Hazan & Singer, JMLR 2011)."""
    g = _gradient(p, g, weight_decay, decay, maximize)
    total = torch.addcmul(total, g, g, value=1)
    return add_quotient(p, g, torch.sqrt(total) + eps, minus_lr), total


class Adagrad(Stepwise):
    """p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(sum of g^2) + eps).

    Errors    ValueError for negative numbers
    Source    Duchi, Hazan & Singer, JMLR 2011
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.Adagrad([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
            lr=lr,
            lr_decay=lr_decay,
            eps=eps,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            foreach=foreach,
            maximize=maximize,
            differentiable=differentiable,
            fused=fused,
        )
        check_fused(fused, foreach, differentiable)
        for group in self.param_groups:
            for p in group["params"]:
                own = self.state[p]
                own["step"] = new_step()
                self._begin(p, own, group)

    def _begin(self, p, own, group):
        own["sum"] = torch.full_like(
            p, group["initial_accumulator_value"], memory_format=torch.preserve_format
        )

    def share_memory(self):
        """Share the state between processes, where the platform does."""
        for own in self.state.values():
            own["sum"].share_memory_()

    def _update(self, group, count, members):
        lr = group["lr"] / (1 + (count - 1) * group["lr_decay"])
        adagrad(
            columns(members, "sum"),
            minus_lr=number(-lr, group["differentiable"]),
            eps=group["eps"],
            **_decay(group),
        )


@update_rule("p", "square_avg", "acc_delta")
def adadelta(p, g, square_avg, acc_delta, *, minus_lr, rho, rest, eps, weight_decay, decay, maximize):
    """One step (Zeiler, 2012)."""
    g = _gradient(p, g, weight_decay, decay, maximize)
    square_avg = torch.addcmul(square_avg * rho, g, g, value=rest)
    delta = torch.sqrt(acc_delta + eps) / torch.sqrt(square_avg + eps) * g
    acc_delta = torch.addcmul(acc_delta * rho, delta, delta, value=rest)
    return add_scaled(p, delta, minus_lr), square_avg, acc_delta


class Adadelta(Stepwise):
    """Steps of lr * sqrt(average of earlier steps^2) / sqrt(average of g^2) * g.

    Errors    ValueError for negative numbers and for rho outside [0, 1]
    Source    Zeiler, 2012
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.Adadelta([p])
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.9968], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        super().__init__(
            params,
            ("lr", "eps", "weight_decay"),
            lr=lr,
            rho=rho,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            capturable=capturable,
            foreach=foreach,
            differentiable=differentiable,
        )

    def _begin(self, p, own, group):
        own["square_avg"], own["acc_delta"] = zeros_of(p), zeros_of(p)

    def _update(self, group, count, members):
        adadelta(
            columns(members, "square_avg", "acc_delta"),
            minus_lr=number(-group["lr"], group["differentiable"]),
            rho=group["rho"],
            rest=1 - group["rho"],
            eps=group["eps"],
            **_decay(group),
        )


@update_rule("p", "square_avg", "buf", "grad_avg")
def rmsprop(
    p,
    g,
    square_avg,
    buf,
    grad_avg,
    *,
    minus_lr,
    alpha,
    rest,
    eps,
    momentum,
    weight_decay,
    decay,
    maximize,
):
    """One step (Hinton's lecture, 2012; centered: Graves, 2013)."""
    g = _gradient(p, g, weight_decay, decay, maximize)
    square_avg = torch.addcmul(square_avg * alpha, g, g, value=rest)
    variance = square_avg
    if grad_avg is not None:
        grad_avg = torch.lerp(grad_avg, g, rest)
        variance = torch.addcmul(square_avg, grad_avg, grad_avg, value=-1)
    root = torch.sqrt(variance) + eps
    if buf is None:
        return add_quotient(p, g, root, minus_lr), square_avg, buf, grad_avg
    buf = torch.addcdiv(buf * momentum, g, root, value=1)
    return add_scaled(p, buf, minus_lr), square_avg, buf, grad_avg


class RMSprop(Stepwise):
    """p -= lr * g / (sqrt(average of g^2) + eps); ``centered`` divides by the root of the variance of g.

    Errors    ValueError for negative numbers
    Source    Hinton's lecture, 2012; centered: Graves, 2013
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.RMSprop([p], lr=0.01)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        super().__init__(
            params,
            ("lr", "eps", "momentum", "weight_decay", "alpha"),
            lr=lr,
            momentum=momentum,
            alpha=alpha,
            eps=eps,
            centered=centered,
            weight_decay=weight_decay,
            capturable=capturable,
            foreach=foreach,
            maximize=maximize,
            differentiable=differentiable,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("momentum", 0)
            group.setdefault("centered", False)

    def _begin(self, p, own, group):
        own["square_avg"] = zeros_of(p)
        if group["momentum"] > 0:
            own["momentum_buffer"] = zeros_of(p)
        if group["centered"]:
            own["grad_avg"] = zeros_of(p)

    def _update(self, group, count, members):
        names = (
            "square_avg",
            "momentum_buffer" if group["momentum"] > 0 else None,
            "grad_avg" if group["centered"] else None,
        )
        rmsprop(
            columns(members, *names),
            minus_lr=number(-group["lr"], group["differentiable"]),
            alpha=group["alpha"],
            rest=1 - group["alpha"],
            eps=group["eps"],
            momentum=group["momentum"],
            **_decay(group),
        )
