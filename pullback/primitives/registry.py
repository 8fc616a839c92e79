"""Every op, its public names, and what the tests need to know about it. Lists are computed from here."""

from __future__ import annotations

from pullback import _core
from pullback.results import CAST
from pullback.trace import signature as sig
from pullback.trace import tracer

ops: dict[str, Op] = {}  # by internal name
FLOAT = (_core.float32, _core.float64)
INTEGER = (_core.uint8, _core.int32, _core.int64)
ANY = (_core.bool, *INTEGER, *FLOAT)

TYPING = {"same": 0, "float": 1, "compare": 2, "logical": 3, "where": 4, "cast": 5}


class Op:
    """A declaration. Families subclass it; `vjp` gives the cotangents of an instruction's operands."""

    family = "composite"
    visible = 1
    shape_only = False  # reads no elements of its operands, so that nothing is kept for it
    made_again = False  # its result is not kept, even where a derivative names it
    float_results = False  # whether it is refused where a gradient is needed and the result has none
    whole_out = (
        True  # whether floats are computed in the type of an `out` of whole numbers, where dtype is open
    )
    out = CAST  # what it demands of a tensor that takes its result (pullback/results.py); None: it takes none
    dear = True  # dear to compute again: rather saved for the way back than recomputed

    def __init__(
        self,
        signature,
        *,
        name=None,
        node=None,
        number_node="",
        divides=False,
        uniform=False,
        apart="part",
        check_call=None,
        differentiable=True,
        kernel=None,
        typing="same",
        outputs=1,
        samples=None,
        edges=None,
        tex=None,
        source=None,
        dtypes=FLOAT,
        out=None,
        doc=None,
    ):
        self.signature = sig.Signature(signature)
        self.name = name or self.signature.name
        if self.name in ops:
            raise ValueError(f"the op {self.name} is declared twice")
        self.node_name = (
            (node or camel(self.signature.name)) + "Backward0"
            if not (node or "").endswith("!")
            else node[:-1]
        )
        self.number_node_name = number_node  # where the second operand is a number, if it differs there
        self.divides, self.uniform = divides, uniform  # see native/program/op.h
        # What of the other operands' memory may be changed in place: as `apart` of pullback/results.py
        self.apart = apart
        if check_call is not None:  # looks at the arguments of every call from Python
            self.check_call = check_call
        self.differentiable = differentiable
        self.kernel = kernel or self.signature.name
        self.visible = outputs
        self.samples, self.edges, self.tex, self.source, self.dtypes = (
            samples,
            edges or {},
            tex,
            source,
            dtypes,
        )
        if out is not None:
            self.out = out or None
        self.doc = doc or ""
        self.handle = _core.register_op(
            self.name, self.node_name, self.family, TYPING[typing], self.kernel, differentiable, self
        )
        ops[self.name] = self
        tracer.ops_by_handle[self.handle] = self

    def parameters(self, instruction):
        """The instruction's arguments as the declaration's functions take them."""
        return sig.decode(self.signature, instruction.operands, instruction.ints, tracer.DTYPES)

    def vjp(self, instruction, gs, need):
        raise NotImplementedError(f"{self.name} has no derivative")

    def __repr__(self):
        return f"<op {self.name}: {self.family}>"


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.strip("_").split("_"))


def expose(name, *declarations, method=True, in_place=False, result=None, doc=None, function=True):
    """A public function of the package (and method of Tensor) for one op or several overloads."""
    pairs = [(d.signature.text, d.handle) for d in declarations]
    text = doc or next((d.doc for d in declarations if d.doc), "")
    f = _core.op_function(name, pairs, False, result, text)
    f.declarations = declarations
    f.takes_out = any(d.out is not None for d in declarations)
    tracer.functions[name] = f
    private = name.startswith("_")
    if method and not private:
        methods[name] = f
    if function and not private:
        public[name] = f
    if in_place:
        g = _core.op_function(name + "_", pairs, True, None, f"In-place form of {name}().")
        g.declarations = declarations
        methods[name + "_"] = g
        tracer.functions[name + "_"] = g
        if function:
            public[name + "_"] = g
    return f


def in_place_form(name, *declarations, function=True):
    """Exposes only name_(): where an op changed in place goes back by another way than the op itself."""
    pairs = [(d.signature.text, d.handle) for d in declarations]
    g = _core.op_function(name + "_", pairs, True, None, f"In-place form of {name}().")
    g.declarations = declarations
    tracer.functions[name + "_"] = g
    if name.startswith("_"):
        return
    methods[name + "_"] = g
    if function:
        public[name + "_"] = g


def expose_also(new, old):
    """A second name of a function and of its in-place form."""
    for end in ("", "_"):
        for table in (public, methods):
            g = table.get(old + end)
            if isinstance(g, _core.OpFunction):
                g = _core.renamed(g, new + end)
            if g is not None:
                table[new + end] = g


public: dict[str, object] = {}
methods: dict[str, object] = {}
