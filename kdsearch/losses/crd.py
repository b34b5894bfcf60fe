"""CRD: the same sample told apart from others, across two networks (Tian et al., 2020)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.errors import UserError
from kdsearch.losses.base import DistillationLoss, LossContext, pooled_pair
from kdsearch.losses.bounds import at_least, check_samples, positive
from kdsearch.losses.memory import Bank, Pair, Queue
from kdsearch.losses.unit import unit
from kdsearch.students.outputs import Outputs

EPSILON = 1e-7  # of the authors' code, beside the share of noise


def log_partition(scores: Tensor, samples: int) -> Tensor:
    """Logarithm of Z: the mean exponential of scores, times the samples that there are."""
    return scores.flatten().logsumexp(0) + math.log(samples / scores.numel())


def nce_loss(log_scores: Tensor, samples: int) -> Tensor:
    """Noise-contrastive estimation: tell what is in column 0 from the noise in the others.

    Parameters
    ----------
    log_scores : Tensor of shape (B, 1 + K)
        Logarithms of unnormalised probabilities; minus infinity takes a column out of the noise.
    samples : int
        That noise is drawn from: every one has the probability ``1 / samples``.
    """
    share = (log_scores.shape[1] - 1) / samples
    edge = math.log(share + EPSILON)
    real, noise = log_scores[:, 0] - edge, edge - log_scores[:, 1:]
    constant = (log_scores.shape[1] - 1) * (math.log(share) - edge)
    return -(F.logsigmoid(real) + F.logsigmoid(noise).sum(1) + constant).mean()


class CRD(DistillationLoss):
    """Contrastive representation distillation (Tian, Krishnan & Isola, 2020, arXiv:1910.10699).

    Equation: ``L(s) + L(t)``, ``L = -mean(log h_0 + sum_k log(1 - h_k))``, ``h = o / (o + K / N)``,
    ``o_k = exp(v . m_k / temperature) / Z``, v the vector of a sample in one network, m_0 what is
    remembered of it in the other, and m_k of K samples of other classes.

    The vectors are learned linear maps of the pooled ones, of length 1. Z is N times the mean
    exponential of the first batch, and stays. A ``bank`` remembers every training sample, and
    forgets it slowly; a ``queue`` holds the last K samples alone, so that it does not grow with the
    data, and passes over those of the sample's own class. Default weight 0.8. Search it in 0.1..3,
    log, the temperature in 0.05..0.2, log, and the negatives in {1024, 4096, 16384}, up to the
    number of samples.

    Pitfalls: where the other classes have fewer samples than there are `negatives`, these repeat:
    fewer cost less and say as much. The batches have to number their samples (``Batch.index``).
    Without the bank, Z and the seed of the draws a resumed training is another one; all three are
    in the state of this loss.

    Departs: negatives are drawn with repetition, where the authors' draw without it, on the CPU.
    The bank starts from unit vectors. The queue is not in the paper: its positive is the other
    network's vector of the same batch.

    Cost: O(B N D) for a bank of 8 N D bytes, which is copied each step; O(B K D) for a queue.

    Parameters
    ----------
    form : str
        ``bank`` or ``queue``.
    negatives : int
        K, at least 1; of a queue its length, at least a batch.
    temperature : float
        Above 0.
    width : int
        Of the learned vectors, at least 1.
    momentum : float
        Share of a bank's old vector that stays, at least 0 and below 1; a queue has none.
    """

    kind = "relation"
    taps = frozenset({"pooled"})
    log_z: Tensor

    def __init__(
        self,
        form: Literal["bank", "queue"] = "bank",
        negatives: int = 16384,
        temperature: float = 0.07,
        width: int = 128,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise UserError(
                "momentum", f"must be at least 0 and below 1, got {momentum}; start with 0.5"
            )
        self.form = form
        self.negatives = at_least("negatives", negatives, 1, "start with 4096")
        self.width = at_least("width", width, 1, "start with 128")
        self.momentum = momentum
        self.temperature = positive("temperature", temperature, 0.07)
        self.samples = 0
        self.embed = nn.ModuleDict()
        self.memory: Bank | Queue | None = None

    def prepare(self, context: LossContext) -> None:
        """Build both embeddings and the memory."""
        super().prepare(context)
        _check_classes(context)
        if self.form == "bank":
            self.memory = Bank(context, self.width, self.negatives, self.momentum)
        else:
            self.memory = Queue(context, self.width, self.negatives)
        for name, shapes in (("student", context.student), ("teacher", context.teacher)):
            assert shapes.pooled is not None  # the base class has asked
            self.embed[name] = nn.Linear(shapes.pooled[1], self.width)
        self.samples = context.samples
        self.register_buffer("log_z", torch.full((2,), torch.nan))  # until the first batch

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """`nce_loss` of either network against the other; the memory changes in train mode."""
        if self.memory is None:
            raise ValueError("prepare(context) comes before the first forward")
        source, target = pooled_pair(student, teacher)
        with torch.autocast(source.device.type, enabled=False):
            vectors = (
                unit(self.embed["student"](source), dim=1),
                unit(self.embed["teacher"](target), dim=1),
            )
            first, second = self.memory(vectors, batch)
            loss = self._contrast((first / self.temperature, second / self.temperature))
        if self.training:
            self.memory.remember((vectors[0].detach(), vectors[1].detach()), batch)
        return loss

    def _contrast(self, scores: Pair) -> Tensor:
        fresh = torch.stack([log_partition(x.detach(), self.samples) for x in scores])
        known = torch.where(self.log_z.isnan(), fresh, self.log_z)  # no wait for the device
        if self.training:
            self.log_z = known
        first, second = (
            nce_loss(x - log_z, self.samples) for x, log_z in zip(scores, known, strict=True)
        )
        return first + second


def _check_classes(context: LossContext) -> None:
    check_samples(context, least=2)
    labels = context.labels
    if labels is None:  # shapes alone are checked
        return
    if len(labels) != context.samples:
        raise ValueError(f"{len(labels)} labels for {context.samples} samples")
    if bool((labels == labels[0]).all()):
        fault = "CRD compares with samples of other classes, and the training split has one class"
        raise UserError("method", f"{fault}; take more images, or rkd")
