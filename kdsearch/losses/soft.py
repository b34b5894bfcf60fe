"""Soft targets alone: the teacher's probabilities take the place of the labels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdsearch.data.images import Batch
from kdsearch.losses.base import full_precision
from kdsearch.losses.kd import KD
from kdsearch.students.outputs import Outputs


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 * CE(softmax(teacher / T), softmax(student / T))``, a mean over samples.

    Parameters
    ----------
    student, teacher : Tensor of shape (B, K)
        Logits. Several teachers are one whose logits are the log of their mean probability.
    temperature : float
        T, above 0.
    """
    targets = F.softmax(teacher.detach() / temperature, dim=1)
    return F.cross_entropy(student / temperature, targets) * temperature**2


class Soft(KD):
    """Soft targets as regulariser (Hinton, Vinyals & Dean, 2015, arXiv:1503.02531, section 6).

    Equation: ``-T^2 x sum_k p_t log p_s`` with ``p = softmax(z / T)``, a mean over samples.

    Meant to stand alone, with ``label_weight`` 0: where labels are few, the teacher's probabilities
    keep a student from overfitting longer than the labels do.

    Default weight 1. Search the temperature in 1..10, log; the weight only where labels stay in the
    sum.

    Pitfalls: the loss is that of `kd` plus the teacher's entropy, so the gradients are equal and
    the value does not end at zero. The teacher has to have seen all the data: one that was trained
    on the same few samples knows nothing more.

    Cost: O(B K).

    Parameters
    ----------
    temperature : float
        Above 0; the same for both networks.
    """

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """See `soft_loss`."""
        logits = full_precision(student.logits), full_precision(teacher.logits)
        return soft_loss(*logits, self.temperature)
