"""Which transformations are open, and the layers that they put around tensors.

Batches (vmap) and tangents (forward mode) are layers around a tensor's value; the tape lies below all of
them. A scope of differentiation (grad, vjp) is no layer: it opens its inputs on the tape, as batched tensors
wherever a batch is open around it, so that no gradient sums over samples.
"""

from __future__ import annotations

import threading

from pullback import _core
from pullback.printing import level_repr

SCOPES = 31  # bits of a node's mask; bit 0 stands for ordinary leaves


# Bits that no open scope has, and those that are had, oldest first: of all threads, for a thread may be given
# tensors of the scope that it was started in.
_free = list(range(SCOPES, 0, -1))
_had: list[int] = []


class _Open(threading.local):
    def __init__(self):
        self.levels = []  # _core.Level, oldest first
        self.scopes = []  # bits
        self.forward = set()  # bits of those that stand in for forward mode
        self.order = []  # levels and bits, oldest first
        self.running = None  # the mask of the scope whose gradients are being worked out


_open = _Open()


def _close(entry):
    if _open.order[-1] is entry:
        _open.order.pop()
    else:
        _open.order[:] = [x for x in _open.order if x is not entry]


class level:
    """A batch of `size` samples, or a level of tangents, open for the block; `shown` in the text of
    tensors."""

    __slots__ = ("_opened", "_shown")

    def __init__(self, batch: bool, size: int = 0, shown: bool = True):
        self._opened, self._shown = (batch, size), shown

    def __enter__(self):
        self._opened = opened = _core.open_level(*self._opened)
        _open.levels.append(opened)
        if self._shown:
            _open.order.append(opened)
        return opened

    def __exit__(self, *error):
        self._opened.close()
        _open.levels.remove(self._opened)
        if self._shown:
            _close(self._opened)


class scope:
    """A scope of differentiation: gives its bit. Gradients are recorded inside, whatever the modes outside.
    With `forward`, it is one that the program knows as forward mode: what it computes has no gradients."""

    __slots__ = ("_before", "_bit", "_forward", "_inference", "_shared")

    def __init__(self, forward: bool = False):
        self._forward = forward

    def __enter__(self):
        own = _open.scopes
        try:
            bit = _free.pop()
        except IndexError:
            bit = 0
        self._shared = False
        if not bit or bit in own:
            bit, self._shared = _another_bit(bit)
        self._bit = bit
        own.append(bit)
        _had.append(bit)
        _open.order.append(bit)
        if self._forward:
            _open.forward.add(bit)
        self._before = _core.set_grad_enabled(True)
        self._inference = _core.is_inference_mode_enabled()
        if self._inference:
            _core.set_inference_mode(False)
        return 1 << bit

    def __exit__(self, *error):
        _core.set_grad_enabled(self._before)
        if self._inference:
            _core.set_inference_mode(True)
        _open.scopes.remove(self._bit)
        _had.remove(self._bit)
        if not self._shared:
            _free.append(self._bit)
        _open.forward.discard(self._bit)
        _close(self._bit)


def _another_bit(bit):
    """(a bit that this thread has not, whether another thread has it). Bits are shared where so many scopes
    are open in all threads that none is left. `bit` is one that was free, or 0."""
    own, in_use = _open.scopes, []
    while bit in own:  # of a scope that is closed, but was open at a moment that this thread is back in
        in_use.append(bit)
        bit = _free.pop() if _free else 0
    _free.extend(in_use)
    if bit:
        return bit, False
    bit = next((b for b in range(1, SCOPES + 1) if b not in own), None)
    if bit is None:
        raise RuntimeError(f"more than {SCOPES} transformations are nested\nUse fewer levels of grad or vjp.")
    return bit, True


def open_batches():
    """The open batch levels, oldest first."""
    return [x for x in _open.levels if x.is_batch]


def outer_scopes(bit) -> int:
    """The mask of ordinary leaves and of the open scopes other than `bit`. Bits of closed ones mean
    nothing."""
    mask = 1
    for b in _had:
        mask |= 1 << b
    return mask & ~bit


def innermost_scope(mask) -> int:
    """The newest open scope of a node's mask, as a mask; 0 for a node outside of all. Those of this thread
    are newer than those of others."""
    if not mask & ~1:
        return 0
    return next((1 << bit for bits in (_open.scopes, _had) for bit in bits[::-1] if mask >> bit & 1), 0)


def is_forward(scope) -> bool:
    """Whether a scope stands in for forward mode (linearize)."""
    return scope.bit_length() - 1 in _open.forward


class running:
    """For the block, the engine works out the gradients of this scope."""

    __slots__ = ("_before", "_scope")

    def __init__(self, scope):
        self._scope = scope

    def __enter__(self):
        self._before, _open.running = _open.running, self._scope

    def __exit__(self, *error):
        _open.running = self._before


def running_scope() -> int:
    """The scope whose gradients are being worked out: for a backward() inside a program, the newest."""
    if _open.running is not None:
        return _open.running
    return 1 << _open.scopes[-1] if _open.scopes else 0


def is_newer(level, scope) -> bool:
    """Whether a level was opened after a scope; not so for the levels of forward_ad, which are no
    transformations."""
    if level not in _open.order:
        return False
    return not scope or _open.order.index(level) > _open.order.index(scope.bit_length() - 1)


