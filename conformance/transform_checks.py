"""Scores forward mode, batches and in-place variants of ops over samples of torch's OpInfo database.

    forward-mode     tangents as torch's where it has them, and the transpose of reverse mode everywhere
    forward-reverse  tangents of gradients as torch's, and as reverse over reverse mode
    vmap             a batch of each tensor argument, and of all, as the samples one by one
    vmap(jvp)        a batch of tangents, and of samples with their tangents, as one by one
    vmap(grad)       the same for gradients
    in-place         name_() or inplace=True: values, gradients and tangents as torch's

What torch itself refuses is compared with pullback's other modes alone.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict

import numpy as np
import torch
from bridge import Timeout, Unsupported, close, close_gradients, explain, limit
from sides import Side

COLUMNS = ("forward-mode", "forward-reverse", "vmap", "vmap(jvp)", "vmap(grad)", "in-place")
SAMPLES = 8
BATCHES = (2, 1, 3)  # sizes, in turn
LOOKS_AT_MEMORY = {"as_strided"}  # another layout is another function
RTOL, ATOL = 1e-6, 1e-8


class NotComparable(Exception):
    """A sample that a column has nothing to say about."""


class TransformChecker:
    """Runs a few samples of each op through the transformations."""

    def __init__(self, module, skipped=()):
        self.module, self.skipped = module, skipped  # words of the form name:column
        self.columns = {c: Counter() for c in COLUMNS}
        self.log = {}
        self.looped = defaultdict(set)  # op: what could not be run for all samples at once
        self.alone = False  # without torch: what it gives here is known to be wrong

    def check(self, key, info, theirs, ours):
        """Whether no column failed."""
        samples = chosen_samples(info)
        checks = dict.fromkeys(COLUMNS, (theirs, ours))
        checks["in-place"] = in_place_variants(self.module, info)
        good = True
        for column, functions in checks.items():
            if functions is None:
                continue
            self.alone = f"{key}:{column}" in self.skipped
            outcome = self._column(key, column, functions, samples)
            self.columns[column][outcome] += 1
            self.columns[column]["without torch"] += self.alone
            good &= outcome != "fail"
        return good

    def _column(self, key, column, functions, samples):
        check = {
            "forward-mode": self._forward_mode,
            "forward-reverse": self._forward_reverse,
            "vmap": self._vmap,
            "vmap(jvp)": self._vmap_jvp,
            "vmap(grad)": self._vmap_grad,
            "in-place": self._in_place,
        }[column]
        compared = False
        for number, sample in samples:
            try:
                with limit():
                    pairs = zip((torch, self.module), functions, strict=True)
                    strided = number % 2 == 1 and key.split(".")[0] not in LOOKS_AT_MEMORY
                    check(key, *(Side(m, f, sample, strided) for m, f in pairs))
                compared = True
            except (NotComparable, Unsupported):
                continue
            except (Exception, Timeout) as e:
                self.log[f"{key}:{column}"] = f"sample {number}: {explain(e)} {describe(sample)}"
                return "fail"
        return "pass" if compared else "not comparable"

    def _by_torch(self, function):
        """What torch gives to compare with: None where it refuses, or is wrong."""
        return None if self.alone else attempt(function)

    def _forward_mode(self, key, theirs, ours):
        tangents, cotangents = directions(theirs)
        values, found = ours.jvp(ours.carried(tangents))
        expected = self._by_torch(lambda: theirs.jvp(tangents))
        if expected is not None:
            self.columns["forward-mode"]["samples with torch"] += 1
            for a, b in zip(expected[0], values, strict=True):
                close(theirs.bridge.numpy(a), ours.bridge.numpy(b), "value", RTOL, ATOL)
            close_gradients(expected[1], found, theirs.bridge, ours.bridge, "tangent", RTOL, ATOL)
        compare_transpose(ours, tangents, cotangents, found)

    def _forward_reverse(self, key, theirs, ours):
        tangents, cotangents = directions(theirs)
        t, c = ours.carried(tangents), ours.carried(cotangents)
        reverse = ours.gradient_vjp(t, c)
        forward = ours.gradient_jvp(t, c, create_graph=True)
        sides = (ours.bridge, ours.bridge)
        close_gradients(reverse, forward, *sides, "against reverse over reverse", RTOL, ATOL)
        plain = ours.gradient_jvp(t, c, create_graph=False)
        close_gradients(reverse, plain, *sides, "without create_graph", RTOL, ATOL)
        expected = self._by_torch(lambda: theirs.gradient_jvp(tangents, cotangents, create_graph=True))
        if expected is not None:
            self.columns["forward-reverse"]["samples with torch"] += 1
            close_gradients(expected, forward, theirs.bridge, ours.bridge, "tangent", 1e-5, 1e-7)

    def _vmap(self, key, theirs, ours):
        for number, chosen in enumerate(subsets(range(len(ours.tensors)))):
            self._compare_vmap(key, ours, ours.tensors, chosen, ours.call_once, number)

    def _vmap_jvp(self, key, theirs, ours):
        tangents = ours.carried(directions(theirs)[0])
        n, m = len(ours.tensors), self.module

        def pushed(*given):
            primals = [given[k] for k in ours.wanted]

            def function(*primals):
                return ours.call_once(*ours.among(primals, given[:n]))

            return m.func.jvp(function, tuple(primals), given[n:])[1]

        places = list(range(n, n + len(tangents)))
        for number, chosen in enumerate((places, places + ours.wanted)):
            self._compare_vmap(key, ours, ours.tensors + tangents, chosen, pushed, number)

    def _vmap_grad(self, key, theirs, ours):
        scalar = ours.total(ours.carried(directions(theirs)[1]))
        per_sample = self.module.func.grad(scalar, argnums=tuple(ours.wanted))
        everything = list(range(len(ours.tensors)))
        for number, chosen in enumerate({tuple(ours.wanted), tuple(everything)}):
            self._compare_vmap(key, ours, ours.tensors, chosen, per_sample, number)

    def _compare_vmap(self, key, side, tensors, chosen, function, number):
        """A batch of some of the tensors, along the first axis or the last, against one sample at a time."""
        m, size = self.module, BATCHES[number % len(BATCHES)]
        for variation in (varied, lambda t: t):
            columns = [
                batch_of(t, variation, size) if k in chosen else [t] * size for k, t in enumerate(tensors)
            ]
            looped = attempt(lambda: [function(*row) for row in zip(*columns, strict=True)])  # noqa: B023
            if looped and all(len({y.shape for y in ys}) == 1 for ys in zip(*looped, strict=True)):
                break
        else:
            raise NotComparable
        last = 0 if key.split(".")[0] in LOOKS_AT_MEMORY else 1
        dims = [(k % 2) * last * t.dim() if k in chosen else None for k, t in enumerate(tensors)]
        given = [c[0] if d is None else m.stack(c, d) for c, d in zip(columns, dims, strict=True)]
        with m.func.not_vectorised() as report:
            got = m.func.vmap(function, in_dims=tuple(dims), randomness="same")(*given)
        if report:
            self.looped[key].update(report)
        for k, (*one_by_one, y) in enumerate(zip(*looped, got, strict=True)):
            expected = side.bridge.numpy(m.stack(one_by_one))
            close(
                expected, side.bridge.numpy(y), f"batch of {size} of {list(chosen)}, result {k}", RTOL, ATOL
            )

    def _in_place(self, key, theirs, ours):
        tangents, cotangents = directions(theirs)
        expected = self._by_torch(lambda: theirs.call(*theirs.tensors))
        if expected is None:
            raise NotComparable
        for a, b in zip(expected, ours.call(*ours.tensors), strict=True):
            close(theirs.bridge.numpy(a), ours.bridge.numpy(b), "value", RTOL, ATOL)
        c = ours.carried(cotangents)
        sides = theirs.bridge, ours.bridge
        expected = self._by_torch(lambda: theirs.gradients(cotangents)[1])
        if expected is not None:
            self.columns["in-place"]["samples with torch"] += 1
            close_gradients(expected, ours.gradients(c)[1], *sides, "gradient", RTOL, ATOL)
        found = ours.jvp(ours.carried(tangents))[1]
        expected = self._by_torch(lambda: theirs.jvp(tangents)[1])
        if expected is not None:
            close_gradients(expected, found, *sides, "tangent", RTOL, ATOL)
        compare_transpose(ours, tangents, cotangents, found)


def chosen_samples(info):
    """A few of the samples in float64, spread over the first that the other stages take."""
    try:
        with limit(60):
            samples = list(info.sample_inputs("cpu", torch.float64, requires_grad=True))[:40]
    except Exception:  # the database itself cannot make samples on this machine
        return []
    places = sorted({round(k) for k in np.linspace(0, len(samples) - 1, SAMPLES)}) if samples else []
    return [(k, samples[k]) for k in places]


def in_place_variants(module, info):
    """The op changing its first argument, for torch and for the module, or None where torch has none."""
    name = info.name
    if name.startswith("nn.functional."):
        function = getattr(torch.nn.functional, name.rsplit(".")[-1], None)
        try:
            known = function is not None and "inplace" in inspect.signature(function).parameters
        except ValueError:
            known = False
        if not known:
            return None
        functions = [getattr(m.nn.functional, name.rsplit(".")[-1]) for m in (torch, module)]
        return tuple(
            lambda x, *args, f=f, **kw: f(x.clone(), *args, **{**kw, "inplace": True}) for f in functions
        )
    if name.endswith("_") or not hasattr(torch.Tensor, name + "_"):
        return None
    return tuple(
        lambda x, *args, m=m, **kw: getattr(m.Tensor, name + "_")(x.clone(), *args, **kw)
        for m in (torch, module)
    )


def attempt(function):
    """What a function gives; None where it raises."""
    try:
        return function()
    except Timeout:
        raise
    except Exception:
        return None


def directions(theirs):
    """Random tangents of the wanted arguments, and cotangents of the results that torch gives."""
    if not theirs.wanted or any(theirs.tensors[k].dtype != torch.float64 for k in theirs.wanted):
        raise NotComparable
    out = attempt(lambda: theirs.call(*theirs.among(theirs.start())))
    if out is None or not any(o.requires_grad for o in out):
        raise NotComparable
    torch.manual_seed(7)
    tangents = [torch.randn(theirs.tensors[k].shape, dtype=theirs.tensors[k].dtype) for k in theirs.wanted]
    return tangents, [torch.randn_like(o) if o.requires_grad else None for o in out]


def compare_transpose(side, tangents, cotangents, found):
    """<cotangents, tangents of the results> = <gradients, tangents of the arguments>."""
    gradients = side.gradients(side.carried(cotangents))[1]
    products = [
        np.asarray(side.bridge.numpy(a) * b.numpy()).ravel()
        for pairs in ((found, cotangents), (gradients, tangents))
        for a, b in zip(*pairs, strict=True)
        if a is not None and b is not None
    ]
    split = sum(a is not None and b is not None for a, b in zip(found, cotangents, strict=True))
    ahead, back = (np.concatenate([np.zeros(1), *part]) for part in (products[:split], products[split:]))
    size = np.abs(ahead).sum() + np.abs(back).sum()
    if np.isfinite(size) and abs(ahead.sum() - back.sum()) > 1e-9 + 1e-8 * size:
        raise AssertionError(f"not the transpose of reverse mode: {ahead.sum():.6g} and {back.sum():.6g}")


def varied(t):
    """Other elements of the same kind: the same ones, each moved on to the next place."""
    return t.reshape(-1).roll(1).reshape(t.shape)


def batch_of(t, variation, size):
    """As many samples as asked for, from one."""
    out = [t]
    while len(out) < size:
        out.append(variation(out[-1]))
    return out


def subsets(places):
    """Each of the first places alone, then all of them."""
    return [[k] for k in places[:4]] + ([list(places)] if len(places) > 1 else [])


def describe(sample):
    """A sample in few words: shapes of tensors, other arguments as they are."""

    def words(x):
        if isinstance(x, torch.Tensor):
            return f"{str(x.dtype)[6:]}{list(x.shape)}"
        if isinstance(x, (list, tuple)):
            return "[" + ", ".join(words(v) for v in x) + "]"
        return repr(x)

    parts = [words(x) for x in (sample.input, *sample.args)]
    parts += [f"{k}={words(v)}" for k, v in sample.kwargs.items()]
    return f"({', '.join(parts)})"[:160]
