"""Removing blocks and shrinking widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdsearch.architecture import Architecture
from kdsearch.edits.coupling import Group, groups
from kdsearch.edits.foreign import as_architecture
from kdsearch.edits.units import units
from kdsearch.errors import UserError

Spot = tuple[int, int]  # stage and block


def edit(
    architecture: Architecture,
    keep: Sequence[int] | None = None,
    ratio: Sequence[float] | None = None,
    step: int = 1,
) -> Architecture:
    """Remove blocks, then shrink what is left (Ashok et al., 2018, arXiv:1709.06030).

    Parameters
    ----------
    architecture : Architecture
        Of a family of ours, or one that converts to it (`as_architecture`).
    keep : sequence of int, optional
        1 or 0 for each of `units`; all stay by default.
    ratio : sequence of float, optional
        Above 0 and up to 1 for each of `groups`; nothing shrinks by default. Those of removed
        blocks mean nothing.
    step : int
        Shrunk widths are rounded to its multiples: at least one step, never above the old width.

    Raises
    ------
    UserError
        A list of the wrong length or with a value out of bounds, by the parameter's name.
    """
    own = as_architecture(architecture)
    gone = removed(own, keep)
    widths = _widths(own, ratio, step)
    return without(resized(own, dict(zip(groups(own), widths, strict=True))), gone)


def resized(architecture: Architecture, widths: Mapping[Group, int]) -> Architecture:
    """The architecture with other widths for its groups; all members of one change together."""
    for group, width in widths.items():
        for kind, stage, block in group.members:
            if kind == "stem":
                assert architecture.stem is not None
                stem = replace(architecture.stem, width=width)
                architecture = replace(architecture, stem=stem)
            elif kind == "inner":
                assert block is not None
                architecture = architecture.with_inner(stage, block, width)
            else:
                architecture = architecture.with_width(stage, width, block)
    return architecture


def removed(architecture: Architecture, keep: Sequence[int] | None) -> set[Spot]:
    """Where the blocks stand that a keep list takes away; errors as `edit`."""
    found = units(architecture)
    if keep is None:
        return set()
    if len(keep) != len(found):
        raise UserError("keep", _wrong_number(len(keep), len(found), "removable block", "[1, 0]"))
    for number, value in enumerate(keep):
        if isinstance(value, bool) or value not in (0, 1):
            fault = f"{value!r} is neither 1, the block stays, nor 0, it goes"
            raise UserError(f"keep[{number}]", fault)
    return {(u.stage, u.block) for u, stays in zip(found, keep, strict=True) if not stays}


def _widths(architecture: Architecture, ratio: Sequence[float] | None, step: int) -> list[int]:
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise UserError("step", f"{step!r} is not a whole number of at least 1")
    widths = [group.width for group in groups(architecture)]
    if ratio is None:
        return widths
    if len(ratio) != len(widths):
        choice = "[0.25, 0.5, 0.75, 1]"
        raise UserError("ratio", _wrong_number(len(ratio), len(widths), "coupling group", choice))
    for number, value in enumerate(ratio):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise UserError(f"ratio[{number}]", f"{value!r} is not a number above 0 and up to 1")
    return [_shrunk(width, value, step) for width, value in zip(widths, ratio, strict=True)]


def _shrunk(width: int, ratio: float, step: int) -> int:
    if ratio == 1:  # also where the width is no multiple of the step
        return width
    return min(width, max(step, round(ratio * width / step) * step))


def _wrong_number(given: int, wanted: int, what: str, choice: str) -> str:
    name = "keep" if "block" in what else "ratio"
    if wanted == 0:
        return f"has {given} entries, and the teacher has no {what}: leave {name} out"
    there = f"{wanted} {what}{'s' if wanted > 1 else ''}"
    remedy = f"write {name}: {{each: {wanted}, choice: {choice}}}"
    return f"has {given} entries; the teacher has {there}: {remedy}"


def without(architecture: Architecture, gone: set[Spot]) -> Architecture:
    """The architecture without these blocks; an mlp's are its stages."""
    if architecture.family == "mlp":
        left = [s for number, s in enumerate(architecture.stages) if (number, 0) not in gone]
        return replace(architecture, stages=tuple(left))
    for stage, block in sorted(gone, reverse=True):
        architecture = architecture.without_block(stage, block)
    return architecture
