"""The optimizer of a student and its adapters."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from kdsearch.config import TrainingConfig


def build_optimizer(modules: Iterable[nn.Module], config: TrainingConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over all parameters of `modules`.

    Weight decay acts on matrices and filters alone: on a bias or a batch-norm scale it shifts what
    the network can say without making it simpler.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=True)
    nesterov = config.momentum > 0
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True
    )
