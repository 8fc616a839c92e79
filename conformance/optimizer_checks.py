"""Scores optimizers against torch's OptimizerInfo database: twelve steps on a small problem."""

from __future__ import annotations

from collections import Counter

import torch
from bridge import Bridge, attribute, close, explain, limit
from op_checks import TorchRefuses, by_torch

STEPS = 12
OTHER_PATHS = ("fused", "capturable", "foreach", "differentiable")  # implementations of the same step


def _problem(name):
    torch.manual_seed(1)
    w = torch.randn(5, 4, dtype=torch.float64)
    b = torch.randn((4, 4) if name == "Muon" else 4, dtype=torch.float64)  # Muon takes matrices only
    x, y = torch.randn(16, 5, dtype=torch.float64), torch.randn(16, 4, dtype=torch.float64)
    return w, b, x, y


def _train(cls, name, side, options):
    w, b, x, y = (side.tensor(t) for t in _problem(name))
    parameters = [w.requires_grad_(True), b.requires_grad_(True)]
    optimizer = cls(parameters, **{k: side.to(v) for k, v in options.items()})

    def closure():
        optimizer.zero_grad()
        bias = b.sum(0) if name == "Muon" else b
        loss = ((x @ w + bias - y) ** 2).mean()
        loss.backward()
        return loss

    for _ in range(STEPS):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return parameters


def _check(info, cls, name, module):
    theirs, ours = Bridge(torch), Bridge(module)
    for sample in info.optim_inputs_func(device="cpu", dtype=torch.float64):
        options = dict(sample.kwargs)
        if any(options.get(k) for k in OTHER_PATHS):
            continue
        with limit():
            try:
                expected = by_torch(_train, info.optim_cls, name, theirs, options)
            except TorchRefuses:
                continue
            for a, b in zip(expected, _train(cls, name, ours, options), strict=True):
                close(theirs.numpy(a), ours.numpy(b), f"after {STEPS} steps with {options}", 1e-8, 1e-10)


def optims(module, only, skipped=()):
    """Counts, and a line of explanation for each optimizer that did not simply pass."""
    from torch.testing._internal.common_optimizers import optim_db

    counts, log = Counter(), {}
    for info in optim_db:
        name = info.optim_cls.__name__
        if name == "SparseAdam" or (only is not None and name not in only):
            continue
        counts["all"] += 1
        cls = attribute(module, f"optim.{name}")
        if cls is None:
            counts["missing"] += 1
            log[name] = "missing"
            continue
        try:
            _check(info, cls, name, module)
            counts["pass"] += 1
        except Exception as e:
            counts["fail"] += 1
            log[name] = explain(e)
    return counts, log, {}
