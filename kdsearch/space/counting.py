"""How many assignments a space has."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from kdsearch.domains import Choice, Each, Float, Int
from kdsearch.errors import UserError
from kdsearch.space.walk import Followed, Place, children, follow, followed

MOST_VISITS = 200_000  # of nodes: about a second


def count(node: Any, place: Place) -> float:
    """The number of assignments of the holes below a node.

    Products, sums over the options of a choice, and sums over the values of every number that
    gives a list its length. Infinity where a real number without a step is free.

    Raises
    ------
    UserError
        Lists that follow more numbers than can be gone through.
    """
    return _Count(node, place).result


class _Count:
    def __init__(self, node: Any, place: Place) -> None:
        self.place = place
        self.visits = 0
        self.fixed: dict[str, int] = {}
        self.followed: defaultdict[str, list[Followed]] = defaultdict(list)
        for target in followed(node, place):
            self.followed[target.owner].append(target)
        outer = self.followed[""] if place.name else ()
        self.result = self.summed(node, place, outer)

    def summed(self, node: Any, place: Place, over: Iterable[Followed]) -> float:
        """The sum of a node's counts over all values of the numbers that lists below follow."""
        names = [f.place.name for f in over]
        before, total = self.fixed, 0.0
        for lengths in itertools.product(*(f.lengths or () for f in over)):
            self.fixed = {**before, **dict(zip(names, lengths, strict=True))}
            total += self.of(node, place)
        self.fixed = before
        return total

    def of(self, node: Any, place: Place) -> float:
        """The count of a node, the numbers in `fixed` being what they are."""
        self.visits += 1
        if self.visits > MOST_VISITS:
            raise UserError(
                self.place.source,
                "lists here follow numbers of too many values to go through all combinations; "
                "narrow the numbers, or let fewer lists follow them",
            )
        here = self.followed[place.name] if isinstance(node, dict) else ()
        if new := [f for f in here if f.place.name not in self.fixed]:
            return self.summed(node, place, new)
        if isinstance(node, Each):
            copy = self.of(node.domain, place.copy(0))
            # A product, not a power: it goes to infinity where a power raises.
            return math.prod(itertools.repeat(copy, self.length(node, place)))
        if isinstance(node, (Int, Float, Choice)) and place.name in self.fixed:
            return 1.0
        if isinstance(node, (Int, Float)):
            return float(node.count)
        counts = (self.of(child, inner) for child, inner in children(node, place))
        return sum(counts) if isinstance(node, Choice) else math.prod(counts, start=1.0)

    def length(self, each: Each, place: Place) -> int:
        """How many holes an `Each` makes."""
        if isinstance(each.count, int):
            return each.count
        target = follow(each, place)
        assert target is not None  # checked when the space was made
        return self.fixed[target.place.name] if target.is_hole else target.node
