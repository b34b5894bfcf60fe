"""Plain chains of convolutions, pooled between stages (Simonyan & Zisserman, 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Size, nn

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.errors import UserError
from kdsearch.students.family import MOST_BLOCKS, one_of, positive, positives
from kdsearch.students.layers import Conv, Layer, Linear, Norm
from kdsearch.students.network import Network, conv_norm
from kdsearch.students.outputs import OutputShapes
from kdsearch.students.sites import Site, entry_stride, map_shapes, pooled_to, sites

KIND, DENSE = "conv", "dense"


def describe(
    input: tuple[int, int, int],
    classes: int,
    widths: list[int],
    convs: int | list[int] = 1,
    kernel: int = 3,
    depth: int | None = None,
    hidden: list[int] | None = None,
    dropout: float = 0.0,
    norm: bool = True,
) -> Architecture:
    """Stages of convolutions; every stage after the first begins by halving the map.

    Parameters
    ----------
    input : tuple of int
        Channels, height, width.
    classes : int
    widths : list of int
        Channels, one number a stage. An edit may give every convolution its own.
    convs : int or list of int
        Convolutions of every stage, each followed by batch norm and ReLU.
    kernel : int
        1, 3 or 5.
    depth : int, optional
        Number of stages: a name for others to follow; equal to the number of widths.
    hidden : list of int, optional
        Units of hidden layers before the head, each with bias, ReLU and dropout. The first reads
        the last stage's map, halved once more, pixel by pixel; without any the head reads its mean.
    dropout : float
        Of the hidden units, in training.
    norm : bool
        False: convolutions with a bias instead of a batch norm.
    """
    channels = positives("widths", widths)
    if depth is not None and positive("depth", depth) != len(channels):
        raise UserError("depth", f"is {depth} but widths has {len(channels)} entries; make it so")
    counts = [convs] * len(channels) if isinstance(convs, int) else convs
    counts = positives("convs", counts, len(channels), "widths", MOST_BLOCKS)
    one_of("kernel", kernel, (1, 3, 5))
    stages = [
        Stage(tuple(Block(KIND, w, kernel=kernel, stride=entry_stride(s, i)) for i in range(count)))
        for s, (w, count) in enumerate(zip(channels, counts, strict=True))
    ]
    if hidden is not None:
        units = enumerate(positives("hidden", hidden))
        stages.append(
            Stage(tuple(Block(DENSE, w, kernel=1, stride=1 + (i == 0)) for i, w in units))
        )
    return Architecture(
        "convnet",
        input,
        classes,
        stages=tuple(stages),
        options=_options(hidden is not None, dropout, norm),
    )


def build(architecture: Architecture) -> Network:
    """The network, its weights drawn from torch's global generator."""
    maps, dense = _parted(architecture)
    norm, dropout = _is_normed(architecture), _dropout(architecture)
    stages = [
        nn.Sequential(*(_block(site, norm) for site in row[:-1]), _block(row[-1], norm, last=True))
        for row in maps
    ]
    neck = nn.Sequential(*(_hidden(site, dropout) for site in dense)) if dense else None
    width = architecture.stages[-1].out_width
    return Network(None, stages, width, architecture.classes, neck=neck)


def layers(architecture: Architecture) -> Iterator[Layer]:
    """All that costs anything, in order."""
    maps, dense = _parted(architecture)
    norm = _is_normed(architecture)
    for row in maps:
        for site in row:
            yield Conv(site.inputs, site.outputs, site.block.kernel, *site.after, bias=not norm)
            if norm:
                yield Norm(site.outputs)
    for site in dense:
        height, width = site.after
        yield Linear(site.inputs * height * width, site.outputs)
    yield Linear(architecture.stages[-1].out_width, architecture.classes)


def shapes(architecture: Architecture, batch: int) -> OutputShapes:
    """Features are the stages' last ReLU outputs; pooled is what the head reads."""
    maps, _ = _parted(architecture)
    read = Size((batch, architecture.stages[-1].out_width))
    return map_shapes(architecture, maps, batch)._replace(pooled=read)


def placed(architecture: Architecture) -> list[list[Site]]:
    """The blocks of every stage, each in its place.

    A hidden layer's map is the one that it reads once it is pooled: a single pixel but for the
    first.
    """
    maps, dense = _parted(architecture)
    return [*maps, dense] if dense else maps


def _parted(architecture: Architecture) -> tuple[list[list[Site]], list[Site]]:
    """The stages of convolutions, and the hidden layers."""
    stages = architecture.stages
    if stages[-1].blocks[0].kind != DENSE:
        return sites(architecture, KIND, pooled=True), []
    maps = sites(replace(architecture, stages=stages[:-1]), KIND, pooled=True)
    end, dense = maps[-1][-1], list[Site]()
    channels, size = end.outputs, end.after
    for block in stages[-1].blocks:
        after = pooled_to(architecture, len(maps), size, block.stride)
        assert block.width is not None
        dense.append(Site(block, channels, block.width, size, after))
        channels, size = block.width, (1, 1)
    return maps, dense


def _block(site: Site, norm: bool, last: bool = False) -> nn.Sequential:
    activation = None if last else nn.ReLU  # a stage's last one is the network's
    block = conv_norm(site.inputs, site.outputs, site.block.kernel, activation=activation)
    if not norm:
        kernel = site.block.kernel
        block = nn.Sequential(nn.Conv2d(site.inputs, site.outputs, kernel, padding=kernel // 2))
        if not last:
            block.append(nn.ReLU(inplace=True))
    if site.block.stride > 1:
        block.insert(0, nn.MaxPool2d(site.block.stride))
    return block


def _hidden(site: Site, dropout: float) -> nn.Sequential:
    """A linear layer over a whole map, written as a convolution: its columns are channels."""
    found: list[nn.Module] = [nn.MaxPool2d(site.block.stride)] if site.block.stride > 1 else []
    if site.after != (1, 1) or site.block.stride > 1:
        found += [nn.Conv2d(site.inputs, site.outputs, site.after), nn.Flatten()]
    else:
        found.append(nn.Linear(site.inputs, site.outputs))
    return nn.Sequential(*found, nn.ReLU(inplace=True), nn.Dropout(dropout))


def _options(hidden: bool, dropout: float, norm: bool) -> tuple[tuple[str, float | bool], ...]:
    """What differs from a plain chain, so that the plain one is what it was."""
    if not isinstance(norm, bool):
        raise UserError("norm", f"{norm!r} is neither true nor false")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise UserError("dropout", f"{dropout!r} is not a number from 0 to below 1")
    if dropout and not hidden:
        raise UserError("dropout", f"is {dropout}, and there are no hidden layers; add hidden")
    own: list[tuple[str, float | bool]] = [("dropout", float(dropout))] if dropout else []
    return (*own, *(() if norm else (("norm", False),)))


def _dropout(architecture: Architecture) -> float:
    return dict(architecture.options).get("dropout", 0.0)


def _is_normed(architecture: Architecture) -> bool:
    return dict(architecture.options).get("norm", True)
