"""A child that differs from its parent in a few holes."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from kdsearch.domains import Choice, Domain, Float, Int, Scalar
from kdsearch.space import Assignment, SearchSpace

SPREAD = 0.2  # standard deviation of a step, as a share of the range


def mutate(
    space: SearchSpace, parent: Mapping[str, Scalar], holes: int, rng: random.Random
) -> Assignment:
    """The parent's assignment with other values in some of its holes.

    Holes to which the new values lead, and which the parent had not met, are filled at random;
    those to which they no longer lead are gone.

    Parameters
    ----------
    holes : int
        How many of the parent's holes change; all, where it has no more. Holes with one value
        alone never do.
    """
    known = {n: v for n, v in parent.items() if n in space.holes and space.holes[n].contains(v)}
    free = [name for name in known if space.holes[name].count > 1]
    changed = set(rng.sample(free, min(holes, len(free))))

    def choose(name: str, domain: Domain) -> Scalar:
        if name in changed:
            return neighbour(domain, known[name], rng)
        return known[name] if name in known else domain.sample(rng)

    return space.fill(choose).assignment


def neighbour(domain: Domain, value: Scalar, rng: random.Random) -> Scalar:
    """Another value of a domain with more than one: near by in numbers, any option of a choice."""
    if isinstance(domain, Choice):
        return rng.choice([option for option in domain.values if option != value])
    at = _place(domain, float(value))
    for _ in range(8):  # a step may be too small to leave the value, or end beyond the range
        moved = at + rng.gauss(0, SPREAD)
        if 0 <= moved <= 1 and (other := _value(domain, moved)) != value:
            return other
    while (other := domain.sample(rng)) == value:
        pass
    return other


def _place(domain: Int | Float, value: float) -> float:
    """Where in its range a number lies, from 0 to 1; in the log if the domain is."""
    low, high = _ends(domain)
    return ((math.log(value) if domain.log else value) - low) / (high - low)


def _value(domain: Int | Float, place: float) -> Scalar:
    low, high = _ends(domain)
    number = low + place * (high - low)
    number = math.exp(number) if domain.log else number
    if isinstance(domain, Int):
        steps = round((number - domain.low) / domain.step)
        first, last = domain.corners
        return min(max(domain.low + steps * domain.step, int(first)), int(last))
    first, last = (float(corner) for corner in domain.corners)
    return min(max(domain.nearest(number), first), last)


def _ends(domain: Int | Float) -> tuple[float, float]:
    low, high = (float(corner) for corner in domain.corners)
    return (math.log(low), math.log(high)) if domain.log else (low, high)
