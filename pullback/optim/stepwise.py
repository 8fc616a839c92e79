"""What optimizers share that count the steps of each parameter: checks, state, one call for all."""

from __future__ import annotations

from pullback import _api as torch
from pullback.optim.optimizer import Optimizer, stepping
from pullback.tensor import Tensor

__all__ = ["Stepwise", "beta_errors", "zeros_of"]

CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]
_TITLES = {"lr": "learning rate", "eps": "epsilon value"}
_OPTIONS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}


def zeros_of(p):
    """Zeros laid out as a parameter is."""
    return torch.zeros_like(p, memory_format=torch.preserve_format)


def new_step():
    """The counter of a parameter's steps."""
    dtype = torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
    return torch.tensor(0.0, dtype=dtype)


def beta_errors(betas):
    """Raises torch's ValueError unless both lie in [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


class Stepwise(Optimizer):
    """A base: subclasses say which state a parameter begins with, and change parameters of equal age.

    ``foreach`` is accepted: there is one implementation, and it takes all parameters in one call.
    """

    def __init__(self, params, not_negative, **options):
        lr = options["lr"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name in not_negative:
            if not options[name] >= 0.0:
                raise ValueError(f"Invalid {_TITLES.get(name, name + ' value')}: {options[name]}")
        super().__init__(params, options)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in _OPTIONS.items():
                if name in self.defaults:
                    group.setdefault(name, default)
            for p in group["params"]:
                own = self.state.get(p, {})
                # Checkpoints of old releases hold the step as a number.
                if own and not isinstance(own["step"], Tensor):
                    own["step"] = torch.tensor(float(own["step"]), dtype=new_step().dtype)

    def _begin(self, p, own, group):
        """Put the state of a parameter that takes its first step into ``own``."""
        raise NotImplementedError

    def _update(self, group, count, members):
        """Change ``members``, pairs of a parameter and its state, all of which take step number ``count``."""
        raise NotImplementedError

    @stepping
    def step(self, closure=None):
        """Change the parameters once; ``closure`` computes the loss again and is called first."""
        loss = None if closure is None else self._run_closure(closure)
        for group in self.param_groups:
            if group.get("capturable"):
                raise AssertionError(
                    "If capturable=True, params and state_steps must be on supported devices: "
                    f"{CAPTURABLE_DEVICES}."
                )
            by_step = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                own = self.state[p]
                if not own:
                    own["step"] = new_step()
                    self._begin(p, own, group)
                by_step.setdefault(own["step"].add_(1).item(), []).append((p, own))
            for count, members in by_step.items():
                self._update(group, count, members)
        return loss


def columns(members, *names):
    """The parameters, their gradients, and their states under these names; None for a name of None."""
    states = [None if name is None else [own[name] for _, own in members] for name in names]
    return [[p for p, _ in members], [p.grad for p, _ in members], *states]
