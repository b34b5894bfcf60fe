"""A log as files that never change: each holds some of its bytes, which its name says.

Files of an object store cannot be appended to. A name says where the bytes begin and end in the
log, and whose they are: every run that writes has a generation, one more than the last. What a
later generation begins with is where the earlier one ends, whatever a writer that was taken for
dead may still have put there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FAN = 16  # so many segments of one level are made one of the next
FORM = re.compile(r"([0-9]{6})-([0-9a-f]{8})-([0-9]{14})-([0-9]{14})\.jsonl")


class GapError(ValueError):
    """Segments that make no log."""


@dataclass(frozen=True, order=True)
class Segment:
    """Bytes `start` to `end` of a log, as a generation has them."""

    generation: int
    writer: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.generation:06}-{self.writer}-{self.start:014}-{self.end:014}.jsonl"


def read_name(name: str) -> Segment | None:
    """The segment of a file's name; None where it is none."""
    if (found := FORM.fullmatch(name)) is None:
        return None
    segment = Segment(int(found[1]), found[2], int(found[3]), int(found[4]))
    return segment if segment.start < segment.end else None


@dataclass(frozen=True)
class Part:
    """The bytes up to `end` of a segment, from `start` on: places in the log."""

    segment: Segment
    start: int
    end: int


def chain(segments: Iterable[Segment]) -> list[Part]:
    """The parts that make up the log, in order.

    Raises
    ------
    GapError
        Bytes are missing, or two writers share a generation.
    """
    generations: dict[int, list[Segment]] = {}
    for segment in segments:
        generations.setdefault(segment.generation, []).append(segment)
    parts: list[Part] = []
    limit = math.inf  # where the later generation begins
    for number in sorted(generations, reverse=True):
        own = generations[number]
        if len({segment.writer for segment in own}) > 1:
            raise GapError(f"two writers were here at once (generation {number})")
        if min(segment.start for segment in own) < limit:
            parts = _within(own, limit) + parts
            limit = parts[0].start
    if limit not in (0, math.inf):
        raise GapError(f"bytes 0 to {limit} are missing")
    return parts


def _within(own: Sequence[Segment], limit: float) -> list[Part]:
    """The parts of one generation, from where it begins to `limit`."""
    place, last = min(segment.start for segment in own), max(segment.end for segment in own)
    parts: list[Part] = []
    while place < limit:
        best = max((s for s in own if s.start <= place < s.end), key=lambda s: s.end, default=None)
        if best is None:
            break
        end = best.end if best.end < limit else int(limit)
        parts.append(Part(best, place, end))
        place = end
    missing = min(limit, last) if limit == math.inf else limit
    if place < missing:
        raise GapError(f"bytes {place} to {int(missing)} are missing")
    return parts


@dataclass
class Tail:
    """The segments that a writer has put, and which of them may be made one.

    Every byte is put again once a level, so that a long log is a few files at any moment.
    """

    levels: list[tuple[int, Segment]]

    def add(self, segment: Segment) -> None:
        """One more, at the end."""
        self.levels.append((0, segment))

    def mergeable(self) -> list[Segment]:
        """The last segments of one level, where they are enough."""
        last = self.levels[-FAN:]
        same = len(last) == FAN and len({level for level, _ in last}) == 1
        return [segment for _, segment in last] if same else []

    def merged(self, into: Segment) -> None:
        """The last ones are one segment now."""
        level = self.levels[-1][0] + 1
        self.levels[-FAN:] = [(level, into)]
