"""The checks of one derivative rule. Each gives the worst error over the rule's cases, or why there is none.

An error is relative to the numbers that are compared; where bits are compared, it counts the tensors that
differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import pullback as torch
from pullback.checking.cases import cases_of, elementwise, listed
from pullback.checking.harness import Call, bits, function_of, grad, inner, like
from pullback.func import jvp, not_vectorised, vjp, vmap
from pullback.primitives.family import Composite, Elementwise
from pullback.primitives.registry import ops
from pullback.trace import tracer

STEP = 1e-5
REASONS = {
    "sizes": "reads sizes and types of its operands, and no elements: there is nothing to differentiate",
    "no samples": "no arguments are known to check it with",
    "one step": "is not one of the operations, element by element, that programs run in one step with others",
    "sample sizes": "what suits one sample does not suit the others, or its result has another size for each",
    "not torch's": "a part of the engine, or a form of a function, that no function of torch's shows",
    "torch differs": "torch keeps the history of the value that this overwrites",
    "extension": "declared from outside of the package: torch has no such function",
}


class NotApplicable(Exception):
    """Carries a key of REASONS."""


@dataclass
class Outcome:
    """What a check found: the worst error, or the reason that there is none."""

    error: float | None
    reason: str = ""
    bound: float = 0.0
    looped: bool = False

    @property
    def passed(self):
        return self.error is None or self.error <= self.bound


class Rule:
    """An op with its cases."""

    def __init__(self, op, cases):
        self.op, self.cases, self.looped = op, cases, False

    def calls(self, dtype=torch.float64, most=None):
        return [Call(self.op, case, dtype) for case in self.cases[:most]]

    def differentiable_calls(self, most=None):
        return [c for c in self.calls(most=most) if c.inputs]


def as_cases(samples):
    """Samples as users write them, a tensor or a tuple of arguments, as cases."""
    samples = [s if isinstance(s, (tuple, list)) else (s,) for s in samples]
    return [[_array(x) for x in s] for s in samples]


def _array(x):
    if isinstance(x, torch.Tensor):
        x = x.detach().numpy()
    return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x


_lists: dict = {}


def rule(name) -> Rule:
    """The rule of that name in the registry."""
    if not _lists:
        _lists.update(listed())
    op = ops[name]
    given = getattr(op, "given_samples", ())
    if given:
        return Rule(op, as_cases(given))
    if op.kernel == "foreign":  # of others nobody knows which arguments suit them
        return Rule(op, elementwise(op) if isinstance(op, Elementwise) else [])
    return Rule(op, cases_of(op, _lists) or [])


def has_rule(op) -> bool:
    """Whether an op has a derivative of its own, that is no derived program."""
    return op.differentiable and op.handle in tracer.ops_by_handle and not hasattr(op, "trace")


def built_in() -> list[str]:
    """The names of the package's own rules."""
    return sorted(n for n, op in ops.items() if has_rule(op) and op.kernel != "foreign")


# ---- parts ----


def relative(a, b, scale=0.0):
    """The distance of two numbers by their size, or by 1 if they are smaller."""
    error = abs(a - b) / (1 + abs(scale) + abs(a))
    return math.inf if math.isnan(error) else error


def moved(tensors, directions, step):
    return [(t.detach() + step * d).requires_grad_() for t, d in zip(tensors, directions, strict=True)]


def slope(function, tensors, directions):
    """The directional derivative of a number-valued function: central differences, extrapolated."""

    def difference(step):
        values = [function(moved(tensors, directions, s)).item() for s in (step, -step)]
        return (values[0] - values[1]) / (2 * step)

    return (4 * difference(STEP / 2) - difference(STEP)) / 3


def plain(tensors):
    return tuple(t.detach() for t in tensors)


def differing(a, b) -> int:
    """How many of the tensors differ in a bit."""
    return sum(x != y for x, y in zip(bits(a), bits(b), strict=True))


def random_for(check):
    """The same numbers on every machine."""
    return np.random.RandomState(list(CHECKS).index(check) + 1)


# ---- checks: Rule -> errors ----


def gradient_is_the_slope(rule):
    random = random_for("slope")
    for call in rule.differentiable_calls():
        outputs = call.run()
        g, t = like(outputs, random), like(call.inputs, random)
        if not any(o.requires_grad for o in outputs):
            yield math.inf
        expected = slope(lambda x, call=call, g=g: inner(call.with_inputs(x), g), call.inputs, t)
        yield relative(inner(grad(outputs, call.inputs, g), t).item(), expected)


