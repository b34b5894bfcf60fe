"""A network as frozen data: what a teacher, a proposal and an edit of either all are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a stage.

    Parameters
    ----------
    kind : str
        Name of the block in its family: ``conv``, ``basic``, ``preact``, ``inverted``, ``dense``;
        ``conv_pool``, a stem that ends with a max pool.
    width : int or None
        Output channels (units of a dense block) in a chain, where every block has its own; None in
        a stage with a residual stream, whose one width all blocks share.
    inner : int or None
        Width inside a residual or inverted block; None where the kind has no inner layer.
    kernel, stride : int
        Of the spatial convolution.
    """

    kind: str
    width: int | None = None
    inner: int | None = None
    kernel: int = 3
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks at one resolution.

    Parameters
    ----------
    blocks : tuple of Block
        At least one.
    width : int or None
        The width of the residual stream, one number for all blocks; None in a chain.
    """

    blocks: tuple[Block, ...]
    width: int | None = None

    def width_of(self, block: int) -> int:
        """Output width of one block, wherever it is written."""
        width = self.blocks[block].width if self.width is None else self.width
        assert width is not None  # checked when the architecture was made
        return width

    @property
    def out_width(self) -> int:
        """Channels of the stage's output."""
        return self.width_of(-1)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network: input, stem, stages of blocks, and a linear head over the pooled last stage.

    Hashable, and JSON both ways (`to_json`, `from_json`). Networks that are not ours (a torchvision
    model, a user's factory) have no stages; `options` hold the arguments that rebuild them.

    Parameters
    ----------
    family : str
        A row of `kdsearch.students.FAMILIES`, or ``module:callable`` for a user's own factory.
    input : tuple of int
        Channels, height, width of one sample.
    classes : int
        Outputs of the head.
    stem : Block or None
        The block before the first stage, if the family has one.
    stages : tuple of Stage
        From the finest resolution to the coarsest.
    options : tuple of (str, scalar or tuple)
        Arguments of a foreign network, sorted by name.

    Raises
    ------
    ValueError
        A width, kernel or stride that is no whole number from 1, an empty stage, or a width written
        twice or not at all.
    """

    family: str
    input: tuple[int, int, int]
    classes: int
    stem: Block | None = None
    stages: tuple[Stage, ...] = ()
    options: tuple[tuple[str, Any], ...] = field(default=())

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes must be at least 2, got {self.classes}")
        if self.stem is not None:
            _check_numbers("stem", self.stem)
            if self.stem.kernel % 2 == 0:
                raise ValueError(f"stem: kernels are odd, got {self.stem.kernel}")
        for number, stage in enumerate(self.stages):
            if not stage.blocks:
                raise ValueError(f"stage {number} has no block; it needs at least one")
            for block in stage.blocks:
                _check_numbers(f"stage {number}", block)
                if (stage.width is None) == (block.width is None):
                    raise ValueError(
                        f"stage {number}: the width stands either at the stage (a residual "
                        "stream) or at every block (a chain), not at both or neither"
                    )
            if stage.width is not None:
                _check_numbers(f"stage {number}", Block("stream", stage.width))

    @property
    def key(self) -> str:
        """A stable 16-digit hash: equal for equal networks, in any process and on any machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, nothing that is at its default of None."""
        return json.dumps(_prune(asdict(self)), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The inverse of `to_json`.

        Raises
        ------
        ValueError
            Text that is not an architecture: the message says what is missing or too much.
        """
        try:
            raw = json.loads(text)
            stages = tuple(
                Stage(tuple(Block(**b) for b in s["blocks"]), s.get("width"))
                for s in raw.pop("stages", ())
            )
            stem = raw.pop("stem", None)
            options = tuple((name, _freeze(value)) for name, value in raw.pop("options", ()))
            shape = tuple(raw.pop("input"))
            return cls(
                input=shape,  # type: ignore[arg-type]
                stem=Block(**stem) if stem else None,
                stages=stages,
                options=options,
                **raw,
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not an architecture: {error}") from error

    def without_block(self, stage: int, block: int) -> Architecture:
        """The architecture without one block; its stride goes to the block that takes its place.

        Raises
        ------
        ValueError
            The last block of a stage: a stage keeps at least one.
        """
        old = self.stages[stage]
        if len(old.blocks) < 2:
            raise ValueError(f"stage {stage} has one block left and must keep it")
        gone, kept = old.blocks[block], [b for i, b in enumerate(old.blocks) if i != block]
        if gone.stride > 1:
            heir = min(block, len(kept) - 1)
            kept[heir] = replace(kept[heir], stride=gone.stride * kept[heir].stride)
        return self._with_stage(stage, replace(old, blocks=tuple(kept)))

    def with_width(self, stage: int, width: int, block: int | None = None) -> Architecture:
        """The architecture with another width: of a whole residual stream, or of one chain block.

        Raises
        ------
        ValueError
            `block` given for a residual stream, or not given for a chain; a width below 1.
        """
        old = self.stages[stage]
        if (old.width is None) == (block is None):
            kind = "chain: name the block" if block is None else "residual stream: name no block"
            raise ValueError(f"stage {stage} is a {kind}")
        if block is None:
            return self._with_stage(stage, replace(old, width=width))
        return self._with_block(stage, block, width=width)

    def with_inner(self, stage: int, block: int, inner: int) -> Architecture:
        """The architecture with another inner width of one residual or inverted block.

        Raises
        ------
        ValueError
            A block without an inner layer; a width below 1.
        """
        if self.stages[stage].blocks[block].inner is None:
            raise ValueError(f"stage {stage}, block {block} has no inner width")
        return self._with_block(stage, block, inner=inner)

    def _with_block(self, stage: int, block: int, **change: int) -> Architecture:
        blocks = list(self.stages[stage].blocks)
        blocks[block] = replace(blocks[block], **change)
        return self._with_stage(stage, replace(self.stages[stage], blocks=tuple(blocks)))

    def _with_stage(self, index: int, stage: Stage) -> Architecture:
        stages = (*self.stages[:index], stage, *self.stages[index + 1 :])
        return replace(self, stages=stages)


def _check_numbers(place: str, block: Block) -> None:
    for number in (block.width, block.inner, block.kernel, block.stride):
        if number is not None and (type(number) is not int or number < 1):
            fault = "widths, kernels and strides are whole numbers from 1"
            raise ValueError(f"{place}: {fault}, got {number!r}")


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _prune(v) for k, v in value.items() if v is not None and v != ()}
    if isinstance(value, tuple):
        return [_prune(v) for v in value]
    return value


def _freeze(value: Any) -> Any:
    return tuple(_freeze(v) for v in value) if isinstance(value, list) else value
