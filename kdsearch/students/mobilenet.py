"""Inverted residuals with linear bottlenecks (MobileNetV2; Sandler et al., 2018)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.students.family import MOST_BLOCKS, factor, listed, one_of, positive, positives
from kdsearch.students.layers import Layer, Linear
from kdsearch.students.network import Network, conv_norm, conv_norm_layers, stem, stem_layers
from kdsearch.students.outputs import OutputShapes
from kdsearch.students.sites import Site, entry_stride, map_shapes, sites

KIND = "inverted"


def describe(
    input: tuple[int, int, int],
    classes: int,
    blocks: list[int],
    widths: list[int],
    expansion: float | list[float] = 4,
    stem: int = 16,
    kernel: int = 3,
) -> Architecture:
    """Stages of inverted residuals; every stage after the first halves the map in its first block.

    Parameters
    ----------
    input : tuple of int
        Channels, height, width.
    classes : int
    blocks : list of int
        Blocks of every stage.
    widths : list of int
        Channels of every stage's residual stream.
    expansion : float or list of float
        Inner channels of a block as a multiple of its input's; one for all or one a stage.
    stem : int
        Channels of the first convolution, which keeps the size.
    kernel : int
        Of the depthwise convolutions: 3, 5 or 7.
    """
    counts = positives("blocks", blocks, most=MOST_BLOCKS)
    streams = positives("widths", widths, len(counts), "stages of blocks")
    expansions = _expansions(expansion, len(counts))
    one_of("kernel", kernel, (3, 5, 7))
    stages: list[Stage] = []
    channels = positive("stem", stem)
    for s, (count, width, times) in enumerate(zip(counts, streams, expansions, strict=True)):
        row: list[Block] = []
        for i in range(count):
            inner = max(1, round(channels * times))
            row.append(Block(KIND, inner=inner, kernel=kernel, stride=entry_stride(s, i)))
            channels = width
        stages.append(Stage(tuple(row), width))
    return Architecture("mobilenet", input, classes, Block("conv", stem), tuple(stages))


def _expansions(expansion: object, count: int) -> list[float]:
    one = isinstance(expansion, int | float)
    factors = listed("expansion", [expansion] * count if one else expansion, count, "stages")
    return [factor("expansion", f) for f in factors]


class Inverted(nn.Module):
    """Widen (where the inner width differs), convolve each channel alone, project linearly."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        block, inner = site.block, site.inner
        layers: list[nn.Module] = []
        if inner != site.inputs:
            layers.append(conv_norm(site.inputs, inner, 1, activation=nn.ReLU6))
        layers.append(conv_norm(inner, inner, block.kernel, block.stride, inner, nn.ReLU6))
        layers.append(conv_norm(inner, site.outputs, 1, activation=None))
        self.layers = nn.Sequential(*layers)
        self.skips = not site.reshapes

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'), without an activation."""
        out = self.layers(x)
        return out.add_(x) if self.skips else out


def build(architecture: Architecture) -> Network:
    """The network, its weights drawn from torch's global generator."""
    stages = [nn.Sequential(*map(Inverted, row)) for row in sites(architecture, KIND)]
    return Network(
        stem(architecture, nn.ReLU6),
        stages,
        architecture.stages[-1].out_width,
        architecture.classes,
        rectified=False,
    )


def layers(architecture: Architecture) -> Iterator[Layer]:
    """All that costs anything, in order."""
    placed = sites(architecture, KIND)
    yield from stem_layers(architecture)
    for row in placed:
        for site in row:
            inner = site.inner
            if inner != site.inputs:
                yield from conv_norm_layers(site.inputs, inner, 1, site.before)
            yield from conv_norm_layers(inner, inner, site.block.kernel, site.after, inner)
            yield from conv_norm_layers(inner, site.outputs, 1, site.after)
    yield Linear(architecture.stages[-1].out_width, architecture.classes)


def shapes(architecture: Architecture, batch: int) -> OutputShapes:
    """Features are linear projections, as in the paper: they take both signs."""
    return map_shapes(architecture, sites(architecture, KIND), batch)