def forward_is_the_transpose(rule):
    """<g, J t> = <J^T g, t>: J t from forward mode, with the value beside it, and by two reverses."""
    random = random_for("transpose")
    for call in rule.differentiable_calls():
        outputs = call.run()
        g, t = [v.requires_grad_() for v in like(outputs, random)], like(call.inputs, random)
        values, pushed = jvp(lambda *x, call=call: call.with_inputs(x), plain(call.inputs), tuple(t))
        for v, o in zip(values, outputs, strict=True):
            same = torch.equal(v, o.detach()) or torch.allclose(v, o.detach(), rtol=1e-14, equal_nan=True)
            yield 0.0 if same else math.inf
        pairing = inner(grad(outputs, call.inputs, g, create_graph=True), t)
        yield relative(inner(pushed, g).item(), pairing.item())
        yield relative(inner(grad([pairing], g), g).item(), pairing.item())


def second_order(rule):
    """The slope of the gradient."""
    random = random_for("second order")
    for call in rule.differentiable_calls():
        outputs = call.run()
        g, t, d = like(outputs, random), like(call.inputs, random), like(call.inputs, random)
        pairing = inner(grad(outputs, call.inputs, g, create_graph=True), t)

        def pairing_at(x, call=call, g=g, t=t):
            return inner(grad(call.with_inputs(x), x, g), t)

        expected = slope(pairing_at, call.inputs, d)
        yield relative(inner(grad([pairing], call.inputs), d).item(), expected, pairing.item())


def third_order(rule):
    random = random_for("third order")
    for call in rule.differentiable_calls(most=2):
        g, t, d, e = (like(x, random) for x in (call.run(), call.inputs, call.inputs, call.inputs))

        def second(x, create_graph, call=call, g=g, t=t, d=d):
            pairing = inner(grad(call.with_inputs(x), x, g, create_graph=True), t)
            return inner(grad([pairing], x, create_graph=create_graph), d)

        expected = slope(lambda x: second(x, False), call.inputs, e)
        value = second(call.inputs, True)
        yield relative(inner(grad([value], call.inputs), e).item(), expected, value.item())


def forward_over_reverse(rule):
    """Against reverse over reverse."""
    random = random_for("forward over reverse")
    for call in rule.differentiable_calls(most=4):
        outputs = call.run()
        g, t, d = like(outputs, random), like(call.inputs, random), like(call.inputs, random)
        pairing = inner(grad(outputs, call.inputs, g, create_graph=True), t)
        expected = inner(grad([pairing], call.inputs), d).item()

        def pulled(*x, call=call, g=g, t=t):
            _, pull = vjp(lambda *y: tuple(call.with_inputs(y)), *x)
            return inner(pull(tuple(g)), t)

        _, got = jvp(pulled, plain(call.inputs), tuple(d))
        yield relative(got.item(), expected, pairing.item())


def recorded_path(rule):
    """The engine's own path against the recorded one, in both precisions, and again from filled caches."""
    random = random_for("recorded path")
    for dtype in (torch.float32, torch.float64):
        for call in rule.calls(dtype):
            outputs = call.run()
            g = like(outputs, random)
            got = grad(outputs, call.inputs, g)
            yield differing(got, grad(outputs, call.inputs, g, create_graph=True))
            again = call.run()
            yield differing(outputs, again) + differing(got, grad(again, call.inputs, g))


_chains: dict = {}  # handle of an op -> a composite that goes on from its result


def _chain(op):
    if op.handle not in _chains:
        function = function_of(op)

        def chain(*args):
            y = function(*args)
            return (y * 0.5 + 1.25) * y

        traced = Composite(op.signature.text, chain, name=f"chain_of_{op.name}")
        del ops[traced.name]
        _chains[op.handle] = (function_of(traced), chain)
    return _chains[op.handle]


def fused_steps(rule):
    """A chain as one traced program, where steps are fused, against step by step."""
    kinds = {p.kind for p in rule.op.signature.parameters}
    if rule.op.family != "elementwise" or not kinds <= {"Tensor", "Operand"}:
        raise NotApplicable("one step")
    fused, single = _chain(rule.op)
    random = random_for("fused steps")
    for dtype in (torch.float32, torch.float64):
        for call in rule.calls(dtype):
            one, many = fused(*call.args), single(*call.args)
            g = like([one], random)
            yield differing([one], [many])
            yield differing(grad([one], call.inputs, g), grad([many], call.inputs, g))


# ---- batches ----


