"""SP: which samples of a batch excite a network alike (Tung & Mori, 2019)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from kdsearch.data.images import Batch
from kdsearch.losses.base import DistillationLoss, LossContext, full_precision
from kdsearch.losses.bounds import check_samples
from kdsearch.losses.unit import unit
from kdsearch.students.outputs import Outputs, OutputShapes


def similarities(features: Tensor) -> Tensor:
    """Products of all pairs of samples: (B, ...) to (B, B), rows of length 1."""
    rows = features.flatten(1)
    return unit(rows @ rows.mT, dim=1)


def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the similarities, a mean over samples.

    Parameters
    ----------
    student, teacher : Tensor of shape (B, ...)
        Of whatever shapes beyond the batch.
    """
    gap = similarities(student) - similarities(teacher.detach())
    return gap.square().sum(dim=1).mean()


class SP(DistillationLoss):
    """Similarity-preserving distillation (Tung & Mori, 2019, arXiv:1907.09682).

    Equation: ``|G_s - G_t|_F^2 / B``, G the products ``F F^T`` of the batch's features (B, C H W),
    every row of it over its length.

    Compares the last stages, of whatever shapes; the pooled vectors of a network that shows no
    stage. Default weight 47: the 3000 of public code, which divides by B once more, over its batch
    of 64. This form needs no other weight for another batch size. Search it in 1..500, log.

    Pitfalls: features after a ReLU all point into one orthant, so the values are small. Rows are
    normalised in L2: a public library takes L1, which is another loss of other weights. A sample
    without any feature has no row and is left out.

    Departs: B times the public loss, which falls as 1 / B.

    Cost: O(B^2 C H W).
    """

    kind = "relation"
    taps = frozenset({"features"})

    def prepare(self, context: LossContext) -> None:
        """Check that a batch has pairs."""
        nets = _with_a_stage(context.student), _with_a_stage(context.teacher)
        super().prepare(replace(context, student=nets[0], teacher=nets[1]))
        if not context.teacher.features:
            self.taps = self.taps | {"pooled"}
        check_samples(context, least=2)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """See `sp_loss`; never in half precision."""
        source, target = full_precision(_last(student)), full_precision(_last(teacher))
        with torch.autocast(source.device.type, enabled=False):
            return sp_loss(source, target)


def _with_a_stage(shapes: OutputShapes) -> OutputShapes:
    if shapes.features or shapes.pooled is None:
        return shapes
    return shapes._replace(features=(shapes.pooled,))


def _last(outputs: Outputs) -> Tensor:
    if outputs.features:
        return outputs.features[-1]
    if outputs.pooled is None:
        raise ValueError("prepare(context) comes before the first forward")
    return outputs.pooled
