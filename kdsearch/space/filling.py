"""Filling the holes of a space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kdsearch.domains import Choice, Domain, Each, Float, Int, Scalar, describe
from kdsearch.errors import UserError
from kdsearch.space.walk import Place, follow

Assignment = dict[str, Scalar]
Choose = Callable[[str, Domain], Scalar]


@dataclass(slots=True)
class Filled:
    """A space with its holes filled.

    Attributes
    ----------
    plain : Any
        The plain config.
    assignment : dict of str to scalar
        The value of every hole that was met, in order.
    sources : dict of str to str
        Path in the plain config -> path in the search file, for errors.
    """

    plain: Any = None
    assignment: Assignment = field(default_factory=dict[str, Scalar])
    sources: dict[str, str] = field(default_factory=dict[str, str])


def fill(node: Any, place: Place, choose: Choose, out: Filled) -> Any:
    """The plain form of a node, its holes filled; what was chosen is written into `out`."""
    out.sources[place.plain] = place.source
    if isinstance(node, dict):
        return {key: fill(c, place.key(node, key), choose, out) for key, c in node.items()}
    if isinstance(node, list):
        return [fill(child, place.item(i), choose, out) for i, child in enumerate(node)]
    if isinstance(node, Each):
        copies = range(_length(node, place, choose, out))
        return [fill(node.domain, place.copy(i), choose, out) for i in copies]
    if not isinstance(node, (Int, Float, Choice)):
        return node
    if place.name not in out.assignment:
        value = choose(place.name, node)
        if not node.contains(value):
            raise UserError(place.name, f"{value!r} is outside {describe(node)}")
        out.assignment[place.name] = value
    value = out.assignment[place.name]
    if not isinstance(node, Choice):
        return value
    index = node.values.index(value)
    return fill(node.options[index], place.option(node, index), choose, out)


def _length(each: Each, place: Place, choose: Choose, out: Filled) -> int:
    if isinstance(each.count, int):
        return each.count
    found = follow(each, place)
    assert found is not None  # checked when the space was made
    return fill(found.node, found.place, choose, out)
