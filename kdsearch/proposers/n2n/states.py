"""What a policy sees of a teacher: one row a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# The order is part of the encoding: a saved policy reads these columns.
KINDS = (
    "conv", "basic", "preact", "inverted", "dense", "norm", "relu", "pool", "linear",  # removable
    "stem", "stage", "inner", "chain",  # coupling groups
)  # fmt: skip
NUMBERS = 10
FEATURES = len(KINDS) + NUMBERS
LEGACY = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, block or coupling group of a teacher.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    kernel, stride : int
        0 where it has none.
    inputs, outputs : int
        Channels or units.
    parameters, macs : float
        Shares of the teacher's that go when it goes.
    depth : float
        Where it stands, from 0 at the input to 1 at the head.
    residual : bool
        Whether it is inside a residual branch, or carries a residual stream.
    skip_start, skip_end : int
        How many layers the residual stage has had before this one, and has still after it.
    """

    kind: str
    kernel: int = 0
    stride: int = 0
    inputs: int = 0
    outputs: int = 0
    parameters: float = 0.0
    macs: float = 0.0
    depth: float = 0.0
    residual: bool = False
    skip_start: int = 0
    skip_end: int = 0


def encode(rows: Sequence[Row]) -> Tensor:
    """One-hot kinds, and numbers in logarithms, z-scored over the teacher's rows.

    Parameters
    ----------
    rows : sequence of Row
        At least one.

    Returns
    -------
    Tensor of shape (rows, FEATURES)
        A number that is the same in all rows is 0. The kinds are not z-scored: they mean the same
        for another teacher.
    """
    kinds = torch.tensor([[float(row.kind == kind) for kind in KINDS] for row in rows])
    numbers = torch.tensor([_numbers(row) for row in rows], dtype=torch.float64)
    spread = numbers.std(0, correction=0)
    varies = spread > 1e-9
    scored = torch.where(varies, (numbers - numbers.mean(0)) / spread.clamp(min=1e-9), 0.0)
    return torch.cat([kinds, scored.float()], 1)


def legacy(rows: Sequence[Row]) -> Tensor:
    """The paper's row: kind, kernel, stride, padding, outputs, two skip positions; raw numbers.

    Returns
    -------
    Tensor of shape (rows, LEGACY)
    """
    return torch.tensor(
        [
            [1 + KINDS.index(r.kind), r.kernel, r.stride, r.kernel // 2, r.outputs, *_skip(r)]
            for r in rows
        ],
        dtype=torch.float32,
    )


def _numbers(row: Row) -> list[float]:
    sizes = (row.kernel, row.stride, row.inputs, row.outputs)
    return [
        *(math.log2(1 + size) for size in sizes),
        *(math.log2(1e-4 + max(share, 0.0)) for share in (row.parameters, row.macs)),
        row.depth,
        float(row.residual),
        *_skip(row),
    ]


def _skip(row: Row) -> tuple[int, int]:
    return (row.skip_start, row.skip_end) if row.residual else (0, 0)
