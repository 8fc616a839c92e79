"""From a declaration to programs: the forward program, what it saves, and its backward, derived once each."""

from __future__ import annotations

from pullback import _core
from pullback.errors import GradError
from pullback.trace import node_names
from pullback.trace import signature as sig
from pullback.trace.program import Lowering, dependencies, element_reads, is_constant, size_sources
from pullback.trace.sizes import FOLD, PARAM, SIZE, Size, size, work_out
from pullback.trace.tracer import DTYPES, N_CONST, N_INPUT, N_SIZE, Graph, Number, Tracer, functions, param


class NoBatchRule(Exception):
    """An instruction has no rule for batches: the native side then runs the op sample by sample."""


def vjp(outputs, cotangents, wanted, barrier=()):
    """Cotangents of `wanted` from those of `outputs` (None: zero), by the rules of the instructions between.

    Returns a list with None where nothing arrives. Walks instructions in reverse order of recording.
    """
    wanted_set = set(wanted)
    needed = set(wanted)
    order = []
    graph = next(t.graph for t in outputs)
    for i in list(graph.instructions):
        if any(isinstance(x, Tracer) and x in needed for x in i.operands) and i.op.differentiable:
            needed.update(o for o in i.outputs if o.dtype.is_floating_point)
            order.append(i)
    gradients: dict = {}

    def add(t, g):
        gradients[t] = g if t not in gradients else gradients[t] + g

    for o, g in zip(outputs, cotangents):
        if g is not None and o in needed:
            add(o, g)
    for i in reversed(order):
        gs = [gradients.get(o) for o in i.outputs]
        if all(g is None for g in gs):
            continue
        need = [isinstance(x, Tracer) and x in needed for x in i.operands]
        for x, g, wants in zip(i.operands, i.op.vjp(i, gs, need), need):
            if wants and g is not None:
                add(x, g)
    return [gradients.get(w) for w in wanted] if wanted_set else []


def jvp(graph, outputs, tangents):
    """Tangents of outputs from those of inputs ({input: tangent}), instruction by instruction."""
    tangents = dict(tangents)
    between = {t.source for t in _reachable(outputs)}
    for i in [i for i in graph.instructions if i in between]:
        given = [tangents.get(x) if isinstance(x, Tracer) else None for x in i.operands]
        if not i.op.differentiable or all(t is None for t in given):
            continue
        push = getattr(i.op, "jvp", None) or _transposed_rule
        for o, t in zip(i.outputs, push(i, given)):
            if t is not None and o.dtype.is_floating_point:
                tangents[o] = t
    return [tangents.get(o) for o in outputs]


def _transposed_rule(i, tangents):
    """The tangents of an instruction's outputs: its vjp, linear in the cotangents, transposed."""
    places = [_placeholder(o) for o in i.outputs]
    if all(p is None for p in places):
        return places
    return transposed(places, i.op.vjp(i, places, [t is not None for t in tangents]), tangents)


def _placeholder(o):
    return o.graph.placeholder(functions["_full_like"], o) if o.dtype.is_floating_point else None


def transposed(places, gradients, tangents):
    """What gradients, as linear functions of the cotangents at `places`, make of tangents.

    The cotangents' own values take no part."""
    pairs = [(g, t) for g, t in zip(gradients, tangents) if g is not None and t is not None]
    if not pairs:
        return [None] * len(places)
    found = iter(vjp([g for g, _ in pairs], [t for _, t in pairs], [p for p in places if p is not None]))
    return [None if p is None else next(found) for p in places]


def shared_bit(k):
    """In a mask of inputs or outputs, those from 63 on share the last bit (native/tape/plan.h)."""
    return 1 << min(k, 63)


