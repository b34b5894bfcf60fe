"""A frozen teacher whose logits were computed once: for inputs that never change."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.students.outputs import Outputs
from kdsearch.teachers.parts import outputs_of

LogitsAlone = outputs_of(frozenset({"logits"}))


class CachedTeacher:
    """Logits by row of the training split; right only where no augmentation changes the inputs.

    Parameters
    ----------
    logits : Tensor of shape (N, K)
        Of the whole training split, in the order of ``Batch.index`` (see `compute_logits`), on the
        device of the batches.
    """

    def __init__(self, logits: Tensor) -> None:
        if logits.ndim != 2:
            raise ValueError(f"logits must have the shape (N, K), got {tuple(logits.shape)}")
        self.logits = logits.detach()

    def outputs(self, batch: Batch) -> Outputs:
        """The rows of the batch, and nothing else."""
        return LogitsAlone(logits=self.logits[batch.index])

    def observe(self, batch: Batch, student: Outputs, outputs: Outputs) -> None:
        """What is written down learns nothing."""


@torch.no_grad()
def compute_logits(module: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Logits of a whole split: row i belongs to the sample of index i.

    Parameters
    ----------
    module : nn.Module
        A network whose forward gives `Outputs`; used in eval mode and handed back in its own.
    batches : iterable of Batch
        Every sample once, in any order, without augmentation.

    Returns
    -------
    Tensor of shape (N, K)
        float32, on the device of the batches.

    Raises
    ------
    ValueError
        A sample is missing or comes twice.
    """
    training = module.training
    module.eval()
    try:
        parts = [(batch.index, module(batch.inputs).logits.float()) for batch in batches]
    finally:
        module.train(training)
    index, logits = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    if not torch.equal(index.sort().values, torch.arange(len(index), device=index.device)):
        raise ValueError(f"the batches must hold each of {len(index)} samples once")
    rows = torch.empty_like(logits)
    rows[index] = logits
    return rows
