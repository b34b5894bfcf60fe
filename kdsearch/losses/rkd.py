"""RKD: relations between the samples of a batch (Park et al., 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.data.images import Batch
from kdsearch.losses.base import DistillationLoss, LossContext, pooled_pair
from kdsearch.losses.bounds import check_samples, check_weights
from kdsearch.losses.unit import directed, rounding, unit
from kdsearch.students.outputs import Outputs


def relative_distances(vectors: Tensor) -> Tensor:
    """Distances of all pairs over their mean: (B, D) to (B, B). Pairs that coincide count as 0."""
    # The usual matrix product loses all digits of a distance that is small against the norms.
    distances = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    apart = directed(distances, rounding(vectors))
    distances = torch.where(apart, distances, 0.0)
    mean = distances.sum() / apart.sum().clamp(min=1)
    return distances / torch.where(mean > 0, mean, 1.0)


def cosines(vectors: Tensor) -> Tensor:
    """Cosine of the angle at i between j and k: (B, D) to (B, B, B). 0 where i meets j or k."""
    apart = vectors[None] - vectors[:, None]
    directions = unit(apart, dim=2, shortest=rounding(vectors)[:, :, None])
    return directions @ directions.mT


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 of the relative distances of (B, D) vectors, a mean over all B^2 pairs."""
    return F.smooth_l1_loss(relative_distances(student), relative_distances(teacher.detach()))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 of the cosines of (B, D) vectors, a mean over all B^3 triples."""
    return F.smooth_l1_loss(cosines(student), cosines(teacher.detach()))


class RKD(DistillationLoss):
    """Relational knowledge distillation (Park et al., 2019, arXiv:1904.05068, equations 5 and 8).

    Equation: ``distance x smooth_l1(d_s, d_t) + angle x smooth_l1(cos_s, cos_t)``, d the distances
    of all pairs over their mean, cos those of the angles of all triples.

    Compares the pooled vectors, of whatever widths. Default weight 1; search it in 0.1..10, log, or
    `distance` in 1..100 with `angle` at twice that.

    Pitfalls: two rows that are equal but for rounding have no direction, and public code gives them
    gradients of 1e10; here they are left out. Angles take memory as the cube of the batch (and its
    square times the width): above 256 samples use the distance alone.

    Cost: O(B^2 D), angles O(B^3 + B^2 D).

    Parameters
    ----------
    distance, angle : float
        Weights of the two parts, at least 0 and not both 0.
    """

    kind = "relation"
    taps = frozenset({"pooled"})

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        check_weights({"distance": distance, "angle": angle}, start="25 and 50")
        self.distance, self.angle = distance, angle

    def prepare(self, context: LossContext) -> None:
        """Check that a batch has triples."""
        super().prepare(context)
        check_samples(context, least=3)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """``distance * distance_loss + angle * angle_loss``, never in half precision."""
        source, target = pooled_pair(student, teacher)
        with torch.autocast(source.device.type, enabled=False):
            loss = source.new_zeros(())
            if self.distance:
                loss = loss + self.distance * distance_loss(source, target)
            if self.angle:
                loss = loss + self.angle * angle_loss(source, target)
        return loss
