"""Schedules of the learning rate, stepped once for each epoch (or batch).

The rates follow from one another step by step, as in torch, so that schedulers can be chained and the digits
agree.
"""

from __future__ import annotations

import bisect
import math
import types
import warnings
from collections import Counter

from pullback.optim.optimizer import Optimizer
from pullback.tensor import Tensor

__all__ = ["CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "MultiStepLR", "StepLR"]


def _set_rate(group, rate):
    """Give a group its new rate; a tensor keeps its identity."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate.item() if isinstance(rate, Tensor) else rate)
    else:
        group["lr"] = rate


def _copy(value):
    return value.clone() if isinstance(value, Tensor) else value


def _warn_outside_step(scheduler):
    """Asked for outside of ``step``, ``get_lr`` gives the rates after the next step, not the present ones."""
    if not scheduler._get_lr_called_within_step:
        warnings.warn(
            "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
            UserWarning,
            stacklevel=3,
        )


class LRScheduler:
    """Base class: a subclass gives the new rates of all groups in ``get_lr``.

    Example   >>> class Halved(torch.optim.lr_scheduler.LRScheduler):
              ...     def get_lr(self):
              ...         return [rate / 2**self.last_epoch for rate in self.base_lrs]
              >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
              >>> scheduler = Halved(optimizer)
              >>> optimizer.step()
              >>> scheduler.step()
              >>> scheduler.get_last_lr()
              [0.5]
    """

    # Schedulers of users read the first of these in get_lr, to warn of a call from outside.
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer, last_epoch=-1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    "param 'initial_lr' is not specified in param_groups"
                    f"[{i}] when resuming scheduler with last_epoch >= 0.\n"
                    "This typically happens when:\n"
                    "1. You're trying to resume training from a checkpoint but haven't properly loaded the "
                    "optimizer state\n"
                    "2. You're using last_epoch >= 0 for a fresh training run (not recommended)"
                )
        self.base_lrs = [_copy(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._watch_steps()
        self._initial_step()

    def _initial_step(self):
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _watch_steps(self):
        # A scheduler stepped before its optimizer skips the first rate; to warn, it must see optimizer steps.
        optimizer = self.optimizer
        if hasattr(optimizer.step, "_watched"):
            return
        step = optimizer.step.__func__

        def watched(self, *args, **kwargs):
            self._opt_called = True
            return step(self, *args, **kwargs)

        watched._watched = True
        optimizer.step = types.MethodType(watched, optimizer)

    def get_lr(self):
        """The rates of all groups for ``last_epoch``."""
        raise NotImplementedError

    def get_last_lr(self):
        """The rates that were set last."""
        return self._last_lr

    def _rates(self):
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, epoch=None):
        """Go to the next epoch, or to ``epoch``, and set its rates."""
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
                "possible. Please use `scheduler.step()` to step the scheduler. During the deprecation, if "
                "epoch is different from None, the closed form is used instead of the new chainable form, "
                "where available. Please open an issue if you are unable to replicate your use case: "
                "https://github.com/pytorch/pytorch/issues/new/choose.",
                UserWarning,
                stacklevel=2,
            )
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        try:
            closed = getattr(self, "_get_closed_form_lr", None) if epoch is not None else None
            rates = closed() if closed else self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            _set_rate(group, rate)
        self._last_lr = [_copy(rate) for rate in self._rates()]

    def _check_order(self):
        see = "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
        if not hasattr(self.optimizer.step, "_watched"):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Please, make sure to call `optimizer.step()` before "
                f"`lr_scheduler.step()`. {see}",
                UserWarning,
                stacklevel=3,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and "
                "later, you should call them in the opposite order: `optimizer.step()` before "
                "`lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping the first value "
                f"of the learning rate schedule. {see}",
                UserWarning,
                stacklevel=3,
            )

    def state_dict(self):
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict):
        """Take over what ``state_dict`` gave."""
        self.__dict__.update(state_dict)


class _LRScheduler(LRScheduler):
    """The base class under its older name, from which many programs still derive."""


class LambdaLR(LRScheduler):
    """initial_lr * lr_lambda(epoch), with one function for all groups or one for each.

    Example   >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
              >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
              >>> optimizer.step()
              >>> scheduler.step()
              >>> scheduler.get_last_lr()
              [0.5]
    """

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = len(optimizer.param_groups)
        if not isinstance(lr_lambda, (list, tuple)):
            self.lr_lambdas = [lr_lambda] * groups
        elif len(lr_lambda) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(lr_lambda)}")
        else:
            self.lr_lambdas = list(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        _warn_outside_step(self)
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [base * function(self.last_epoch) for function, base in pairs]

    def state_dict(self):
        """Everything but the optimizer; functions are left out, callable objects give their attributes."""
        state = super().state_dict()
        state.pop("lr_lambdas")  # for torch's order
        plain = (types.FunctionType, types.LambdaType)
        state["lr_lambdas"] = [None if isinstance(f, plain) else f.__dict__.copy() for f in self.lr_lambdas]
        return state

    def load_state_dict(self, state_dict):
        """Take over what ``state_dict`` gave."""
        rest = {key: value for key, value in state_dict.items() if key != "lr_lambdas"}
        super().load_state_dict(rest)
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)


class StepLR(LRScheduler):
    """Times gamma every ``step_size`` epochs.

    Example   >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
              >>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
              >>> rates = []
              >>> for _ in range(4):
              ...     rates += scheduler.get_last_lr()
              ...     optimizer.step()
              ...     scheduler.step()
              >>> rates
              [1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        _warn_outside_step(self)
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._rates()
        return [rate * self.gamma for rate in self._rates()]

    def _get_closed_form_lr(self):
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Times gamma at each of the milestones.

    Example   >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
              >>> scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
              >>> rates = []
              >>> for _ in range(4):
              ...     rates += scheduler.get_last_lr()
              ...     optimizer.step()
              ...     scheduler.step()
              >>> rates
              [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        _warn_outside_step(self)
        if self.last_epoch not in self.milestones:
            return self._rates()
        return [rate * self.gamma ** self.milestones[self.last_epoch] for rate in self._rates()]

    def _get_closed_form_lr(self):
        passed = bisect.bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Times gamma every epoch.

    Example   >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
              >>> scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
              >>> optimizer.step()
              >>> scheduler.step()
              >>> scheduler.get_last_lr()
              [0.5]
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        _warn_outside_step(self)
        if self._is_initial:
            return self._rates()
        return [rate * self.gamma for rate in self._rates()]

    def _get_closed_form_lr(self):
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate to ``eta_min`` in ``T_max`` epochs, and back.

    Source    Loshchilov & Hutter, ICLR 2017
    Example   >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
              >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
              >>> optimizer.step()
              >>> scheduler.step()
              >>> [round(rate, 3) for rate in scheduler.get_last_lr()]
              [0.5]
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        _warn_outside_step(self)
        epoch, period, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return self._rates()
        if self._step_count == 1 and epoch > 0:
            return self._get_closed_form_lr()
        if (epoch - 1 - period) % (2 * period) == 0:
            # The rate was eta_min, from which no factor leads up again.
            return [
                rate + (base - low) * (1 - math.cos(math.pi / period)) / 2
                for base, rate in zip(self.base_lrs, self._rates(), strict=True)
            ]
        ratio = (1 + math.cos(math.pi * epoch / period)) / (1 + math.cos(math.pi * (epoch - 1) / period))
        return [ratio * (rate - low) + low for rate in self._rates()]

    def _get_closed_form_lr(self):
        low = self.eta_min
        half = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [low + (base - low) * half / 2 for base in self.base_lrs]
