"""Wide residual networks of preactivation blocks (Zagoruyko & Komodakis, 2016)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.errors import UserError
from kdsearch.students.family import MOST_BLOCKS, factor, positive
from kdsearch.students.layers import Conv, Layer, Linear, Norm
from kdsearch.students.network import Network, conv
from kdsearch.students.outputs import OutputShapes
from kdsearch.students.sites import Site, entry_stride, map_shapes, sites

KIND = "preact"


def describe(
    input: tuple[int, int, int], classes: int, depth: int, widen: float, base: int = 16
) -> Architecture:
    """The published WRN-depth-widen: three stages of `base` x `widen` x 1, 2 and 4 channels.

    Parameters
    ----------
    input : tuple of int
        Channels, height, width.
    classes : int
    depth : int
        6 n + 4 for n blocks a stage: 10, 16, 22, 28, 34, 40, ...
    widen : float
        Factor of all widths but the stem's.
    base : int
        Channels of the stem.
    """
    count = (positive("depth", depth, 6 * MOST_BLOCKS + 4) - 4) // 6
    if depth < 10 or depth != 6 * count + 4:
        lower = max(6 * count + 4, 10)
        raise UserError("depth", f"{depth} is not 6 n + 4; the nearest are {lower}, {lower + 6}")
    factor("widen", widen)
    stem = Block("conv", positive("base", base))
    widths = [max(1, round(base * widen * scale)) for scale in (1, 2, 4)]
    stages = tuple(
        Stage(tuple(Block(KIND, inner=w, stride=entry_stride(s, i)) for i in range(count)), w)
        for s, w in enumerate(widths)
    )
    return Architecture("wide_resnet", input, classes, stem, stages)


class Preact(nn.Module):
    """Norm, ReLU, convolution, twice; the shortcut projects the activated input if it must.

    Parameters
    ----------
    site : Site
    activated : bool
        Whether the input comes normed and rectified, so that the block's own norm falls away and
        its shortcut must project.
    """

    def __init__(self, site: Site, activated: bool) -> None:
        super().__init__()
        block = site.block
        self.activation = None if activated else norm_relu(site.inputs)
        self.first = conv(site.inputs, site.inner, block.kernel, block.stride)
        self.between = norm_relu(site.inner)
        self.second = conv(site.inner, site.outputs, block.kernel)
        self.shortcut = None
        if activated or site.reshapes:
            self.shortcut = conv(site.inputs, site.outputs, 1, block.stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'), without an activation."""
        active = x if self.activation is None else self.activation(x)
        out = self.second(self.between(self.first(active)))
        return out.add_(x if self.shortcut is None else self.shortcut(active))


def norm_relu(width: int) -> nn.Sequential:
    """Batch norm and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def build(architecture: Architecture) -> Network:
    """The network, its weights drawn from torch's global generator.

    A stage ends with the norm, and the ReLU, that its reader would begin with: the network is the
    published one, where the first block of a later stage projects its activated input, and every
    feature is an activation.
    """
    block = architecture.stem
    assert block is not None and block.width is not None
    stem = conv(architecture.input[0], block.width, block.kernel, block.stride)
    stages = [
        nn.Sequential(
            *(Preact(site, activated=s > 0 and i == 0) for i, site in enumerate(row)),
            nn.BatchNorm2d(row[-1].outputs),
        )
        for s, row in enumerate(_sites(architecture))
    ]
    return Network(stem, stages, architecture.stages[-1].out_width, architecture.classes)


def layers(architecture: Architecture) -> Iterator[Layer]:
    """All that costs anything."""
    placed = _sites(architecture)
    first, stem = placed[0][0], architecture.stem
    assert stem is not None
    yield Conv(architecture.input[0], first.inputs, stem.kernel, *first.before)
    for s, row in enumerate(placed):
        for i, site in enumerate(row):
            kernel = site.block.kernel
            yield Norm(site.inputs)
            yield Conv(site.inputs, site.inner, kernel, *site.after)
            yield Norm(site.inner)
            yield Conv(site.inner, site.outputs, kernel, *site.after)
            if site.reshapes or (s > 0 and i == 0):
                yield Conv(site.inputs, site.outputs, 1, *site.after)
    width = architecture.stages[-1].out_width
    yield Norm(width)
    yield Linear(width, architecture.classes)


def shapes(architecture: Architecture, batch: int) -> OutputShapes:
    """Features are the stages' outputs after norm and ReLU."""
    return map_shapes(architecture, _sites(architecture), batch)


def _sites(architecture: Architecture) -> list[list[Site]]:
    stem = architecture.stem
    if stem is not None and stem.kind != "conv":
        raise ValueError(f"a wide_resnet begins with a plain conv, not with {stem.kind!r}")
    return sites(architecture, KIND)
