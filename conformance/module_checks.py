"""Scores modules against torch's ModuleInfo database."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from bridge import Bridge, Timeout, attribute, close, close_gradients, explain, leaves, limit
from module_transforms import COLUMNS, ModuleTransforms
from op_checks import TorchRefuses, by_torch

INPUTS = 25  # of each mode
TRANSFORMED = 4  # of these, spread over both modes, go through the transformations


def _state(source, side):
    return {k: side.tensor(v) for k, v in source.state_dict().items()}


def _build(info, args, kwargs, training):
    torch.manual_seed(3)
    return info.module_cls(*Bridge(torch).to(args), **kwargs).double().train(training)


def _compare(info, cls, sample, training, module):
    """One constructor and one call, forward and backward, on both sides."""
    theirs, ours = Bridge(torch), Bridge(module)
    made, called = sample.constructor_input, sample.forward_input
    t_args, t_kwargs = theirs.to(called.args), theirs.to(called.kwargs)
    t_module = by_torch(_build, info, made.args, made.kwargs, training)
    torch.manual_seed(4)
    t_out = leaves(by_torch(t_module, *t_args, **t_kwargs), torch.Tensor)
    o_module = cls(*ours.to(made.args), **ours.to(made.kwargs)).double().train(training)
    if "Lazy" in info.name:  # it knows its shapes after the first call
        o_module(*ours.to(called.args), **ours.to(called.kwargs))
    # Running statistics have moved in torch's module: both start from fresh ones.
    has_statistics = any(True for _ in t_module.buffers())
    fresh = _build(info, made.args, made.kwargs, training) if has_statistics else t_module
    o_module.load_state_dict(_state(fresh, ours))
    o_args, o_kwargs = ours.to(called.args), ours.to(called.kwargs)
    module.manual_seed(4)
    o_out = leaves(o_module(*o_args, **o_kwargs), module.Tensor)
    assert len(t_out) == len(o_out), f"{len(o_out)} outputs, torch {len(t_out)}"
    for a, b in zip(t_out, o_out, strict=True):
        close(theirs.numpy(a), ours.numpy(b), "forward", 1e-6, 1e-8)
    inputs = leaves((t_args, t_kwargs), torch.Tensor), leaves((o_args, o_kwargs), module.Tensor)
    inputs = [[t for t in side if t.requires_grad] for side in inputs]
    inputs = inputs[0] + list(t_module.parameters()), inputs[1] + list(o_module.parameters())
    _compare_gradients(inputs, (t_out, o_out), module)


def _compare_gradients(inputs, outputs, module):
    outputs = [[o for o in side if o.requires_grad] for side in outputs]
    assert len(outputs[0]) == len(outputs[1]), (
        f"{len(outputs[1])} outputs require grad, torch {len(outputs[0])}"
    )
    assert len(inputs[0]) == len(inputs[1]), f"{len(inputs[1])} parameters and inputs, torch {len(inputs[0])}"
    if not outputs[0] or not inputs[0]:
        return
    theirs, ours = Bridge(torch), Bridge(module)
    torch.manual_seed(7)
    cotangents = [torch.randn_like(o) for o in outputs[0]]
    expected = torch.autograd.grad(outputs[0], inputs[0], cotangents, allow_unused=True)
    cotangents = [ours.tensor(c) for c in cotangents]
    got = module.autograd.grad(outputs[1], inputs[1], cotangents, allow_unused=True)
    close_gradients(expected, got, theirs, ours, "backward", 1e-5, 1e-7)


def _samples(info):
    for training in (True, False):
        made = info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
        )
        for sample in made[:INPUTS]:
            yield sample, training


def _check(info, cls, module):
    """How many samples agreed. Raises at the first that does not."""
    compared = 0
    for sample, training in _samples(info):
        try:
            with limit():
                _compare(info, cls, sample, training, module)
            compared += 1
        except TorchRefuses:
            continue
    return compared


def _check_transforms(info, cls, module, columns, log):
    """Enters how each column went. A module without parameters has nothing to batch."""
    if "Lazy" in info.name:
        return True
    samples = [s for s in _samples(info) if next(_built(cls, s, module).parameters(), None) is not None]
    places = sorted({round(k) for k in np.linspace(0, len(samples) - 1, TRANSFORMED)}) if samples else []
    if not places:
        return True
    for column in COLUMNS:
        try:
            for k in places:
                sample, training = samples[k]
                with limit():
                    ModuleTransforms(module, cls, sample, training).compare(column)
            columns[column]["pass"] += 1
        except (Exception, Timeout) as e:
            columns[column]["fail"] += 1
            log[f"{info.name}:{column}"] = f"sample {k}: {explain(e)}"
    return not any(key.startswith(info.name + ":") for key in log)


def _built(cls, sample, module):
    made = sample[0].constructor_input
    ours = Bridge(module)
    return cls(*ours.to(made.args), **ours.to(made.kwargs))


def modules(module, only, skipped=()):
    """Counts, a line of explanation for each module that did not simply pass, and counts a column."""
    from torch.testing._internal.common_modules import module_db

    counts, log, columns = Counter(), {}, {column: Counter() for column in COLUMNS}
    for info in module_db:
        if only is not None and info.name not in only:
            continue
        counts["all"] += 1
        cls = attribute(module, info.name)
        try:
            outcome = "missing" if cls is None else "pass" if _check(info, cls, module) else "not comparable"
        except (Exception, Timeout) as e:
            outcome, log[info.name] = "fail", explain(e)
        if outcome == "pass" and not _check_transforms(info, cls, module, columns, log):
            outcome = "fail transformed"
        counts[outcome] += 1
        if outcome in ("missing", "not comparable"):
            log[info.name] = outcome
    return counts, log, columns
