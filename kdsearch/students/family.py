"""What a family of networks is, and how the words of a student section are checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.students.layers import Layer
from kdsearch.students.outputs import OutputShapes

MOST_WIDTH = 65_536
MOST_BLOCKS = 1000  # of a stage


@dataclass(frozen=True, slots=True)
class Family:
    """One way to describe and build networks.

    Attributes
    ----------
    describe : callable
        ``(input, classes, **params) -> Architecture``. Its signature is the schema of the student
        section of a search file, `family` aside.
    build : callable
        ``(architecture) -> nn.Module``, freshly initialised from torch's global generator.
    shapes : callable
        ``(architecture, batch) -> OutputShapes``.
    layers : callable or None
        ``(architecture) -> layers``, all that cost anything; None for a foreign network, whose cost
        is counted on the meta device.
    """

    describe: Callable[..., Architecture]
    build: Callable[[Architecture], nn.Module]
    shapes: Callable[[Architecture, int], OutputShapes]
    layers: Callable[[Architecture], Iterable[Layer]] | None = None

    def check(self, name: str, params: dict[str, Any]) -> None:
        """Compare the given parameters with what `describe` takes.

        Raises
        ------
        UserError
            One that it does not take, or one that it needs and did not get.
        """
        own = list(inspect.signature(self.describe).parameters.values())[2:]
        takes = [p.name for p in own if p.kind is not p.VAR_KEYWORD]
        is_open = len(takes) < len(own)
        for given in params:
            if given in ("input", "classes") or (given not in takes and not is_open):
                known = nearest_first(given, takes)
                raise UserError(str(given), f"{name} takes no such key; it takes {known}")
        for p in own:
            if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.name not in params:
                raise UserError(p.name, f"missing; {name} takes {', '.join(takes)}")


def nearest_first(word: object, known: Iterable[str]) -> str:
    """The known names in one line, the most similar to `word` first."""

    def distance(name: str) -> float:
        return -SequenceMatcher(None, str(word), name).ratio()

    return ", ".join(sorted(known, key=distance))


def positive(name: str, value: object, most: int = MOST_WIDTH) -> int:
    """`value`, checked to be a whole number from 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UserError(name, f"{value!r} is not a whole number from 1 to {most}")
    return value


def positives(
    name: str, value: object, count: int | None = None, of: str = "", most: int = MOST_WIDTH
) -> tuple[int, ...]:
    """`value`, checked to be a list of whole numbers from 1 to `most`; else as `listed`."""
    values = listed(name, value, count, of)
    return tuple(positive(f"{name}[{i}]", v, most) for i, v in enumerate(values))


def listed(name: str, value: object, count: int | None = None, of: str = "") -> list[Any]:
    """`value`, checked to be a list.

    Parameters
    ----------
    name : str
        The key that holds the value.
    value : object
        Whatever the user wrote.
    count : int, optional
        How many entries there must be; at least one by default.
    of : str
        What there are `count` of, for the message.
    """
    if not isinstance(value, list | tuple) or not value:
        raise UserError(name, f"{value!r} is not a list of numbers, such as [16, 32, 64]")
    if count is not None and len(value) != count:
        raise UserError(name, f"has {len(value)} entries for {count} {of}; give one for each")
    return list(value)


def one_of(name: str, value: object, allowed: tuple[int, ...]) -> int:
    """`value`, checked to be one of a few numbers."""
    if isinstance(value, bool) or value not in allowed or not isinstance(value, int):
        raise UserError(name, f"{value!r} is not one of {', '.join(map(str, allowed))}")
    return value


def factor(name: str, value: object) -> float:
    """`value`, checked to be a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1000:
        raise UserError(name, f"{value!r} is not a number above 0 and below 1000")
    return value
