"""`SearchSpace`: names, domains and conditions of all choices."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any

from kdsearch.domains import Choice, Domain, Each, Float, Int, Scalar
from kdsearch.errors import UserError
from kdsearch.space.counting import count
from kdsearch.space.filling import Assignment, Choose, Filled, fill
from kdsearch.space.reader import parse
from kdsearch.space.walk import (
    Followed,
    Place,
    check_followed,
    children,
    follow,
    followed,
    longest,
    walk,
)

# Far above any search that a budget can pay for; what aliases and copies blow up ends here.
MOST_PLACES, MOST_HOLES, MOST_OPTIONS = 20_000, 500, 1000


class SearchSpace:
    """Names, domains and conditions of all choices; knows nothing of training.

    Parameters
    ----------
    tree : mapping
        A plain config with holes, as read from YAML or written in Python with the same words.

    Raises
    ------
    UserError
        A domain that is none: an empty choice, low above high, log of 0, an unknown modifier, an
        ``each`` that follows nothing; or a space too large to go through. The place is the path in
        the tree.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree: Any = parse(tree)
        self._counts: dict[str | None, float] = {}
        self._outers: dict[str, list[Followed]] = {}
        self._check()

    @cached_property
    def holes(self) -> dict[str, Domain]:
        """Every hole that any assignment can meet, by name, in the order of the file."""
        everything = walk(self.tree, Place())
        return {p.name: node for node, p in everything if isinstance(node, (Int, Float, Choice))}

    def fill(self, choose: Choose, section: str | None = None) -> Filled:
        """Fill the holes, in the order of the file, asking `choose(name, domain)` for each value.

        Parameters
        ----------
        choose : callable
        section : str, optional
            A top-level key: fill what is below it alone, and the numbers outside that its lists
            follow.

        Raises
        ------
        UserError
            A value outside its domain.
        """
        filled = Filled()
        if section is None:
            filled.plain = fill(self.tree, Place(), choose, filled)
        else:
            for outer in self._outer(section):
                fill(outer.node, outer.place, choose, filled)
            filled.plain = {section: fill(*self._root(section), choose, filled)}
        return filled

    def sample(self, rng: random.Random, section: str | None = None) -> Filled:
        """Fill every hole, of the whole space or of one section, at random."""
        return self.fill(lambda _, domain: domain.sample(rng), section)

    def apply(self, assignment: Mapping[str, Scalar]) -> Filled:
        """Fill the holes from an assignment.

        Raises
        ------
        UserError
            A hole without a value, a value outside its domain, or a name that is no hole of it.
        """

        def choose(name: str, _: Domain) -> Scalar:
            if name not in assignment:
                raise UserError(name, "the assignment gives no value for this hole")
            return assignment[name]

        filled = self.fill(choose)
        if extra := sorted(assignment.keys() - filled.assignment.keys()):
            raise UserError(extra[0], "no such hole in this space under these choices")
        return filled

    def cover(self, section: str | None = None) -> Iterator[Filled]:
        """Fills that meet every option of every choice, and the lowest and highest of every number.

        What holds for these at the boundary (types, bounds, wiring) holds for the space, as long
        as it is monotone in the numbers between.
        """
        node, place = self._root(section)
        met: set[tuple[tuple[str, Scalar], ...]] = set()
        for forced in ({}, *_forced(node, place, {})):
            for end in (0, -1):
                filled = self.fill(partial(_corner, forced=forced, end=end), section)
                key = tuple(filled.assignment.items())
                if key not in met:
                    met.add(key)
                    yield filled

    def every(self, section: str | None = None) -> Iterator[Filled]:
        """All fills of a finite space or section, each once.

        Raises
        ------
        ValueError
            A space with a continuum in it.
        """
        pending: list[Assignment] = [{}]
        while pending:
            fixed = pending.pop()
            branches: list[Assignment] = []

            def choose(
                name: str,
                domain: Domain,
                fixed: Assignment = fixed,
                branches: list[Assignment] = branches,
            ) -> Scalar:
                if name not in fixed:  # take the first value here, and come back for the others
                    first, *others = domain.grid
                    branches.extend({**fixed, name: value} for value in others)
                    fixed[name] = first
                return fixed[name]

            yield self.fill(choose, section)
            pending.extend(branches)

    def count(self, section: str | None = None) -> float:
        """The number of assignments, of the whole space or of one section.

        Infinity where a real number without a step is free.
        """
        if section is not None and section not in self.tree:
            return 1
        if section not in self._counts:
            self._counts[section] = count(*self._root(section))
        return self._counts[section]

    def _root(self, section: str | None) -> tuple[Any, Place]:
        if section is None:
            return self.tree, Place()
        return self.tree[section], Place().key(self.tree, section)

    def _outer(self, section: str) -> list[Followed]:
        if section not in self._outers:
            found = followed(*self._root(section))
            self._outers[section] = [f for f in found if not f.owner]
        return self._outers[section]

    def _check(self) -> None:
        holes = options = 0
        for places, (node, place) in enumerate(walk(self.tree, Place()), 1):
            holes += isinstance(node, (Int, Float, Choice))
            options += len(node.options) if isinstance(node, Choice) else 0
            if places > MOST_PLACES or holes > MOST_HOLES or options > MOST_OPTIONS:
                raise UserError(
                    place.source,
                    f"too large a space: more than {MOST_HOLES} holes, {MOST_OPTIONS} options or "
                    f"{MOST_PLACES} values up to here; leave some out",
                )
            if isinstance(node, Each) and isinstance(node.count, str):
                check_followed(node, place)
        self.count()


def _corner(name: str, domain: Domain, forced: Assignment, end: int) -> Scalar:
    return forced.get(name, domain.corners[end])


def _forced(node: Any, place: Place, path: Assignment) -> Iterator[Assignment]:
    """For every option of every choice, the values that lead to it."""
    if isinstance(node, Each) and isinstance(node.count, str):
        found = follow(node, place)
        if found is not None and found.is_hole:  # long enough for every copy
            path = {**path, found.place.name: longest(node, place)}
    for i, (child, inner) in enumerate(children(node, place)):
        here = path
        if isinstance(node, Choice):
            here = {**path, place.name: node.values[i]}
            yield here
        yield from _forced(child, inner, here)
