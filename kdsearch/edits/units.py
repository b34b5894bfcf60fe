"""What an edit may remove."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdsearch.architecture import Architecture
from kdsearch.edits.foreign import as_architecture
from kdsearch.edits.placing import is_residual, placed, projects
from kdsearch.students.sites import Site


@dataclass(frozen=True, slots=True)
class Unit:
    """A block that may be removed, or must stay.

    Attributes
    ----------
    stage, block : int
        Where it stands.
    removable : bool
    why : str
        Why it must stay; empty where it may go.
    """

    stage: int
    block: int
    removable: bool = True
    why: str = ""


def units(architecture: Architecture) -> tuple[Unit, ...]:
    """The blocks that may be removed, from input to output: one entry of a keep list each.

    A residual block may go where it adds to the stream that it reads: the identity stays. A
    convolution of a chain, with its norm and ReLU, or a hidden layer of an mlp, may go where what
    follows does not grow by it. Every stage keeps a block, and an mlp its first layer.

    Raises
    ------
    UserError
        A network that no family of ours expresses.
    """
    return tuple(unit for unit in blocks(architecture) if unit.removable)


def blocks(architecture: Architecture) -> tuple[Unit, ...]:
    """All blocks, from input to output, and why some must stay; else as `units`."""
    own = as_architecture(architecture)
    found: list[Unit] = []
    for stage, row in enumerate(placed(own)):
        reasons = [_why(own, stage, block, site) for block, site in enumerate(row)]
        made = [Unit(stage, block, not why, why) for block, why in enumerate(reasons)]
        if own.family != "mlp" and all(unit.removable for unit in made):
            made[-1] = replace(made[-1], removable=False, why="the last of its stage")
        found += made
    return tuple(found)


def _why(architecture: Architecture, stage: int, block: int, site: Site) -> str:
    if is_residual(architecture):
        shaped = projects(architecture, stage, block, site)
        return "it changes the shape of its stream" if shaped else ""
    if stage == block == 0:
        return "it reads the image"
    if site.block.stride != 1:
        return "it changes the size of the map"
    return "what follows would grow" if site.inputs > site.outputs else ""
