"""Pixels to what a network reads: mean 0 and standard deviation 1 per channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Pixels of 0..255, uint8 or float, to float32 of mean 0 and standard deviation 1.

    A module, so that an exported student carries its own.

    Parameters
    ----------
    mean, std : sequence of float
        Per channel, of pixels scaled to 0..1, as `ImageData` has them.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        centre, spread = (
            torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (mean, std)
        )
        self.register_buffer("scale", (1 / (255 * spread)).float())
        self.register_buffer("shift", (-centre / spread).float())

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (B, C, H, W), both ways."""
        return images * self.scale + self.shift  # bytes become floats on the way, in one pass
