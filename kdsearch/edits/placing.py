"""Where the blocks of an architecture of ours stand, whatever its family."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from kdsearch.architecture import Architecture
from kdsearch.students import convnet, mobilenet, resnet, wide_resnet
from kdsearch.students.sites import Site, sites

RESIDUAL = {"resnet": resnet.KIND, "wide_resnet": wide_resnet.KIND, "mobilenet": mobilenet.KIND}


def is_residual(architecture: Architecture) -> bool:
    """Whether the blocks are branches beside a stream."""
    return architecture.family in RESIDUAL


def placed(architecture: Architecture) -> list[list[Site]]:
    """The blocks of every stage, each in its place; of an mlp too, whose maps are single pixels."""
    if architecture.family == "mlp":
        widths = [prod(architecture.input), *(stage.out_width for stage in architecture.stages)]
        steps = zip(architecture.stages, pairwise(widths), strict=True)
        return [[Site(stage.blocks[0], i, o, (1, 1), (1, 1))] for stage, (i, o) in steps]
    if is_residual(architecture):
        return sites(architecture, RESIDUAL[architecture.family])
    return convnet.placed(architecture)


def projects(architecture: Architecture, stage: int, block: int, site: Site) -> bool:
    """Whether a residual block's output is a stream of its own, not its input's with a sum."""
    # The published wide network projects on entry to every later stage, shape or no shape.
    entry = architecture.family == "wide_resnet" and stage > 0 and block == 0
    return site.reshapes or entry