class Trace:
    """The programs of one symbolic key. The forward graph stays, so that any backward can be derived from
    it."""

    def __init__(self, op, operands, ints, symbolic, need):
        self.op, self.need = op, need
        self.graph = g = Graph()
        self.inputs: list[Tracer] = []  # tensor operands, in order
        self.scalars = 0
        self.n_ints = len(ints)
        self.operands = []
        for k, o in enumerate(operands):
            if len(o) == 1:
                self.operands.append(Number(g, N_INPUT, self.scalars, None, o[0]))
                self.scalars += 1
            else:
                self.operands.append(g.input(o, k))
                self.inputs.append(self.operands[-1])
        self.ints = [param(g, k, v) if k < 64 and symbolic >> k & 1 else v for k, v in enumerate(ints)]
        self.visible_outputs = self.run()
        self.visible = len(self.visible_outputs)
        self.hidden: list[Tracer] = []
        self.saves: list[tuple[bool, int]] = []
        self.programs: dict = {}
        self.ops: dict = {}
        if need:
            self.find_saves()
        self.forward = self.lower(self.outputs, self.inputs, guards=g.guards)

    def run(self) -> list[Tracer]:
        op = self.op
        if op.family == "composite":
            values = sig.decode(op.signature, self.operands, self.ints, DTYPES)
            out = op.function(*values)
            return list(out) if isinstance(out, (tuple, list)) else [out]
        return self.graph.record(op, self.operands, self.ints)

    @property
    def outputs(self):
        return self.visible_outputs + self.hidden

    def keepable(self, o):
        """Whether a backward may be given this output; else it makes it again from what made it.

        A rule names its output by asking for it, or because a part of the rule happens to be the same
        expression, as (x / y) / y in that of division; only in composites' rules is it the former always."""
        if is_constant(o):
            return False
        return self.given_by_hand or o.source is None or not o.source.op.made_again

    def lower(self, outputs, inputs, guards=()):
        return Lowering(inputs, self.scalars, self.n_ints).finish(outputs, guards)

    def wanted(self):
        """Inputs that need a gradient; from the 64th tensor on they share one bit."""
        return [t for k, t in self.tensors() if self.need & shared_bit(k) and t.dtype.is_floating_point]

    def tensors(self):
        """The tensor operands with their positions among all operands."""
        return [(k, o) for k, o in enumerate(self.operands) if isinstance(o, Tracer)]

    def derive(self, mask):
        """Gradients of the wanted inputs from the cotangents in `mask`: (cotangent tracers, gradient
        tracers)."""
        cotangents = [
            self.graph.companion(o, -1 - k) if mask & shared_bit(k) and o.dtype.is_floating_point else None
            for k, o in enumerate(self.outputs)
        ]
        finished = []
        for w, g in zip(self.wanted(), self.pull_back(cotangents)):
            finished.append(_zeros_like(w) if g is None else g)
        return [c for c in cotangents if c is not None], finished

    def pull_back(self, cotangents):
        """Gradients of the wanted inputs from a cotangent of each output (None: none arrives)."""
        if not self.given_by_hand:
            return vjp(self.outputs, cotangents, self.wanted())
        outputs, wanted, direct = self.outputs, self.wanted(), self.direct_outputs()
        gradients = [None] * len(wanted)
        if any(cotangents[k] is not None for k in direct):
            gradients = self.by_hand([cotangents[k] for k in direct])
        through = [k for k in range(len(outputs)) if k not in direct]
        if any(cotangents[k] is not None for k in through):
            more = vjp([outputs[k] for k in through], [cotangents[k] for k in through], wanted)
            gradients = [b if a is None else a if b is None else a + b for a, b in zip(gradients, more)]
        return gradients

    @property
    def given_by_hand(self) -> bool:
        """Whether the declaration gives a vjp of the whole, instead of being differentiated through."""
        return getattr(self.op, "custom_vjp", None) is not None and self.op.family == "composite"

    def direct_outputs(self):
        """Which outputs the vjp given by hand is of; what arrives at the others flows through the graph."""
        return range(self.visible)

    def by_hand(self, cotangents):
        """Gradients of the wanted inputs by the vjp given by hand."""
        return self.op.vjp_of_composite(self, cotangents)

    def push_forward(self, tangents):
        """Tangents of the visible outputs from those of the wanted inputs (None: zero)."""
        if not self.given_by_hand:
            known = {w: t for w, t in zip(self.wanted(), tangents) if t is not None}
            return jvp(self.graph, self.visible_outputs, known)
        places = [_placeholder(o) for o in self.visible_outputs]
        gradients = self.pull_back(places + [None] * len(self.hidden))
        return transposed(places, gradients, tangents)

    def names_of_inputs(self):
        """Torch's name of the parameter that each tensor input came in by."""
        names = ["self"] * len(self.inputs)
        signature = getattr(self.op, "signature", None)
        if signature is None:
            return names
        place = {t: k for k, t in enumerate(self.inputs)}
        values = sig.decode(signature, self.operands, self.ints, DTYPES)
        for p, value in zip(signature.parameters, values, strict=True):
            for v in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(v, Tracer) and v in place:
                    names[place[v]] = "self" if p.name == "input" else p.name
        return names

    def check_results(self):
        if getattr(self.op, "float_results", False):
            kind = self.visible_outputs[0].dtype
            if not kind.is_floating_point:
                raise GradError(
                    f"Autograd not support dtype: {kind._legacy.removesuffix('Tensor')}\n"
                    "Integers have no gradient: detach the tensor first, or ask for a float dtype."
                )

    def find_saves(self):
        """Chooses what the node keeps: inputs, outputs, and hidden outputs that are dear to compute again."""
        self.check_results()
        while True:
            known = set(self.inputs) | {o for o in self.outputs if self.keepable(o)}
            mask = 0
            for k, o in enumerate(self.outputs):
                mask |= shared_bit(k) if o.dtype.is_floating_point else 0
            _, gradients = self.derive(mask)
            # All outputs of an instruction that takes part: the order of elements that msort() drops, too.
            sources = {t.source for t in _reachable(self.outputs) if t.source is not None}
            forward = {o for i in sources for o in i.outputs}
            stop = known | {t for t in forward if t.source.op.dear}
            reads = element_reads(gradients, stop)
            fresh = [t for t in reads if t not in known]
            if not fresh:
                break
            self.hidden += sorted(fresh, key=lambda t: self.graph.instructions.index(t.source))
        given = set(self.inputs)
        names = self.names_of_inputs()
        # In torch's order, which hooks on saved values can see: inputs by their names, then outputs.
        for k in sorted(range(len(self.inputs)), key=lambda k: names[k]):
            if self.inputs[k] in reads:
                self.saves.append((False, k))
        for k, t in enumerate(self.outputs):
            if t in reads and t not in given:
                self.saves.append((True, k))

    def backward(self, mask):
        """The backward program: present cotangents, then inputs, then outputs -> gradients of the wanted
        inputs."""
        if mask not in self.programs:
            cotangents, gradients = self.derive(mask)
            self.programs[mask] = (cotangents, gradients)
        cotangents, gradients = self.programs[mask]
        given = set(self.inputs)
        outputs = [None if o in given or not self.keepable(o) else o for o in self.outputs]
        return self.lower(gradients, cotangents + self.inputs + outputs)

    def backward_op(self, mask):
        """The backward program as an op that is recorded in its turn."""
        if mask not in self.ops:
            self.ops[mask] = BackwardOp(self, mask)
        return self.ops[mask].handle


