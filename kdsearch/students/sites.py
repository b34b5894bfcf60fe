"""Where every block of a network stands: the channels and the map size before and after it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Size

from kdsearch.architecture import Architecture, Block
from kdsearch.errors import UserError
from kdsearch.students.outputs import OutputShapes

# A stem that ends with a 3x3 max pool of stride 2, as torchvision's residual networks have it.
POOLED = "conv_pool"


class Site(NamedTuple):
    """A block in its place.

    Attributes
    ----------
    block : Block
    inputs, outputs : int
        Channels before and after the block.
    before, after : tuple of int
        Height and width of the map before and after the block.
    """

    block: Block
    inputs: int
    outputs: int
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def inner(self) -> int:
        """Channels inside the block."""
        assert self.block.inner is not None  # `sites` has checked the kind
        return self.block.inner

    @property
    def reshapes(self) -> bool:
        """Whether the output differs from the input in shape, so that a shortcut must project."""
        return self.inputs != self.outputs or self.block.stride != 1


def sites(architecture: Architecture, kind: str, *, pooled: bool = False) -> list[list[Site]]:
    """The blocks of every stage, each in its place.

    Parameters
    ----------
    architecture : Architecture
    kind : str
        The one kind of block that the family knows.
    pooled : bool
        Whether a stride is a pooling, which rounds an odd size down; a strided convolution rounds
        it up.

    Raises
    ------
    UserError
        More strides than the input has pixels for.
    ValueError
        A block of another kind, or with an even kernel.
    """
    stem = architecture.stem
    channels, size = architecture.input[0], architecture.input[1:]
    if stem is not None:
        channels, size = stem.width or channels, stem_map(architecture)
        if stem.kind == POOLED:
            size = _shrink(size, 2, False)
    placed: list[list[Site]] = []
    for number, stage in enumerate(architecture.stages):
        row: list[Site] = []
        for index, block in enumerate(stage.blocks):
            _check(block, kind)
            after = pooled_to(architecture, number, size, block.stride, pooled=pooled)
            row.append(Site(block, channels, stage.width_of(index), size, after))
            channels, size = row[-1].outputs, after
        placed.append(row)
    return placed


def pooled_to(
    architecture: Architecture,
    stage: int,
    size: tuple[int, int],
    stride: int,
    *,
    pooled: bool = True,
) -> tuple[int, int]:
    """The map that a block of a stage leaves of one that it strides over; errors as `sites`."""
    if min(size) < stride:
        raise UserError("", _too_deep(architecture, stage, size))
    return _shrink(size, stride, pooled)


def stem_map(architecture: Architecture) -> tuple[int, int]:
    """Height and width of what the stem's convolution gives."""
    stem, size = architecture.stem, architecture.input[1:]
    return size if stem is None else _shrink(size, stem.stride, False)


def entry_stride(stage: int, block: int) -> int:
    """The stride by which a new network's stages after the first halve the map on entry."""
    return 2 if stage > 0 and block == 0 else 1


def map_shapes(architecture: Architecture, placed: list[list[Site]], batch: int) -> OutputShapes:
    """Shapes of logits, stage outputs (B, C, H, W) and their mean (B, C), for `batch` samples."""
    ends = [row[-1] for row in placed]
    maps = tuple(Size((batch, end.outputs, *end.after)) for end in ends)
    return OutputShapes(
        logits=Size((batch, architecture.classes)),
        features=maps,
        pooled=Size((batch, ends[-1].outputs)),
        preactivations=maps,
    )


def _shrink(size: tuple[int, int], stride: int, pooled: bool) -> tuple[int, int]:
    spare = 0 if pooled else stride - 1
    return (size[0] + spare) // stride, (size[1] + spare) // stride


def _check(block: Block, kind: str) -> None:
    if block.kind != kind:
        raise ValueError(f"a block of kind {block.kind!r} where the family has {kind!r}")
    if block.kernel % 2 == 0:
        raise ValueError(f"kernel {block.kernel}: kernels are odd, so that sizes are kept")
    if block.inner is None and kind not in ("conv", "dense"):
        raise ValueError(f"a block of kind {kind!r} has an inner width, and this one has none")


def _too_deep(architecture: Architecture, stage: int, size: tuple[int, int]) -> str:
    _, height, width = architecture.input
    return (
        f"stage {stage} would halve a map of {size[0]}x{size[1]}: "
        f"images of {height}x{width} carry at most {stage} stages"
    )
