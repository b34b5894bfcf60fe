"""Batch norms whose network was changed: their running statistics, taken anew."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


@torch.no_grad()
def take_statistics(network: nn.Module, inputs: Iterator[Tensor]) -> None:
    """Make the running statistics of all batch norms the plain mean over these batches."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    norms = [module for module in network.modules() if isinstance(module, kinds)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a plain mean
    network.train()
    for batch in inputs:
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
