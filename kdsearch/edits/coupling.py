"""Which widths are one number: all that shrink together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kdsearch.architecture import Architecture
from kdsearch.edits.foreign import as_architecture
from kdsearch.edits.placing import is_residual, placed, projects
from kdsearch.edits.units import units

Kind = Literal["stem", "stage", "inner", "chain"]


class Member(NamedTuple):
    """One place where an architecture writes a width.

    Attributes
    ----------
    kind : str
        ``stem``; ``stage``, a residual stream; ``inner``, inside a block; ``chain``, of one
        convolution or hidden layer.
    stage : int
        0 for a stem.
    block : int or None
        None where all blocks of the stage share it.
    """

    kind: Kind
    stage: int
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that are one space: they are kept or cut together, by one ratio.

    Attributes
    ----------
    kind, stage, block
        Of the member that names it: the first one, but a stage before the stem that it adds to.
    width : int
    members : tuple of Member
        All places where the width is written.
    """

    kind: Kind
    stage: int
    block: int | None
    width: int
    members: tuple[Member, ...]


def groups(architecture: Architecture) -> tuple[Group, ...]:
    """The coupling groups, from input to output: one entry of a ratio list each.

    A residual stream is one group, together with the stem or the stage before it where its first
    block adds to what those give. The inside of a block is one, but where depthwise convolutions
    work on the stream itself. In a chain every layer is one.

    Raises
    ------
    UserError
        A network that no family of ours expresses.
    """
    own = as_architecture(architecture)
    return tuple(_residual(own) if is_residual(own) else _chain(own))


def void(architecture: Architecture, keep: Sequence[int]) -> tuple[bool, ...]:
    """For every group, whether its ratio means nothing: all of it goes with removed blocks."""
    paired = zip(units(architecture), keep, strict=True)
    gone = {(unit.stage, unit.block) for unit, kept in paired if not kept}
    return tuple(
        all((member.stage, member.block) in gone for member in group.members)
        for group in groups(architecture)
    )


def _chain(architecture: Architecture) -> list[Group]:
    return [
        Group("chain", stage, block, site.outputs, (Member("chain", stage, block),))
        for stage, row in enumerate(placed(architecture))
        for block, site in enumerate(row)
    ]


def _residual(architecture: Architecture) -> list[Group]:
    rows = placed(architecture)
    stem = Member("stem", 0)
    spaces: list[list[Member]] = [[stem]]
    widths = [rows[0][0].inputs]
    stream = 0  # the place in `spaces` of what the next block reads
    for stage, row in enumerate(rows):
        own = Member("stage", stage)
        if projects(architecture, stage, 0, row[0]):
            spaces.append([own])
            widths.append(row[0].outputs)
            before, stream = stream, len(spaces) - 1
        else:
            spaces[stream].append(own)
            before = stream
        for block, site in enumerate(row):
            inner = Member("inner", stage, block)
            reads = before if block == 0 else stream
            # An inverted block that widens nothing works on the very channels that it reads.
            if architecture.family == "mobilenet" and site.inner == site.inputs:
                spaces[reads].append(inner)
            else:
                spaces.append([inner])
                widths.append(site.inner)
    return [_named(members, width) for members, width in zip(spaces, widths, strict=True)]


def _named(members: list[Member], width: int) -> Group:
    name = next((m for m in members if m.kind == "stage"), members[0])
    return Group(name.kind, name.stage, name.block, width, tuple(members))
