"""Walking a space: every node with its place, through every option and every copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kdsearch.domains import Choice, Each, Int
from kdsearch.errors import UserError
from kdsearch.space.reader import MOST_COPIES, join


class Place(NamedTuple):
    """Where a node stands.

    Attributes
    ----------
    name : str
        Path by which a hole is called: inside an option it carries the option's name.
    source : str
        Path in the search file.
    plain : str
        Path in the plain config.
    around : tuple of (dict, Place)
        The mappings that the node stands in, the outermost first.
    """

    name: str = ""
    source: str = ""
    plain: str = ""
    around: tuple[tuple[dict[str, Any], Place], ...] = ()

    def key(self, mapping: dict[str, Any], key: str) -> Place:
        """The place of a mapping's value."""
        name, source, plain = (join(path, key) for path in self[:3])
        return Place(name, source, plain, (*self.around, (mapping, self)))

    def item(self, index: int) -> Place:
        """The place of a list's item."""
        name, source, plain = (f"{path}[{index}]" for path in self[:3])
        return Place(name, source, plain, self.around)

    def copy(self, index: int) -> Place:
        """The place of one of the holes of an `Each`, which stand in the file once."""
        return Place(f"{self.name}[{index}]", self.source, f"{self.plain}[{index}]", self.around)

    def option(self, choice: Choice, index: int) -> Place:
        """The place of an option, which stands in the plain config where the choice did."""
        name = join(self.name, choice.names[index])
        return Place(name, f"{self.source}.choice[{index}]", self.plain, self.around)


class Followed(NamedTuple):
    """The number that gives a list its length.

    Attributes
    ----------
    node : Any
        An int or an int domain, if the file is right.
    place : Place
    owner : str
        Name of the mapping from which the number is named.
    """

    node: Any
    place: Place
    owner: str

    @property
    def lengths(self) -> Sequence[int] | None:
        """The values that it can have, in order; None where they are not whole numbers."""
        if isinstance(self.node, (Int, Choice)):
            return self.node.grid if self.node.dtype == "int64" else None  # type: ignore[return-value]
        whole = isinstance(self.node, int) and not isinstance(self.node, bool)
        return [self.node] if whole else None

    @property
    def is_hole(self) -> bool:
        """Whether the number is chosen."""
        return isinstance(self.node, (Int, Choice))


def follow(each: Each, place: Place) -> Followed | None:
    """What ``each: depth`` follows: the nearest key of that name around it, or a path to one."""
    assert isinstance(each.count, str)
    for mapping, owner in reversed(place.around):
        node, here = mapping, owner
        for key in each.count.split("."):
            if not isinstance(node, dict) or key not in node:
                break
            node, here = node[key], here.key(node, key)
        else:
            return Followed(node, here, owner.name)
    return None


def check_followed(each: Each, place: Place) -> None:
    """Raise a `UserError` unless ``each: depth`` follows a number of copies."""
    found = follow(each, place)
    lengths = None if found is None else found.lengths
    if lengths is None:
        raise UserError(
            place.source,
            f"each: {each.count!r} follows no whole number; name a key beside this one or around "
            "it, or the path of one, whose value is an int or an int domain",
        )
    if len(lengths) > MOST_COPIES or not all(1 <= n <= MOST_COPIES for n in lengths):
        raise UserError(
            place.source,
            f"each: {each.count!r} follows a number that must stay from 1 to {MOST_COPIES}",
        )


def followed(node: Any, place: Place) -> list[Followed]:
    """The holes that lists below a node follow, each once."""
    found: dict[str, Followed] = {}
    for each, where in walk(node, place):
        if isinstance(each, Each) and isinstance(each.count, str):
            target = follow(each, where)
            if target is not None and target.is_hole:
                found[target.place.name] = target
    return list(found.values())


def longest(each: Each, place: Place) -> int:
    """The most holes that an `Each` can make."""
    if isinstance(each.count, int):
        return each.count
    found = follow(each, place)
    assert found is not None and found.lengths  # checked when the space was made
    if isinstance(found.node, Int):
        return found.lengths[-1]
    return max(found.lengths)


def children(node: Any, place: Place) -> Iterator[tuple[Any, Place]]:
    """The nodes right below one: values, items, every option, every copy."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield child, place.key(node, key)
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield child, place.item(i)
    elif isinstance(node, Choice):
        for i, option in enumerate(node.options):
            yield option, place.option(node, i)
    elif isinstance(node, Each):
        for i in range(longest(node, place)):
            yield node.domain, place.copy(i)


def walk(node: Any, place: Place) -> Iterator[tuple[Any, Place]]:
    """A node and all below it, in the order of the file, each before what is below it."""
    yield node, place
    for child, inner in children(node, place):
        yield from walk(child, inner)
