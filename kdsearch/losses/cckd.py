"""CCKD: correlations between the samples of a batch under a kernel (Peng et al., 2019)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.data.images import Batch
from kdsearch.losses.base import DistillationLoss, LossContext, pooled_pair
from kdsearch.losses.bounds import at_least, check_samples, positive
from kdsearch.losses.unit import unit
from kdsearch.students.outputs import Outputs

Kernel = Literal["taylor", "rbf", "bilinear"]


def correlations(
    vectors: Tensor, kernel: Kernel = "taylor", gamma: float = 0.4, order: int = 2
) -> Tensor:
    """The kernel of all pairs of samples: (B, D) to (B, B).

    Parameters
    ----------
    vectors : Tensor of shape (B, D)
    kernel : str
        ``rbf``: ``exp(-gamma |f_i - f_j|^2)`` of unit vectors. ``taylor``: the same up to a power
        of their product. ``bilinear``: the product of the vectors as they are.
    gamma : float
    order : int
        Highest power of the product.
    """
    if kernel == "bilinear":
        return vectors @ vectors.mT
    units = unit(vectors, dim=1)
    product = units @ units.mT
    if kernel == "rbf":
        return (2 * gamma * (product - 1)).exp()
    series = torch.ones_like(product)
    for power in range(order, 0, -1):  # Horner's scheme
        series = 1 + series * product * (2 * gamma / power)
    return math.exp(-2 * gamma) * series


def cckd_loss(
    student: Tensor,
    teacher: Tensor,
    kernel: Kernel = "taylor",
    gamma: float = 0.4,
    order: int = 2,
) -> Tensor:
    """Mean squared difference of the `correlations` of two networks, of whatever widths."""
    source = correlations(student, kernel, gamma, order)
    return F.mse_loss(source, correlations(teacher.detach(), kernel, gamma, order))


class CCKD(DistillationLoss):
    """Correlation congruence (Peng et al., 2019, arXiv:1904.01802).

    Equation: ``mean_ij((k(f_i, f_j) - k(g_i, g_j))^2)``, f and g the unit vectors of student and
    teacher, ``k(a, b) = exp(-2 gamma) sum_(p <= P) (2 gamma)^p / p! (a . b)^p``.

    Compares the pooled vectors, of whatever widths; k is the series of ``exp(-gamma |a - b|^2)``.
    Default weight 100, whatever the batch. Search it in 1..1000, log, gamma in 0.1..2, log, and the
    order in {1, 2, 3}.

    Pitfalls: without unit vectors the series is no radial kernel (a public library leaves that to
    its user). A bilinear kernel grows as the fourth power of the features in the loss: its weight
    has to be found for every pair of networks. A sample without any feature has no direction and
    counts as orthogonal to all.

    Departs: other public code compares neighbours in the batch through two learned embeddings,
    with weight 0.02; the embeddings can bring that loss to 0 by shrinking, whatever the student
    does. Batches are plain random ones; the paper draws some images of each of some classes.

    Cost: O(B^2 D).

    Parameters
    ----------
    kernel : str
        ``taylor``, ``rbf`` (exact) or ``bilinear`` (no unit vectors, no gamma).
    gamma : float
        Inverse width of the kernel, above 0.
    order : int
        Highest power of the series, at least 1; ``taylor`` alone reads it.
    """

    kind = "relation"
    taps = frozenset({"pooled"})

    def __init__(self, kernel: Kernel = "taylor", gamma: float = 0.4, order: int = 2) -> None:
        super().__init__()
        self.kernel: Kernel = kernel
        self.gamma = positive("gamma", gamma, 0.4)
        self.order = at_least("order", order, 1, "the paper takes 2")

    def prepare(self, context: LossContext) -> None:
        """Check that a batch has pairs."""
        super().prepare(context)
        check_samples(context, least=2)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """See `cckd_loss`; never in half precision."""
        source, target = pooled_pair(student, teacher)
        with torch.autocast(source.device.type, enabled=False):
            return cckd_loss(source, target, self.kernel, self.gamma, self.order)
