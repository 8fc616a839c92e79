"""Rprop, which looks at the signs of gradients only, and averaged SGD."""

from __future__ import annotations

from pullback import _api as torch
from pullback.optim.rule import add_scaled, number, update_rule
from pullback.optim.stepwise import Stepwise, columns, zeros_of

__all__ = ["ASGD", "Rprop"]


@update_rule("p", "prev", "step_size")
def rprop(p, g, prev, step_size, *, shrink, grow, smallest, largest, maximize):
    """One step (Riedmiller & Braun, 1993)."""
    g = -g if maximize else g
    turn = g * prev
    changed = torch.where(turn < 0, step_size * shrink, step_size)
    step_size = torch.clamp(torch.where(turn > 0, step_size * grow, changed), smallest, largest)
    g = torch.where(turn < 0, 0.0, g)
    return torch.addcmul(p, torch.sign(g), step_size, value=-1), g, step_size


class Rprop(Stepwise):
    """Each element has a step size of its own, which grows while its gradient keeps its sign.

    Errors    ValueError for a negative rate and for etas that do not enclose 1
    Source    Riedmiller & Braun, 1993
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.Rprop([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            ("lr",),
            lr=lr,
            etas=etas,
            step_sizes=step_sizes,
            foreach=foreach,
            maximize=maximize,
            differentiable=differentiable,
            capturable=capturable,
        )

    def _begin(self, p, own, group):
        own["prev"] = zeros_of(p)
        own["step_size"] = torch.full_like(p, float(group["lr"]))

    def _update(self, group, count, members):
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        rprop(
            columns(members, "prev", "step_size"),
            shrink=shrink,
            grow=grow,
            smallest=smallest,
            largest=largest,
            maximize=bool(group["maximize"]),
        )


@update_rule("p", "ax")
def asgd(p, g, ax, *, keep, minus_eta, mu, weight_decay, decay, maximize, averaging):
    """One step (Polyak & Juditsky, 1992)."""
    g = -g if maximize else g
    g = add_scaled(g, p, weight_decay) if decay else g
    p = add_scaled(p * keep, g, minus_eta)
    return p, (ax + (p - ax) * mu if averaging else p * 1)


class ASGD(Stepwise):
    """SGD with a decaying rate; ``ax`` in the state is the average of the parameters since step ``t0``.

    Errors    ValueError for a negative rate or decay
    Source    Polyak & Juditsky, 1992
    Example   >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = torch.optim.ASGD([p], lr=0.1)
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        super().__init__(
            params,
            ("lr", "weight_decay"),
            lr=lr,
            lambd=lambd,
            alpha=alpha,
            t0=t0,
            weight_decay=weight_decay,
            foreach=foreach,
            maximize=maximize,
            differentiable=differentiable,
            capturable=capturable,
        )

    def _begin(self, p, own, group):
        own["eta"] = torch.tensor(float(group["lr"]), dtype=own["step"].dtype)
        own["mu"] = torch.ones((), dtype=own["step"].dtype)
        own["ax"] = zeros_of(p)

    def _update(self, group, count, members):
        lambd, lr, t0 = group["lambd"], float(group["lr"]), group["t0"]
        same = {}
        for p, own in members:
            same.setdefault((own["eta"].item(), own["mu"].item()), []).append((p, own))
        for (eta, mu), some in same.items():
            asgd(
                columns(some, "ax"),
                keep=1 - lambd * eta,
                minus_eta=-eta,
                mu=mu,
                weight_decay=number(group["weight_decay"], group["differentiable"]),
                decay=bool(group["weight_decay"] != 0),
                maximize=bool(group["maximize"]),
                averaging=mu != 1,
            )
        for _, own in members:
            own["eta"].fill_(lr / ((1 + lambd * lr * count) ** group["alpha"]))
            own["mu"].fill_(1 / max(1, count - t0))