class BackwardOp:
    """A backward program as an op: traced again from the same rules whenever a symbolic key asks for it."""

    family = "composite"
    differentiable = True
    dear = True

    def __init__(self, trace: Trace, mask: int):
        self.trace, self.mask = trace, mask
        name = trace.op.name + "_backward"
        trace.backward(mask)
        node = node_names.of_backward(trace.op.node_name, trace.programs[mask][1])
        self.name, self.node_name = name, node
        self.handle = _core.register_op(name, node, "composite", 0, "", True, self)

    def make_trace(self, operands, ints, symbolic, need):
        return BackwardTrace(self, operands, ints, symbolic, need)


class BackwardTrace(Trace):
    """Replays the instructions of a backward program on fresh tracers, with every operand an input."""

    def run(self):
        outer = self.op.trace
        outer.backward(self.op.mask)
        cotangents, gradients = outer.programs[self.op.mask]
        given = cotangents + outer.inputs
        new = dict(zip(given, self.inputs))
        for old, tracer in zip(outer.outputs, self.inputs[len(given) :]):
            if old not in new and outer.keepable(old):
                new[old] = tracer
        return Replay(self, new).run(gradients)


class Replay:
    """Copies instructions of one graph into another."""

    def __init__(self, trace, new):
        self.trace, self.new = trace, new
        self.sizes: dict = {}  # copies of expressions

    def run(self, outputs, only_shapes=False):
        stack = list(reversed(outputs))
        while stack:
            t = stack[-1]
            if t in self.new:
                stack.pop()
                continue
            missing = [x for x in dependencies(t, self.sizes) if x not in self.new]
            if missing:
                stack.extend(missing)
                continue
            if t.source is None:
                if not only_shapes:
                    raise RuntimeError("a cotangent that was not given is asked for its elements")
                self.new[t] = self.new[t.like]
            else:
                self.new.update(zip(t.source.outputs, self.copy(t.source)))
            stack.pop()
        return [self.new[o] for o in outputs]

    def copy(self, i):
        operands = [self.operand(x) for x in i.operands]
        return self.trace.graph.record(i.op, operands, [self.integer(p) for p in i.ints])

    def guards(self, graph):
        """What held for the sizes of the original must hold for the copy."""
        for relation, a, b, answer in graph.guards:
            for e in (a, b):
                self.run(size_sources(e, self.sizes), only_shapes=True)
            self.trace.graph.guards.append((relation, self.integer(a), self.integer(b), answer))

    def operand(self, x):
        if isinstance(x, Tracer):
            return self.new[x]
        return self.number(x)

    def number(self, n):
        g = self.trace.graph
        if n.op == N_CONST:
            return g.number_of(n.value)
        if n.op == N_INPUT:
            return [o for o in self.trace.operands if isinstance(o, Number)][n.a]
        if n.op == N_SIZE:
            return g.number_of(self.integer(n.a))
        return Number(g, n.op, self.number(n.a), self.number(n.b), n.kind)

    def integer(self, e):
        return work_out(e, self.plain_integer, self.joined, self.sizes)

    def joined(self, kind, a, b):
        hint = FOLD[kind](*(x.hint if isinstance(x, Size) else x for x in (a, b)))
        return size(self.trace.graph, kind, a, b, hint)

    def plain_integer(self, e):
        if not isinstance(e, Size):
            return e
        return self.trace.ints[e.a] if e.kind == PARAM else self.size_of(e.kind, self.new[e.a], e.b)

    def size_of(self, kind, t, axis):
        return t.size(axis) if kind == SIZE else t.numel()


def _reachable(outputs):
    seen, stack = set(), list(outputs)
    while stack:
        t = stack.pop()
        if t in seen:
            continue
        seen.add(t)
        if t.source is not None:
            stack.extend(x for x in t.source.operands if isinstance(x, Tracer))
    return seen


def _zeros_like(t):
    return functions["_full_like"](t, 0)


def make_rule(declaration, operands, ints, symbolic, need):
    """Called by the native side at the first use of a symbolic key."""
    make = getattr(declaration, "make_trace", None)
    if make is not None:
        return make(operands, ints, symbolic, need)
    return Trace(declaration, operands, ints, symbolic, need)


_core.set_rule_maker(make_rule)
