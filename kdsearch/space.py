"""The space language: a plain config in which a domain may stand wherever a value may stand.

Three domains, one recursion: ``{int: [1, 3]}``, ``{float: [0.01, 0.5], log: true}`` and
``{choice: [a, b]}``; ``each: 3`` (or ``each: depth``, which follows another hole) makes a list of
independent holes. An option of a choice may hold holes of its own. A hole is named by its path;
inside an option the path carries the option's name: ``losses[1].at.weight``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kdsearch.domains import Choice, Domain, Each, Float, Int, Scalar, describe, holds, join, parse
from kdsearch.errors import UserError

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
        ``each`` that follows nothing. The place is the path in the tree.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree: Any = parse(tree)
        self._check_each(self.tree, "", "", {})

    @cached_property
    def holes(self) -> dict[str, Domain]:
        """Every hole that any assignment can meet, by name, in the order of the file."""
        found: dict[str, Domain] = {}
        for name, domain in self._enumerate(self.tree, "", ""):
            found.setdefault(name, domain)
        return found

    def fill(self, choose: Choose) -> Filled:
        """Fill the holes, in the order of the file, asking `choose(name, domain)` for each value.

        Raises
        ------
        UserError
            A value outside its domain.
        """
        filled = Filled()
        filled.plain = self._fill(self.tree, "", "", "", choose, filled)
        return filled

    def sample(self, rng: random.Random) -> Filled:
        """Fill every hole at random."""
        return self.fill(lambda _, domain: domain.sample(rng))

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

    def cover(self) -> Iterator[Filled]:
        """Fills that meet every option of every choice, and the lowest and highest of every number.

        What holds for these at the boundary (types, bounds, wiring) holds for the space, as long
        as it is monotone in the numbers between.
        """
        for corner in (0, -1):
            yield self.fill(lambda _, domain, end=corner: domain.corners[end])
        for forced in self._options(self.tree, "", "", {}):
            for corner in (0, -1):
                yield self.fill(
                    lambda name, domain, force=forced, end=corner: force.get(
                        name, domain.corners[end]
                    )
                )

    def every(self) -> Iterator[Filled]:
        """All fills of a finite space, each once.

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
                    branches.extend({**fixed, name: value} for value in domain.grid[1:])
                    fixed[name] = domain.grid[0]
                return fixed[name]

            yield self.fill(choose)
            pending.extend(branches)

    def count(self, section: str | None = None) -> float:
        """The number of assignments, of the whole space or of one top-level section.

        Infinity where a real number without a step is free.
        """
        node = self.tree if section is None else self.tree.get(section)
        return self._count(node, section or "", {})

    # The recursions. Each carries the name of the hole; `_fill` carries the path in the file and
    # the path in the plain config beside it, so that an error can name the line a user wrote.

    def _fill(
        self, node: Any, name: str, source: str, plain: str, choose: Choose, out: Filled
    ) -> Any:
        out.sources[plain] = source
        if isinstance(node, dict):
            return {
                key: self._fill(
                    child, join(name, key), join(source, key), join(plain, key), choose, out
                )
                for key, child in node.items()
            }
        if isinstance(node, list):
            return [
                self._fill(child, f"{name}[{i}]", f"{source}[{i}]", f"{plain}[{i}]", choose, out)
                for i, child in enumerate(node)
            ]
        if isinstance(node, Each):
            count = self._follow(node, name, source, plain, choose, out)
            return [
                self._fill(node.domain, f"{name}[{i}]", source, f"{plain}[{i}]", choose, out)
                for i in range(count)
            ]
        if not isinstance(node, (Int, Float, Choice)):
            return node
        if name not in out.assignment:
            value = choose(name, node)
            if not node.contains(value):
                raise UserError(name, f"{value!r} is outside {describe(node)}")
            out.assignment[name] = value
        value = out.assignment[name]
        if not isinstance(node, Choice):
            return value
        index = node.values.index(value)
        inner = join(name, node.names[index])
        return self._fill(
            node.options[index], inner, f"{source}.choice[{index}]", plain, choose, out
        )

    def _follow(
        self, each: Each, name: str, source: str, plain: str, choose: Choose, out: Filled
    ) -> int:
        if isinstance(each.count, int):
            return each.count
        sibling = _parent(name)
        node = self._at(join(sibling, each.count))
        if node is not None:
            path = (_parent(source), _parent(plain))
            return self._fill(
                node,
                join(sibling, each.count),
                join(path[0], each.count),
                join(path[1], each.count),
                choose,
                out,
            )
        return self._fill(self._at(each.count), each.count, each.count, each.count, choose, out)

    def _at(self, name: str) -> Any:
        """The node at a hole's name, through the names of options; None where there is none."""
        return self._nodes.get(name)

    @cached_property
    def _nodes(self) -> dict[str, Any]:
        nodes: dict[str, Any] = {}

        def visit(node: Any, name: str) -> None:
            nodes[name] = node
            if isinstance(node, dict):
                for key, child in node.items():
                    visit(child, join(name, key))
            elif isinstance(node, list):
                for i, child in enumerate(node):
                    visit(child, f"{name}[{i}]")
            elif isinstance(node, Choice):
                for option, label in zip(node.options, node.names, strict=True):
                    visit(option, join(name, label)) if holds(option) else None

        visit(self.tree, "")
        return nodes

    def _check_each(self, node: Any, name: str, source: str, _: Any) -> None:
        for child, child_name, child_source in _children(node, name, source):
            self._check_each(child, child_name, child_source, _)
        if isinstance(node, Each) and isinstance(node.count, str):
            target = self._at(join(_parent(name), node.count)) or self._at(node.count)
            whole = isinstance(target, int) or (
                isinstance(target, (Int, Choice)) and target.dtype == "int64"
            )
            if not whole or isinstance(target, bool):
                raise UserError(
                    source,
                    f"each: {node.count!r} follows no whole number; name a key beside this one, or "
                    "the full path of one, whose value is an int or an int domain",
                )

    def _enumerate(self, node: Any, name: str, source: str) -> Iterator[tuple[str, Domain]]:
        if isinstance(node, Each):
            for i in range(self._most(node, name)):
                yield from self._enumerate(node.domain, f"{name}[{i}]", source)
            return
        if isinstance(node, (Int, Float, Choice)):
            yield name, node
        for child, child_name, child_source in _children(node, name, source):
            yield from self._enumerate(child, child_name, child_source)

    def _most(self, each: Each, name: str) -> int:
        if isinstance(each.count, int):
            return each.count
        target = self._at(join(_parent(name), each.count)) or self._at(each.count)
        return max(_values(target))

    def _options(self, node: Any, name: str, source: str, path: Assignment) -> Iterator[Assignment]:
        """For every option of every choice, the choices that lead to it."""
        if isinstance(node, Each):
            if isinstance(node.domain, Choice):
                for i in range(self._most(node, name)):
                    yield from self._options(node.domain, f"{name}[{i}]", source, path)
        elif isinstance(node, Choice):
            for option, value, label in zip(node.options, node.values, node.names, strict=True):
                here = {**path, name: value}
                yield here
                yield from self._options(option, join(name, label), source, here)
        else:
            for child, child_name, child_source in _children(node, name, source):
                yield from self._options(child, child_name, child_source, path)

    def _count(self, node: Any, name: str, fixed: dict[str, int]) -> float:
        if isinstance(node, dict):
            targets = [t for t in self._followed(node, name) if t not in fixed]
            if targets:  # a list as long as another hole says: sum over that hole's values
                return sum(
                    self._count(node, name, {**fixed, targets[0]: value})
                    for value in _values(self._at(targets[0]))
                )
            return math.prod(self._count(c, join(name, k), fixed) for k, c in node.items())
        if isinstance(node, list):
            return math.prod(self._count(c, f"{name}[{i}]", fixed) for i, c in enumerate(node))
        if isinstance(node, Each):
            length = node.count
            if isinstance(length, str):
                sibling = join(_parent(name), length)
                length = fixed.get(sibling, fixed.get(length, self._most(node, name)))
            return self._count(node.domain, f"{name}[0]", fixed) ** length
        if name in fixed:
            return 1
        if isinstance(node, Choice):
            pairs = zip(node.options, node.names, strict=True)
            return sum(self._count(option, join(name, label), fixed) for option, label in pairs)
        return node.count if isinstance(node, (Int, Float)) else 1

    def _followed(self, node: dict[str, Any], name: str) -> list[str]:
        """Names of the holes whose value is the length of a list inside this mapping."""
        found: list[str] = []
        for key, child in node.items():
            if isinstance(child, Each) and isinstance(child.count, str):
                sibling = join(name, child.count)
                found.append(sibling if self._at(sibling) is not None else child.count)
            if name == "" and isinstance(child, dict):
                found += [t for t in self._followed(child, key) if not t.startswith(f"{key}.")]
        return found


def _children(node: Any, name: str, source: str) -> list[tuple[Any, str, str]]:
    if isinstance(node, dict):
        return [(c, join(name, k), join(source, k)) for k, c in node.items()]
    if isinstance(node, list):
        return [(c, f"{name}[{i}]", f"{source}[{i}]") for i, c in enumerate(node)]
    if isinstance(node, Choice):
        pairs = enumerate(zip(node.options, node.names, strict=True))
        return [(o, join(name, n), f"{source}.choice[{i}]") for i, (o, n) in pairs]
    return []


def _values(target: Any) -> Sequence[Any]:
    return target.grid if isinstance(target, (Int, Choice)) else [target]


def _parent(path: str) -> str:
    return path.rpartition(".")[0]
