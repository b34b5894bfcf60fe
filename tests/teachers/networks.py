"""A network small enough to reason about."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.students.outputs import Outputs


class Tiny(nn.Module):
    """Convolution, batch norm, pooling, a linear head; 3 classes of 1x4x4 images."""

    def __init__(self, width: int = 2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 3)

    def forward(self, inputs: Tensor) -> Outputs:
        features = self.norm(self.conv(inputs)).relu()
        pooled = features.mean(dim=(2, 3))
        return Outputs(self.head(pooled), (features,), pooled)


def batches(samples: int, rows: int, seed: int = 0) -> list[Batch]:
    """All of a random split, in order."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(samples, 1, 4, 4, generator=generator)
    labels, index = torch.zeros(samples).long(), torch.arange(samples)
    parts = (tensor.split(rows) for tensor in (inputs, labels, index))
    return [Batch(*part) for part in zip(*parts, strict=True)]
