"""The optimizer of a student and its adapters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

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


@torch.no_grad()
def clip_gradients(parameters: Sequence[Tensor], most: float) -> None:
    """Scale all gradients so that their joint norm is `most`, if it is larger.

    To the last bit what `torch.nn.utils.clip_grad_norm_` does; but on a CPU, where looking costs
    nothing, gradients that are small enough are left alone.
    """
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm.is_cuda or not most / (norm + 1e-6) >= 1:  # what is no number spoils them all
        nn.utils.clip_grads_with_norm_(parameters, most, norm)
