"""Scores ops against torch's OpInfo database."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from bridge import (
    SECONDS,
    Bridge,
    Timeout,
    Unsupported,
    attribute,
    close,
    close_gradients,
    explain,
    leaves,
    limit,
)
from transform_checks import TransformChecker

# The database wraps these in lambdas of its own; here the plain name is called on both sides.
REORDERED = {
    "where": lambda m: lambda self, condition, other: m.where(condition, self, other),
    "einsum": lambda m: lambda operands, equation: m.einsum(equation, *operands),
    "nn.functional.embedding": lambda m: lambda w, index, **kw: m.nn.functional.embedding(index, w, **kw),
    "slice": lambda m: (
        lambda x, dim=0, start=None, end=None, step=1: x[(slice(None),) * dim + (slice(start, end, step),)]
    ),
    "zero_": lambda m: lambda x: x.clone().zero_(),
    **{name: (lambda m, name=name: lambda x: getattr(x, name)) for name in ("T", "H", "mT", "mH")},
}
STAGES = ("forward", "backward", "create_graph", "double")
LEFT_OUT = ("torch.ops", "_", "sparse", "to_sparse", "jiterator")
TOLERANCE = {torch.float64: (1e-6, 1e-8), torch.float32: (3e-4, 2e-5)}
SAMPLES = {torch.float64: 40, torch.float32: 12}
STRIDED_SAMPLES = 6


def op_infos():
    """The entries of the database that have a derivative and run in float32 or float64."""
    from torch.testing._internal.common_methods_invocations import op_db

    for info in op_db:
        if not info.supports_autograd or not set(TOLERANCE) & set(info.dtypes):
            continue
        if info.name.startswith(LEFT_OUT) and not info.name.startswith("__"):
            continue
        yield info


def variant(info):
    """The op's name with its variant's."""
    return info.name + ("." + info.variant_test_name if info.variant_test_name else "")


def locate(module, name):
    """The function that a module has under a name of the database: a function, or else a method."""
    if name in REORDERED:
        return REORDERED[name](module)
    found = attribute(module.Tensor if name.startswith("__") else module, name)
    return found if callable(found) else getattr(module.Tensor, name, None)  # torch.float is a dtype


class Failure(Exception):
    """A sample on which the module differs from torch: the stage and why."""


@dataclass
class Case:
    """One sample on its way through the stages."""

    info: object
    sample: object
    dtype: object
    strided: bool


class OpChecker:
    """Runs every sample of every op on both sides."""

    def __init__(self, module, skipped=()):
        self.module, self.skipped = module, skipped
        self.counts, self.log = Counter(), {}
        self.columns = {stage: Counter() for stage in STAGES}  # over ops: pass, fail
        self.reached: set[str] = set()  # stages that a sample of the op at hand came through
        self.transforms = TransformChecker(module, skipped)
        self.path_differences: set[str] = set()

    def check(self, info):
        key = variant(info)
        theirs, ours = locate(torch, info.name), locate(self.module, info.name)
        self.counts["all"] += 1
        if key in self.skipped or not callable(theirs):
            outcome = "not comparable"
        elif not callable(ours):
            outcome = "missing"
        else:
            outcome = self._compare(info, theirs, ours)
            if not self.transforms.check(key, info, theirs, ours) and outcome == "pass":
                outcome = "fail transformed"
        self.counts[outcome] += 1
        if outcome in ("missing", "not comparable"):
            self.log[key] = outcome
        if key in self.path_differences:
            self.counts["paths differ"] += 1
            self.log.setdefault(key, "paths differ: engine and create_graph disagree in a bit")

    def _compare(self, info, theirs, ours):
        compared = 0
        self.reached.clear()
        for case in cases_of(info):
            try:
                compared += self._sample(case, theirs, ours)
            except Failure as failure:
                stage, why = failure.args
                layout = ", strided" if case.strided else ""
                self.log[variant(info)] = f"{stage}: {why} ({str(case.dtype)[6:]}{layout})"
                self._enter_columns(stage)
                return f"fail {stage}"
        self._enter_columns(None)
        return "pass" if compared else "not comparable"

    def _enter_columns(self, failed):
        for stage in STAGES:
            if stage == failed:
                self.columns[stage]["fail"] += 1
            elif stage in self.reached:
                self.columns[stage]["pass"] += 1

    def _sample(self, case, theirs, ours):
        """Whether the sample could be compared. Failure where it differs."""
        run = SampleRun(self, case)
        try:
            with limit():
                return run.compare(theirs, ours)
        except Unsupported:
            return False
        except TorchRefuses:
            return run.stage != "forward"
        except Exception as e:
            raise Failure(run.stage, explain(e)) from e


def cases_of(info):
    """The samples in both dtypes, all of them contiguous and the first few strided."""
    for dtype in TOLERANCE:
        if dtype not in info.dtypes:
            continue
        try:
            with limit(3 * SECONDS):
                samples = list(info.sample_inputs("cpu", dtype, requires_grad=True))[: SAMPLES[dtype]]
        except Exception:  # the database itself cannot make samples on this machine
            continue
        for strided in (False, True):
            for sample in samples[:STRIDED_SAMPLES] if strided else samples:
                yield Case(info, sample, dtype, strided)


class TorchRefuses(Exception):
    """Torch raised: there is nothing to compare with from this stage on."""


def by_torch(function, *args, **kwargs):
    """A call of torch's whose errors end the comparison."""
    try:
        return function(*args, **kwargs)
    except Timeout:
        raise
    except Exception as e:
        raise TorchRefuses from e


