"""A moment of a program inside transformations, for what is to be run once more when they are closed."""

from __future__ import annotations

from contextlib import contextmanager

from pullback.func import levels
from pullback.func.vmap import _state


def _copied(entries):
    return {name: x.copy() if isinstance(x, (list, set)) else x for name, x in entries.items()}


class Moment:
    """What is open in a thread, by the states of its transformations."""

    def __init__(self, *states):
        self.then = [_copied(vars(state)) for state in states]
        self.levels = list(states[0].levels)

    @contextmanager
    def again(self):
        """For the block it is as it was then: the levels that were closed since are open."""
        here = [vars(levels._open), vars(_state)]
        before = [dict(state) for state in here]
        closed = [level for level in self.levels if not level.is_open]
        left = [bit for bit in self.then[0]["scopes"] if bit not in levels._had]
        levels._had.extend(left)
        for state, then in zip(here, self.then):
            state.update(_copied(then))
        for level in closed:
            level.reopen()
        try:
            yield
        finally:
            for level in closed:
                level.close()
            for bit in left:
                levels._had.remove(bit)
            for state, now in zip(here, before):
                state.update(now)


_OUTSIDE = Moment(type(levels._open)(), type(_state)())


def now():
    """The moment of this call."""
    return Moment(levels._open, _state) if levels.inside_transform() else _OUTSIDE
