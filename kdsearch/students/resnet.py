"""Residual networks of basic blocks for small images (He et al., 2016, section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.students.family import MOST_BLOCKS, listed, positive, positives
from kdsearch.students.layers import Layer, Linear
from kdsearch.students.network import Network, conv_norm, conv_norm_layers, stem, stem_layers
from kdsearch.students.outputs import OutputShapes
from kdsearch.students.sites import Site, entry_stride, map_shapes, sites

KIND = "basic"


def describe(
    input: tuple[int, int, int],
    classes: int,
    blocks: list[int],
    widths: list[int],
    inner: list[int] | list[list[int]] | None = None,
    stem: int | None = None,
) -> Architecture:
    """Stages of basic blocks; every stage after the first halves the map in its first block.

    Parameters
    ----------
    input : tuple of int
        Channels, height, width.
    classes : int
    blocks : list of int
        Blocks of every stage.
    widths : list of int
        Channels of every stage's residual stream.
    inner : list, optional
        Channels between the two convolutions of a block: one number a stage, or a list of one
        number a block. The stage's width by default.
    stem : int, optional
        Channels of the first convolution; the first stage's width by default.
    """
    counts = positives("blocks", blocks, most=MOST_BLOCKS)
    streams = positives("widths", widths, len(counts), "stages of blocks")
    inners = _inner(inner, counts, streams)
    stages = tuple(
        Stage(
            tuple(Block(KIND, inner=n, stride=entry_stride(s, i)) for i, n in enumerate(row)), width
        )
        for s, (width, row) in enumerate(zip(streams, inners, strict=True))
    )
    first = Block("conv", streams[0] if stem is None else positive("stem", stem))
    return Architecture("resnet", input, classes, first, stages)


def _inner(
    inner: object, counts: tuple[int, ...], streams: tuple[int, ...]
) -> list[tuple[int, ...]]:
    given = listed("inner", streams if inner is None else inner, len(counts), "stages of blocks")
    return [
        positives(f"inner[{i}]", row if isinstance(row, list | tuple) else [row] * n, n, "blocks")
        for i, (row, n) in enumerate(zip(given, counts, strict=True))
    ]


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes.

    Parameters
    ----------
    site : Site
    rectified : bool
        Whether the block ends with its ReLU; that of a stage's last block is the network's.
    """

    def __init__(self, site: Site, rectified: bool) -> None:
        super().__init__()
        self.rectified = rectified
        block = site.block
        self.first = conv_norm(site.inputs, site.inner, block.kernel, block.stride)
        self.second = conv_norm(site.inner, site.outputs, block.kernel, activation=None)
        self.shortcut = None
        if site.reshapes:
            self.shortcut = conv_norm(site.inputs, site.outputs, 1, block.stride, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        out = self.second(self.first(x)).add_(shortcut)
        return out.relu_() if self.rectified else out


def build(architecture: Architecture) -> Network:
    """The network, its weights drawn from torch's global generator."""
    stages = [
        nn.Sequential(*(Basic(site, rectified=site is not row[-1]) for site in row))
        for row in sites(architecture, KIND)
    ]
    return Network(
        stem(architecture), stages, architecture.stages[-1].out_width, architecture.classes
    )


def layers(architecture: Architecture) -> Iterator[Layer]:
    """All that costs anything, in order."""
    placed = sites(architecture, KIND)
    yield from stem_layers(architecture)
    for row in placed:
        for site in row:
            kernel = site.block.kernel
            yield from conv_norm_layers(site.inputs, site.inner, kernel, site.after)
            yield from conv_norm_layers(site.inner, site.outputs, kernel, site.after)
            if site.reshapes:
                yield from conv_norm_layers(site.inputs, site.outputs, 1, site.after)
    yield Linear(architecture.stages[-1].out_width, architecture.classes)


def shapes(architecture: Architecture, batch: int) -> OutputShapes:
    """Features are the stages' outputs after their last ReLU."""
    return map_shapes(architecture, sites(architecture, KIND), batch)
