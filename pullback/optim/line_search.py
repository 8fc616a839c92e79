"""A step length that satisfies the strong Wolfe conditions (Nocedal & Wright, algorithms 3.5 and 3.6)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["strong_wolfe"]

DECREASE, CURVATURE, MOST_STEPS = 1e-4, 0.9, 25


class Point(NamedTuple):
    """A step length with the function's value, gradient and slope along the direction there."""

    t: object
    value: object
    gradient: object
    slope: object


def _minimum_of_cubic(a, b, bounds=None):
    """Where the cubic through two points' values and slopes is least, within bounds."""
    low, high = bounds if bounds is not None else ((a.t, b.t) if a.t <= b.t else (b.t, a.t))
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    if a.t <= b.t:
        t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    else:
        t = a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    return min(max(t, low), high)


class _Search:
    """One search: evaluates the function along a direction and counts how often."""

    def __init__(self, evaluate, direction, start):
        self.evaluate, self.direction, self.start = evaluate, direction, start
        self.evaluations = 0

    def at(self, t):
        value, gradient = self.evaluate(t)
        self.evaluations += 1
        return Point(t, value, gradient, gradient.dot(self.direction))

    def too_high(self, p):
        return p.value > self.start.value + DECREASE * p.t * self.start.slope

    def flat(self, p):
        return abs(p.slope) <= -CURVATURE * self.start.slope

    def bracket(self, t):
        """Two points with an acceptable one between them, or one that is acceptable; and steps taken."""
        before, here = self.start, self.at(t)
        for steps in range(MOST_STEPS):
            if self.too_high(here) or (steps > 1 and here.value >= before.value):
                return [before, here], steps
            if self.flat(here):
                return [here], steps
            if here.slope >= 0:
                return [before, here], steps
            bounds = (here.t + 0.01 * (here.t - before.t), here.t * 10)
            t = _minimum_of_cubic(before, here, bounds)
            before = here._replace(gradient=here.gradient.clone())
            here = self.at(t)
        return [self.start, here], MOST_STEPS

    def zoom(self, ends, steps, smallest):
        """The better end, after narrowing the bracket until that end is acceptable."""
        low, high = (0, 1) if ends[0].value <= ends[-1].value else (1, 0)
        slow = False
        while steps < MOST_STEPS and not abs(ends[1].t - ends[0].t) * self.direction.abs().max() < smallest:
            t, slow = self._inside(ends, slow)
            new = self.at(t)
            steps += 1
            if self.too_high(new) or new.value >= ends[low].value:
                ends[high] = new
                low, high = (0, 1) if ends[0].value <= ends[1].value else (1, 0)
                continue
            if self.flat(new):
                return new
            if new.slope * (ends[high].t - ends[low].t) >= 0:
                ends[high] = ends[low]
            ends[low] = new
        return ends[low]

    @staticmethod
    def _inside(ends, slow):
        """A length within the bracket: not twice in a row near the same end."""
        t = _minimum_of_cubic(*ends)
        first, last = min(e.t for e in ends), max(e.t for e in ends)
        margin = 0.1 * (last - first)
        if not min(last - t, t - first) < margin:
            return t, False
        if not (slow or t >= last or t <= first):
            return t, True
        return (last - margin if abs(t - last) < abs(t - first) else first + margin), False


def strong_wolfe(evaluate, direction, t, value, gradient, slope, smallest):
    """A Point whose length decreases the function enough and flattens it, and the number of evaluations.

    ``evaluate(t)`` gives value and gradient at a length; a bracket narrower than ``smallest`` is the end.
    """
    search = _Search(evaluate, direction, Point(0, value, gradient.clone(), slope))
    ends, steps = search.bracket(t)
    best = ends[0] if len(ends) == 1 else search.zoom(ends, steps, smallest)
    return best, search.evaluations
