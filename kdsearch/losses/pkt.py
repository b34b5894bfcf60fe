"""PKT: probabilistic knowledge transfer, who stands near whom (Passalis & Tefas, 2018)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from kdsearch.data.images import Batch
from kdsearch.losses.base import DistillationLoss, LossContext, pooled_pair
from kdsearch.losses.bounds import check_samples
from kdsearch.losses.unit import directed
from kdsearch.students.outputs import Outputs

Form = Literal["code", "paper"]
EPSILON = 1e-7  # of the public code: what keeps logarithms and quotients finite


def neighbour_probabilities(vectors: Tensor, form: Form = "code") -> Tensor:
    """Chances of meeting j from i, by the cosine: (B, D) to (B, B), rows that add up to 1."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    units = torch.where(directed(lengths), vectors / (lengths + EPSILON), 0.0)
    kernel = ((units @ units.mT + 1) / 2).clamp(min=0)
    if form == "paper":
        kernel = kernel * (1 - torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device))
    return kernel / kernel.sum(dim=1, keepdim=True).clamp(min=EPSILON)


def pkt_loss(student: Tensor, teacher: Tensor, form: Form = "code") -> Tensor:
    """KL of the teacher's neighbourhoods from the student's, a mean over the samples.

    Parameters
    ----------
    student, teacher : Tensor of shape (B, D)
        Widths may differ.
    form : str
        ``code``: every sample is a neighbour of itself too. ``paper``: it is not.
    """
    p = neighbour_probabilities(student, form)
    q = neighbour_probabilities(teacher.detach(), form)
    # The public code adds where a bound would do, which shows from the seventh digit on.
    q_, p_ = ((x + EPSILON if form == "code" else x.clamp(min=EPSILON)) for x in (q, p))
    return (q * (q_ / p_).log()).sum(dim=1).mean()


class PKT(DistillationLoss):
    """Probabilistic knowledge transfer (Passalis & Tefas, 2018, arXiv:1803.10837).

    Equation: ``mean_i sum_j q_ij log(q_ij / p_ij)``, p and q the kernel ``(cos(f_i, f_j) + 1) / 2``
    of student and teacher with rows that add up to 1.

    Compares the pooled vectors, of whatever widths. Default weight 470: the 30000 of the public
    code, which divides by B once more, over its batch of 64. This form needs no other weight for
    another batch size. Search it in 15..5000, log.

    Pitfalls: the values are small, as all cosines of rectified features are alike. Rows of zeros
    have no direction and are left out.

    Departs: a mean over samples, B times the public mean over all B^2 pairs. The public code keeps
    the pairs of a sample with itself, and the paper does not: see `form`.

    Cost: O(B^2 D).

    Parameters
    ----------
    form : str
        ``code`` or ``paper``.
    """

    kind = "feature"
    taps = frozenset({"pooled"})

    def __init__(self, form: Form = "code") -> None:
        super().__init__()
        self.form: Form = form

    def prepare(self, context: LossContext) -> None:
        """Check that a sample has several others to be near to."""
        super().prepare(context)
        check_samples(context, least=3)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """See `pkt_loss`; never in half precision."""
        source, target = pooled_pair(student, teacher)
        with torch.autocast(source.device.type, enabled=False):
            return pkt_loss(source, target, self.form)
