"""LSP: local structure preserving, which neighbour is how near (Yang et al., 2020)."""

from __future__ import annotations

from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.data.images import Batch
from kdsearch.errors import UserError
from kdsearch.losses.adapters import aligned, shared_stages
from kdsearch.losses.base import DistillationLoss, LossContext, full_precision
from kdsearch.losses.bounds import at_least, check_samples, positive
from kdsearch.losses.unit import rounding
from kdsearch.students.outputs import Outputs

Nodes = Literal["samples", "pixels"]
Similarity = Literal["neg_l2", "rbf", "linear", "code"]
UNITS: dict[str, float] = {"neg_l2": 1.0, "rbf": 1.0, "linear": 1.0, "code": 100.0}
AROUND = [(y, x) for y, x in product(range(3), repeat=2) if (y, x) != (1, 1)]
NO_EDGE = -1e30  # not infinite: a node without neighbours would have no softmax


def sample_pairs(vectors: Tensor, similarity: Similarity) -> Tensor:
    """What tells all pairs of rows apart: (B, D) to (B, B).

    Inner products where the similarity is ``linear``, sums of absolute differences where it is
    ``code``, and else squared distances. A distance that is rounding noise is 0.
    """
    if similarity == "linear":
        return vectors @ vectors.mT
    # The usual matrix product loses all digits of a distance that is small against the norms.
    exact = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(vectors, vectors, 1 if similarity == "code" else 2, exact)
    distances = torch.where(distances > rounding(vectors), distances, 0.0)
    return distances if similarity == "code" else distances.square()


def pixel_pairs(maps: Tensor, similarity: Similarity) -> Tensor:
    """The same of every pixel and the eight around it: (B, C, H, W) to (B, 8, H, W)."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, (1, 1, 1, 1))
    around = (padded[:, :, y : y + height, x : x + width] for y, x in AROUND)
    if similarity == "linear":
        return torch.stack([(maps * other).sum(dim=1) for other in around], dim=1)
    if similarity == "code":
        return torch.stack([(maps - other).abs().sum(dim=1) for other in around], dim=1)
    return torch.stack([(maps - other).square().sum(dim=1) for other in around], dim=1)


def pixel_edges(maps: Tensor) -> Tensor:
    """Which of the eight around a pixel are in the picture: (B, C, H, W) to (1, 8, H, W)."""
    return pixel_pairs(torch.ones_like(maps[:1, :1]), "linear") > 0


def nearest(vectors: Tensor, neighbours: int) -> Tensor:
    """The graph of every row's nearest others: (B, D) to a mask (B, B), row i the ones of i."""
    distances = sample_pairs(vectors, "neg_l2").fill_diagonal_(torch.inf)
    count = min(neighbours, len(vectors) - 1)
    found = distances.topk(count, dim=1, largest=False).indices
    return torch.zeros_like(distances, dtype=torch.bool).scatter_(1, found, True)


def local_structure(
    pairs: Tensor, edges: Tensor, similarity: Similarity, temperature: float, relative: bool
) -> Tensor:
    """Log-softmax of the similarities of every node to its neighbours, which lie along dim 1."""
    scale: float | Tensor = UNITS[similarity]
    if relative:
        met = torch.where(edges, pairs, 0.0).abs().sum()
        mean = met / edges.expand_as(pairs).sum().clamp(min=1)
        scale = torch.where(mean > torch.finfo(mean.dtype).tiny, mean, 1.0)
    scaled = pairs / (temperature * scale)
    if similarity == "rbf":
        logits = (-scaled / 2).exp()
    elif similarity == "code":
        logits = (-scaled).exp()
    else:
        logits = scaled if similarity == "linear" else -scaled
    return F.log_softmax(torch.where(edges, logits, NO_EDGE), dim=1)


def lsp_loss(
    student: Tensor,
    teacher: Tensor,
    edges: Tensor,
    similarity: Similarity = "neg_l2",
    temperature: float = 1.0,
    relative: bool = True,
) -> Tensor:
    """KL of the teacher's local structure from the student's, a mean over nodes.

    Parameters
    ----------
    student, teacher : Tensor of shape (B, K, ...)
        What `sample_pairs` or `pixel_pairs` gives.
    edges : Tensor of bool, which can be broadcast to that shape
        Which of the K are neighbours of the node. A node without any adds 0, and counts.
    similarity : str
        Of pairs d: ``neg_l2`` is ``-d``, ``rbf`` is ``exp(-d / 2)``, ``linear`` is ``d``, and
        ``code`` is ``exp(-d)``.
    temperature : float
        What d is divided by first, above 0.
    relative : bool
        Whether d is divided by its mean over all edges too, for each network by its own. If not,
        ``code`` is divided by 100.
    """
    rule = (edges, similarity, temperature, relative)
    log_p, log_q = local_structure(student, *rule), local_structure(teacher.detach(), *rule)
    return torch.where(edges, log_q.exp() * (log_q - log_p), 0.0).sum(dim=1).mean()