def variations(x):
    """Three variations of each tensor in an argument, along a new axis in front."""
    if isinstance(x, list):
        return [variations(v) for v in x]
    if not isinstance(x, torch.Tensor):
        return x
    x = x.detach()
    if x.dtype.is_floating_point:
        return torch.stack([x, x * 1.01 + 0.001, x * 0.98])
    return torch.stack([x, x.flip(0) if x.dim() else x, x])


def tensors_of(x):
    if isinstance(x, list):
        return [t for v in x for t in tensors_of(v)]
    return [x] if isinstance(x, torch.Tensor) else []


def rebuilt(x, tensors):
    if isinstance(x, list):
        return [rebuilt(v, tensors) for v in x]
    return next(tensors) if isinstance(x, torch.Tensor) else x


def function_of_tensors(call):
    def function(*tensors):
        tensors = iter(tensors)
        args = [rebuilt(x, tensors) for x in call.args]
        kwargs = {k: rebuilt(v, tensors) for k, v in call.kwargs.items()}
        out = call.function(*args, **kwargs)
        return tuple(out) if isinstance(out, (tuple, list)) else (out,)

    return function


def batch_errors(rule, function, one, many, dims):
    """The results for three samples at once against one by one. Nothing where the samples do not all suit."""

    def sample(k):
        return [m[k] if d == 0 else o for o, m, d in zip(one, many, dims)]

    try:
        expected = [function(*sample(k)) for k in range(3)]
    except (RuntimeError, IndexError):
        return
    if any(a.shape != b.shape for e in expected for a, b in zip(e, expected[0])):
        return
    with not_vectorised() as report:
        got = vmap(function, in_dims=tuple(dims))(*(m if d == 0 else o for o, m, d in zip(one, many, dims)))
    rule.looped = rule.looped or bool(report)
    for k, outputs in enumerate(expected):
        for a, b in zip(got, outputs, strict=True):
            yield batch_error(a[k], b) if a.dtype == b.dtype and a[k].shape == b.shape else math.inf


def batch_error(a, b):
    if not b.dtype.is_floating_point:
        return 0.0 if torch.equal(a, b) else math.inf
    a, b = a.detach().numpy(), b.detach().numpy()
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b) / (0.1 + np.abs(b)))
    error = float(gap.max(initial=0.0))
    return math.inf if math.isnan(error) else error


def vmap_is_the_loop(rule):
    """With all inputs batched, and each alone."""
    for call in rule.calls():
        many = [t for x in (*call.args, *call.kwargs.values()) for t in tensors_of(variations(x))]
        one = [t.detach() for x in (*call.args, *call.kwargs.values()) for t in tensors_of(x)]
        choices = [[0] * len(one)]
        if len(one) > 1:
            choices += [[0 if j == k else None for j in range(len(one))] for k in range(len(one))]
        for dims in choices:
            yield from batch_errors(rule, function_of_tensors(call), one, many, dims)


def vmap_of_the_gradient_is_the_loop(rule):
    random = random_for("vmap of gradient")
    for call in rule.differentiable_calls(most=5):
        g = like(call.run(), random)

        def pulled(*x, call=call, g=g):
            _, pull = vjp(lambda *y: tuple(call.with_inputs(y)), *x)
            return pull(tuple(g))

        one = list(plain(call.inputs))
        yield from batch_errors(rule, pulled, one, [variations(x) for x in one], [0] * len(one))


# ---- all of them ----

# name -> (check, the largest error that it lets pass)
CHECKS = {
    "slope": (gradient_is_the_slope, 1e-7),
    "transpose": (forward_is_the_transpose, 1e-11),
    "second order": (second_order, 2e-7),
    "third order": (third_order, 1e-6),
    "forward over reverse": (forward_over_reverse, 1e-10),
    "vmap": (vmap_is_the_loop, 1e-12),
    "vmap of gradient": (vmap_of_the_gradient_is_the_loop, 1e-12),
    "recorded path": (recorded_path, 0),
    "fused steps": (fused_steps, 0),
}


def run(check, rule, catch=False) -> Outcome:
    """The outcome of a check, by its name in CHECKS. A rule that raises fails it, if errors are caught."""
    function, bound = CHECKS[check]
    rule.looped = False
    try:
        if not rule.cases:
            raise NotApplicable("no samples")
        errors = list(function(rule))
    except NotApplicable as reason:
        return Outcome(None, str(reason))
    except Exception as error:
        if not catch:
            raise
        return Outcome(math.inf, f"{type(error).__name__}: {error}".splitlines()[0], bound)
    if not errors:
        suited = check == "vmap" or (check == "vmap of gradient" and rule.differentiable_calls())
        return Outcome(None, "sample sizes" if suited else "sizes")
    return Outcome(float(max(errors)), bound=bound, looped=rule.looped)
