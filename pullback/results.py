"""`out=`: what an operation demands of the tensor that takes its result. Texts are PyTorch's."""

from __future__ import annotations

import functools
import warnings

from pullback import _core
from pullback.arguments import kind_name, put, require_no_gradient
from pullback.errors import DtypeError, InplaceError, ShapeError

Tensor = _core.Tensor


def same(result, out):
    """The result's own type."""
    return result == out


def castable(result, out):
    """A type of the result's kind, or of one that holds it: bool, whole numbers, floats."""
    return _rank(result) <= _rank(out)


def floating(result, out):
    """A type of floats."""
    return out.is_floating_point


def truth(result, out):
    """A type that torch's questions of all elements are answered in."""
    return out in (_core.bool, _core.uint8)


class Into:
    """What is declared beside an operation: which types `out` may have, and how others are refused.

    `text` may name the types: {Result} and {Out} as Float, {result} and {out} as float; and the operation,
    {name}. `apart` says what of the arguments' memory `out` may take: None anything, "part" all or nothing of
    a tensor, "all" nothing. `name` is what errors call the operation, where that is not its own name.
    With `early`, this one of several results is looked at before the others. With `recorded`, the result is
    copied as by copy_(), which gradients flow through. Without `derived` no gradient flows at all, and `out`
    may require one.
    """

    __slots__ = ("apart", "derived", "early", "error", "first", "name", "recorded", "takes", "text")

    def __init__(
        self,
        text,
        takes=same,
        error=DtypeError,
        *,
        apart=None,
        name=None,
        early=False,
        recorded=False,
        derived=True,
    ):
        self.text, self.takes, self.error, self.apart, self.name = text, takes, error, apart, name
        self.early, self.recorded, self.derived = early, recorded, derived
        self.first = None  # another demand, made before

    @property
    def writes_over(self):
        """Whether an operand may be what takes the result."""
        return self.apart == "part"

    @property
    def flows(self):
        """Whether the result is copied so that its gradient comes along: also where torch, which writes
        aten:: before the names of these, has no rule for it, and lets arguments that require one pass."""
        return self.recorded or (self.name or "").startswith("aten::")

    def but(self, *, apart=None, name=None):
        """The same for an operation that reads its arguments otherwise, or that errors name otherwise."""
        return Into(self.text, self.takes, self.error, apart=apart or self.apart, name=name or self.name)

    def after(self, first):
        """The same, where another demand is made before."""
        both = self.but()
        both.first = first
        return both

    def check_type(self, name, result, out):
        if self.first:
            self.first.check_type(name, result, out)
        if not self.takes(result, out):
            raise self.error(
                self.text.format(
                    name=name,
                    Result=result._legacy.removesuffix("Tensor"),
                    Out=out._legacy.removesuffix("Tensor"),
                    result=result._c_name,
                    out=out._c_name,
                    out_tensor=f"torch.{out._legacy}",
                    result_tensor=f"torch.{result._legacy}",
                )
            )

    def check_memory(self, out, given):
        if self.apart is None or not out.numel():
            return
        for t in given:
            if t is out and self.apart == "part":
                continue
            if _core.overlap(out, t) >= (1 if self.apart == "all" else 2):
                raise RuntimeError(
                    "unsupported operation: some elements of the input tensor and the written-to tensor "
                    "refer to a single memory location. Please clone() the tensor before performing the "
                    "operation."
                )


def require_castable(result, out):
    """Torch's error where a tensor that is changed by clamp() does not hold the result's type."""
    if not castable(result, out):
        raise DtypeError(
            f"result type {result._legacy.removesuffix('Tensor')} can't be cast to the desired output type "
            f"{out._c_name}\nAn in-place operation keeps its tensor's type; use the form that returns a new "
            "tensor."
        )


CAST = Into("result type {Result} can't be cast to the desired output type {Out}", castable, apart="part")
FREE = Into(CAST.text, castable)  # of reductions, which torch lets write over what they read
EXACT = Into("Expected out tensor to have dtype {result}, but got {out} instead")
FOUND = Into("Found dtype {Out} but expected {Result}", apart="part")
JOINED = Into(
    "torch.cat(): input types can't be cast to the desired output type {Out}",
    castable,
    TypeError,
    apart="all",
    name="cat",
)


