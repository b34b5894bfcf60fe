"""A teacher that has learned what it will ever know."""

from __future__ import annotations

import torch
from torch import nn

from kdsearch.data.images import Batch
from kdsearch.students.outputs import Outputs


class FrozenTeacher:
    """A trained network in eval mode, without gradients.

    Parameters
    ----------
    module : nn.Module
        A network whose forward gives `Outputs`, on the device of the batches. It is frozen in
        place: eval mode, and no parameter requires a gradient.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval().requires_grad_(False)

    # Not inference_mode: its tensors could not be saved for the student's backward pass.
    @torch.no_grad()
    def outputs(self, batch: Batch) -> Outputs:
        """Outputs for the batch as the student sees it, under the caller's autocast."""
        return self.module(batch.inputs)

    def observe(self, batch: Batch, student: Outputs, outputs: Outputs) -> None:
        """A frozen teacher learns nothing."""