class LSP(DistillationLoss):
    """Local structure preserving (Yang et al., 2020, arXiv:2003.10477).

    Equation: ``mean_i sum_(j in N(i)) q_ij log(q_ij / p_ij)``, p and q the softmax over the
    neighbours N(i) of a node of its similarities to them, of student and teacher.

    Made for graphs, and used here on two that images have: the samples of a batch, each with those
    nearest to it in the teacher's pooled vectors; or the pixels of one stage, each with the eight
    around it. Default weight 10. Search it in 0.1..1000, log, the neighbours in 4..16 and the
    temperature in 0.1..2, log.

    Pitfalls: without `relative` the softmax saturates, as distances grow with the width of a
    network, and a saturated one has no gradient. ``rbf`` and ``code`` similarities lie in 0..1:
    their softmax is nearly flat, and their weight has to be larger by one or two digits. The
    default is too heavy for small students; ``weight: auto`` with a scale of 0.1..1 is safe.

    Departs: the public code takes ``exp(-|h_i - h_j|_1 / 100)`` for similarity, which is the
    ``code`` form without `relative`. The default is the squared distance over its mean over all
    edges, so that neither the scale nor the width of the features matters. Where the paper has two
    layers of a graph network, samples have their pooled vectors.

    Cost: O(B^2 D) for samples, O(8 B C H W) for pixels.

    Parameters
    ----------
    nodes : str
        ``samples`` or ``pixels``.
    neighbours : int
        Of each sample, at least 2; in a small batch all the others. Pixels have eight, fewer at the
        border.
    stage : int
        Of the pixels, counted from the end: -1 is the last. The larger of two maps is averaged.
    similarity : str
        ``neg_l2``, ``rbf``, ``linear`` or ``code``.
    temperature : float
        Above 0: the lower, the more the nearest neighbours count.
    relative : bool
        Whether distances are measured in their mean, for each network in its own.
    """

    kind = "feature"
    taps = frozenset({"features", "pooled"})

    def __init__(
        self,
        nodes: Nodes = "samples",
        neighbours: int = 8,
        stage: int = -1,
        similarity: Similarity = "neg_l2",
        temperature: float = 0.5,
        relative: bool = True,
    ) -> None:
        super().__init__()
        remedy = "one alone is nearer than none; start with 8"
        self.neighbours = at_least("neighbours", neighbours, 2, remedy)
        self.stage, self.relative = stage, relative
        self.temperature = positive("temperature", temperature, start=0.5)
        self.similarity: Similarity = similarity
        self.nodes: Nodes = nodes
        reads = "pooled" if nodes == "samples" else "features"
        self.taps = frozenset({reads})

    def prepare(self, context: LossContext) -> None:
        """Check that there are nodes with more than one neighbour."""
        super().prepare(context)
        if self.nodes == "samples":
            check_samples(context, least=3)
            return
        stages = shared_stages(context.student.features, context.teacher.features, smallest=3)
        if self.stage not in stages:
            have = f"one of {', '.join(map(str, stages))}, or " if stages else ""
            raise UserError(
                "stage",
                f"stage {self.stage} has no map of 3 pixels or more in both networks; take {have}"
                "nodes: samples",
            )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """See `lsp_loss`; never in half precision."""
        source, target = self._read(student), self._read(teacher).detach()
        with torch.autocast(source.device.type, enabled=False):
            if self.nodes == "samples":
                edges = nearest(target, self.neighbours)
                p, q = (sample_pairs(x, self.similarity) for x in (source, target))
            else:
                source, target = aligned(source, target)
                edges = pixel_edges(source)
                p, q = (pixel_pairs(x, self.similarity) for x in (source, target))
            return lsp_loss(p, q, edges, self.similarity, self.temperature, self.relative)

    def _read(self, network: Outputs) -> Tensor:
        if self.nodes == "samples":
            nodes = network.pooled
        else:
            nodes = network.features[self.stage] if network.features else None
        if nodes is None:
            raise ValueError("prepare(context) comes before the first forward")
        return full_precision(nodes)