class SampleRun:
    """The stages of one sample: forward, backward, create_graph, double."""

    def __init__(self, checker, case):
        self.checker, self.case, self.module = checker, case, checker.module
        self.theirs, self.ours = Bridge(torch, case.strided), Bridge(checker.module, case.strided)
        self.dense = Bridge(checker.module)
        self.rtol, self.atol = TOLERANCE[case.dtype]
        self.stage = "forward"

    def compare(self, theirs, ours):
        inputs, outputs = self._forward(theirs, ours)
        self.checker.counts["samples forward"] += 1
        self._enter("backward")
        inputs = [[t for t in side if t.requires_grad] for side in inputs]
        outputs = [[t for t in side if t.requires_grad] for side in outputs]
        if len(outputs[0]) != len(outputs[1]):
            raise AssertionError(f"{len(outputs[1])} outputs require grad, torch {len(outputs[0])}")
        if outputs[0] and inputs[0]:
            gradients = self._first_order(inputs, outputs)
            self.checker.counts["samples backward"] += 1
            self._enter("double")
            if self.case.info.supports_gradgrad and self.case.dtype == torch.float64:
                self._second_order(inputs, gradients)
                self._enter(None)
        return True

    def _enter(self, stage):
        """The sample came through a stage, and enters the next."""
        self.checker.reached.add(self.stage)
        self.stage = stage

    def _forward(self, theirs, ours):
        sample = self.case.sample
        args, kwargs = (sample.input, *sample.args), sample.kwargs
        t_args, t_kwargs = self.theirs.to(args), self.theirs.to(kwargs)
        torch.manual_seed(0)
        t_out = leaves(by_torch(theirs, *t_args, **t_kwargs), torch.Tensor)
        o_args, o_kwargs = self.ours.to(args), self.ours.to(kwargs)
        self.module.manual_seed(0)
        o_out = leaves(ours(*o_args, **o_kwargs), self.module.Tensor)
        if len(t_out) != len(o_out):
            raise AssertionError(f"{len(o_out)} outputs, torch {len(t_out)}")
        for a, b in zip(t_out, o_out, strict=True):
            close(self.theirs.numpy(a), self.ours.numpy(b), "value", self.rtol, self.atol)
        inputs = leaves((t_args, t_kwargs), torch.Tensor), leaves((o_args, o_kwargs), self.module.Tensor)
        return inputs, (t_out, o_out)

    def _first_order(self, inputs, outputs):
        """The gradients, recorded, of both sides. Ours are asked for plainly as well, and must be the same
        bits."""
        torch.manual_seed(7)
        cotangents = [torch.randn_like(o, memory_format=torch.contiguous_format) for o in outputs[0]]
        grad = torch.autograd.grad
        expected = by_torch(grad, outputs[0], inputs[0], cotangents, allow_unused=True, create_graph=True)
        cotangents = [self.dense.tensor(c) for c in cotangents]
        grad = self.module.autograd.grad
        plain = grad(outputs[1], inputs[1], cotangents, allow_unused=True, retain_graph=True)
        self._close(expected, plain)
        self._enter("create_graph")
        recorded = grad(outputs[1], inputs[1], cotangents, allow_unused=True, create_graph=True)
        self._close(expected, recorded)
        for a, b in zip(plain, recorded, strict=True):
            if (
                a is not None
                and b is not None
                and self.ours.numpy(a).tobytes() != self.ours.numpy(b).tobytes()
            ):
                self.checker.path_differences.add(variant(self.case.info))
        return expected, recorded

    def _second_order(self, inputs, gradients):
        """Derivatives of the gradients. One that does not depend on the inputs has none."""
        pairs = [
            (a, b)
            for a, b in zip(*gradients, strict=True)
            if a is not None and a.requires_grad and b is not None
        ]
        if not pairs or len(pairs) != sum(a is not None and a.requires_grad for a in gradients[0]):
            return
        cotangents = [torch.randn_like(a, memory_format=torch.contiguous_format) for a, _ in pairs]
        expected = by_torch(
            torch.autograd.grad, [a for a, _ in pairs], inputs[0], cotangents, allow_unused=True
        )
        recorded = [
            (b, self.dense.tensor(c)) for (_, b), c in zip(pairs, cotangents, strict=True) if b.requires_grad
        ]
        got = [None] * len(inputs[1])
        if recorded:
            outputs, cotangents = (list(part) for part in zip(*recorded, strict=True))
            got = self.module.autograd.grad(outputs, inputs[1], cotangents, allow_unused=True)
        self._close(expected, got, 10)

    def _close(self, expected, got, factor=1):
        close_gradients(
            expected, got, self.theirs, self.ours, "value", factor * self.rtol, factor * self.atol
        )


def ops(module, only, skipped=()):
    """Counts, a line of explanation for each variant that did not simply pass, and counts a column."""
    checker = OpChecker(module, skipped)
    for info in op_infos():
        if only is None or info.name in only:
            checker.check(info)
    transforms = checker.transforms
    if transforms.looped:
        checker.counts["looped or grouped"] = len(transforms.looped)
    return checker.counts, checker.log | transforms.log, checker.columns | transforms.columns
