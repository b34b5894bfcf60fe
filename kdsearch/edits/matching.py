"""What an edited architecture was edited from: which blocks are left, and how wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kdsearch.architecture import Architecture, Block
from kdsearch.edits.coupling import Group, Member, groups
from kdsearch.edits.editing import Spot, removed, resized, without
from kdsearch.edits.foreign import as_architecture
from kdsearch.edits.units import Unit, blocks


def keep_of(student: Architecture, teacher: Architecture) -> tuple[int, ...] | None:
    """A keep list that leads from the teacher to the student under some widths; None if none does.

    Of blocks alike the earlier ones stay.
    """
    own = as_architecture(teacher)
    if (student.family, student.input, student.classes) != (own.family, own.input, own.classes):
        return None
    keep: list[int] = []
    for theirs, left in _rows(own, student):
        found = _matched(theirs, left)
        if found is None:
            return None
        keep += found
    return tuple(keep) if _same_but_widths(student, own, keep) else None


def kept_spots(teacher: Architecture, keep: Sequence[int] | None) -> list[Spot]:
    """Where the blocks stand that a keep list leaves, from input to output."""
    own = as_architecture(teacher)
    gone = removed(own, keep)
    return [(u.stage, u.block) for u in blocks(own) if (u.stage, u.block) not in gone]


def widths_in(
    student: Architecture, teacher: Architecture, keep: Sequence[int] | None
) -> dict[Group, int]:
    """The student's width of every group of the teacher that is left; a removed one has its own."""
    own = as_architecture(teacher)
    spots = dict(zip(kept_spots(own, keep), _spots(student), strict=True))

    def read(member: Member) -> int | None:
        if member.kind == "stem":
            return student.stem.width if student.stem else None
        if member.kind == "stage":
            return student.stages[member.stage].width
        assert member.block is not None
        if (spot := spots.get((member.stage, member.block))) is None:
            return None
        stage = student.stages[spot[0]]
        return stage.blocks[spot[1]].inner if member.kind == "inner" else stage.width_of(spot[1])

    return {
        group: next((w for w in map(read, group.members) if w is not None), group.width)
        for group in groups(own)
    }


def _spots(architecture: Architecture) -> list[Spot]:
    stages = enumerate(architecture.stages)
    return [(number, block) for number, s in stages for block in range(len(s.blocks))]


class _Shape(NamedTuple):
    block: Block
    tied: bool  # whether the inner channels are those of the stream


def _shapes(architecture: Architecture) -> dict[Spot, _Shape]:
    found = groups(architecture)
    tied = {m[1:] for g in found for m in g.members if m.kind == "inner" and g.kind != "inner"}
    spots = _spots(architecture)
    return {(s, b): _Shape(architecture.stages[s].blocks[b], (s, b) in tied) for s, b in spots}


def _rows(
    teacher: Architecture, student: Architecture
) -> Iterator[tuple[list[tuple[Unit, _Shape]], list[_Shape]]]:
    """What is matched with what: stage with stage, but an mlp's layers all at once."""
    large, small = _shapes(teacher), _shapes(student)
    flat = [(unit, large[unit.stage, unit.block]) for unit in blocks(teacher)]
    if teacher.family == "mlp":
        yield flat, list(small.values())
        return
    for number in range(max(len(teacher.stages), len(student.stages))):
        theirs = [pair for pair in flat if pair[0].stage == number]
        yield theirs, [shape for (stage, _), shape in small.items() if stage == number]


def _matched(theirs: list[tuple[Unit, _Shape]], left: list[_Shape]) -> list[int] | None:
    """Which removable blocks stay so that the others are the ones left; None if none do."""
    count = len(left)
    ends = [[False] * count + [True]]  # from the end: whether so many used leads to the end
    for unit, block in reversed(theirs):
        after = ends[-1]
        row = [
            (used < count and after[used + 1] and _fits(left[used], block))
            or (unit.removable and after[used])
            for used in range(count + 1)
        ]
        ends.append(row)
    if not ends.pop()[0]:
        return None
    keep: list[int] = []
    used = 0
    for unit, block in theirs:
        after = ends.pop()
        stays = used < count and after[used + 1] and _fits(left[used], block)
        used += stays
        if unit.removable:
            keep.append(int(stays))
    return keep


def _fits(left: _Shape, origin: _Shape) -> bool:
    small, large = left.block, origin.block
    same = (small.kind, small.kernel, small.stride) == (large.kind, large.kernel, large.stride)
    sizes = ((small.width, large.width), (small.inner, large.inner))
    smaller = all((a or 0) <= (b or 0) and (a is None) == (b is None) for a, b in sizes)
    return same and smaller and (left.tied or not origin.tied)


def _same_but_widths(student: Architecture, teacher: Architecture, keep: list[int]) -> bool:
    widths = widths_in(student, teacher, keep)
    shrunk = all(width <= group.width for group, width in widths.items())
    return shrunk and without(resized(teacher, widths), removed(teacher, keep)) == student