def deliver(result, out, name, into=CAST, given=(), op=None, derived=True):
    """Puts an operation's result into the tensor that the caller gave as `out`, and returns that tensor.

    `op` is what errors of what happens then call the operation, if it was called by a second name.

    Nothing is written before all is known to fit."""
    if not isinstance(result, tuple):
        if isinstance(into, tuple):  # several results, of which the call asks for the first
            raise TypeError(f'{name}() missing 1 required positional arguments: "dim"')
        _check(result, out, name, into, given, op, derived and into.derived)
        return _copied(result, out) if into.flows and result.requires_grad else put(result, out)
    if not isinstance(out, (tuple, list)):
        raise TypeError(f"{name}(): argument 'out' must be tuple of Tensors, not {kind_name(out)}")
    if len(out) != len(result):
        raise TypeError(f"expected tuple of {len(result)} elements but got {len(out)}")
    rules = into if isinstance(into, tuple) else (into,) * len(out)
    in_turn = sorted(zip(result, out, rules, strict=True), key=lambda place: not place[2].early)
    for r, o, rule in in_turn:
        _check(r, o, name, rule, given, op)
    filled = [put(r, o) for r, o in zip(result, out, strict=True)]
    return tuple(filled) if type(result) is tuple else type(result)(filled)


def _check(result, out, name, into, given, op, derived=True):
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {kind_name(out)}")
    name = into.name or op or name
    if not into.flows:
        if derived:
            require_no_gradient(name, result, out)
    elif not into.recorded:
        require_no_gradient(name, result.detach(), out)
    elif out.requires_grad and out.is_leaf and _core.is_grad_enabled():
        raise InplaceError(
            "a leaf Variable that requires grad is being used in an in-place operation.\n"
            "Give another tensor as out, or call it under torch.no_grad()."
        )
    into.check_type(name, result.dtype, out.dtype)
    if tuple(out.shape) == tuple(result.shape):
        _core.check_no_internal_overlap(out)
        into.check_memory(out, given)
    elif into.apart == "all":
        into.check_memory(out, given)
    if tuple(out.shape) == tuple(result.shape):
        return
    if into.apart == "part" and any(t is out for t in given):
        raise ShapeError(
            f"output with shape {list(out.shape)} doesn't match the broadcast shape {list(result.shape)}\n"
            "The tensor is an argument too, and that keeps its shape; give another as out."
        )
    if out.numel():
        warn_of_shape(out.shape, result.shape)


def _copied(result, out):
    if tuple(out.shape) != tuple(result.shape):
        out.data = _core.empty(list(result.shape), out.dtype)
    return out.copy_(result)


def warn_of_shape(given, wanted):
    warnings.warn(
        f"An output with one or more elements was resized since it had shape {list(given)}, which "
        f"does not match the required output shape {list(wanted)}. This behavior is deprecated, "
        "and in a future PyTorch release outputs will not be resized unless they have zero elements. You "
        "can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with "
        "t.resize_(0).",
        UserWarning,
        stacklevel=5,
    )


def answer(result, out, name, into=CAST, given=()):
    """The result, or the tensor that the caller gave for it."""
    return result if out is None else deliver(result, out, name, into, given)


def tensors_of(args):
    """The tensors among a call's arguments, also those in lists."""
    for x in args:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, (tuple, list)):
            yield from (t for t in x if isinstance(t, Tensor))


def with_out(function, into=CAST):
    """The function with torch's `out=` beside its own arguments. `into` may depend on them: a function."""

    @functools.wraps(function)
    def call(*args, out=None, **named):
        try:
            result = function(*args, **named)
        except AttributeError:
            _explain(function, args)
            raise
        if out is None:
            return result
        rule = into if isinstance(into, (Into, tuple)) else into(*args, **named)
        return deliver(result, out, function.__name__, rule, tuple(tensors_of((*args, *named.values()))))

    return call


def of_op(result, out, name, declaration, args):
    """What native functions do with `out`; the declaration is that of the overload that was called."""
    given, op = tuple(tensors_of(args)), declaration.signature.name
    return deliver(result, out, name, declaration.out, given, op, declaration.differentiable)


_OF_TENSORS = frozenset(
    "input other self x y vec vec1 vec2 mat mat1 mat2 batch1 batch2 mask src boundaries".split()
)


def _explain(function, args):
    """A call failed, perhaps as an argument is no tensor: then with torch's words."""
    for position, (name, x) in enumerate(zip(function.__code__.co_varnames, args, strict=False), 1):
        if name in _OF_TENSORS and not isinstance(x, Tensor):
            raise TypeError(
                f"{function.__name__}(): argument '{name}' (position {position}) must be Tensor, "
                f"not {kind_name(x)}"
            ) from None


def _rank(dtype):
    return 2 if dtype.is_floating_point else (0 if dtype == _core.bool else 1)