def has_scope_between(level, scope) -> bool:
    """Whether another scope was opened between a level and a scope, or may have been by hand."""
    if level not in _open.order:
        return True
    number = scope.bit_length() - 1
    end = _open.order.index(number) if number in _open.order else len(_open.order)
    return any(isinstance(x, int) for x in _open.order[_open.order.index(level) + 1 : end])


def is_newest(scope) -> bool:
    """Whether transformations by layers were opened inside a scope."""
    return bool(scope) and any(not isinstance(x, int) and is_newer(x, scope) for x in _open.order)


def batches_around(scope):
    """The batches in which a scope was opened, oldest first."""
    return tuple(x for x in open_batches() if not is_newer(x, scope))


def inside_transform() -> bool:
    return bool(_open.levels or _open.scopes)


def layers(t):
    """The newest layer: (level, value, tangent or None); None for a plain tensor."""
    return _core.top_layer(t)


def has_level(t, level) -> bool:
    """Whether t has a layer of this level."""
    top = layers(t)
    while top is not None and top[0].number > level.number:
        top = layers(top[1])
    return top is not None and top[0] == level


# The newest level of which any of several tensors has a layer; None where all are plain.
newest = _core.newest_level
# The levels of the layers of several tensors and of their tangents, oldest first.
of = _core.levels_of
# A tensor with the batch axis of a level in its place among its layers.
include = _core.include
# What lies below a tensor's layer of a level, under the same newer layers; None where it has no such layer.
below = _core.below
# The inverse: axis 0 of a tensor, below any newer layers, becomes the batch of a level.
insert = _core.insert


def is_plain(t) -> bool:
    return not _core.has_layers() or _core.top_layer(t) is None


def rewrap(level, value, tangent=None):
    return _core.add_batch(level, value) if level.is_batch else _core.add_tangent(level, value, tangent)


def _under(t, level):
    """(newer layer's level, value, tangent) if the newest layer of t is newer than `level`, else None."""
    top = layers(t)
    return top if top is not None and top[0].number > level.number else None


def remove(t, level):
    """t without the layer of `level`, if it has one: its batch axis in front, or its value."""
    value = below(t, level)
    return t if value is None else value


def seen(t, batches):
    """t, which lies on the tape, as the program inside these batches sees it."""
    for level in batches:
        t = insert(t, level)
    return t


def taken(t, batches):
    """The inverse of seen()."""
    for level in reversed(batches):
        t = remove(include(t, level), level)
    return t


def parts(t, level):
    """Value and tangent (or None) of a level of tangents, each below the same newer layers as t."""
    newer = _under(t, level)
    if newer is None:
        top = layers(t)
        return (t, None) if top is None or top[0] != level else (top[1], top[2])
    above, value, tangent = newer
    value, dot = parts(value, level)
    if above.is_batch:
        return rewrap(above, value), None if dot is None else rewrap(above, dot)
    tangent, tangent_dot = parts(tangent, level)
    if dot is None and tangent_dot is None:
        return rewrap(above, value, tangent), None
    dot = dot if dot is not None else value.new_zeros(value.shape)
    tangent_dot = tangent_dot if tangent_dot is not None else value.new_zeros(value.shape)
    return rewrap(above, value, tangent), rewrap(above, dot, tangent_dot)


def join(value, dot, level):
    """The inverse of parts."""
    if dot is None:
        return value
    tops = [top[0] for top in (layers(value), layers(dot)) if top is not None]
    newest = max((x for x in tops if x.number > level.number), key=lambda x: x.number, default=None)
    if newest is None:
        return _core.add_tangent(level, value, dot)
    if newest.is_batch:
        value, dot = (layers(include(x, newest))[1] for x in (value, dot))
        return rewrap(newest, join(value, dot, level))
    (v, v_dot), (d, d_dot) = parts(value, newest), parts(dot, newest)
    v_dot = v_dot if v_dot is not None else v.new_zeros(v.shape)
    return rewrap(newest, join(v, d, level), join(v_dot, d_dot, level))


def describe(t, show) -> str | None:
    """The text of a tensor inside transformations, each around the next; show(plain tensor) is the innermost.

    None for a tensor that no open transformation has touched.
    """
    text = None
    if _core.has_layers():
        shown = [id(x) for x in _open.order]
        by_hand = [x for x in _open.levels if id(x) not in shown and has_level(t, x)]
        if by_hand:  # forward_ad's: the tangent stands beside the elements
            value, tangent = parts(t, by_hand[0])
            return show(value, tangent=tangent)
    for number, entry in enumerate(_open.order, 1):
        if isinstance(entry, int):
            touched = _core.all_scopes((t,)) >> entry & 1
            name, fields = "GradTrackingTensor", {"lvl": number}
        elif has_level(t, entry):
            touched, name = True, "BatchedTensor" if entry.is_batch else "GradTrackingTensor"
            fields = {"lvl": number, "bdim": 0} if entry.is_batch else {"lvl": number}
        else:
            continue
        if touched:
            text = show(_core.innermost(t).detach()) if text is None else text
            text = level_repr(name, text, **fields)
    return text
