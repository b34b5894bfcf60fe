"""MHGD: graphs over a batch, from attention that is trained on the teacher (Lee & Song, 2019)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.errors import UserError
from kdsearch.losses.adapters import as_map
from kdsearch.losses.base import DistillationLoss, LossContext, Stage, full_precision
from kdsearch.losses.bounds import at_least, check_samples
from kdsearch.losses.draws import Draws
from kdsearch.losses.frozen import Freezable
from kdsearch.losses.singular import matched, oriented, singular_vectors
from kdsearch.losses.unit import unit
from kdsearch.students.outputs import Outputs

Direction = Literal["reverse", "forward"]
CANDIDATES = 4  # singular vectors of the student among which the teacher's is looked for


def head_logits(sent: Tensor, received: Tensor, heads: int) -> Tensor:
    """Products of the parts that each head reads: two (B, d x heads) to (heads, B, B).

    The head is the faster index of a row.
    """
    queries, keys = (x.unflatten(1, (-1, heads)).permute(2, 0, 1) for x in (sent, received))
    return queries @ keys.mT


def graph_loss(student: Tensor, teacher: Tensor, direction: Direction = "reverse") -> Tensor:
    """KL of two sets of graphs (heads, B, B), a mean over heads and rows.

    Parameters
    ----------
    student, teacher : Tensor
        Logits. The softmax of their tanh, along the last dimension, makes them graphs.
    direction : str
        ``reverse``: KL(student || teacher). ``forward``: KL(teacher || student).
    """
    p, q = (x.tanh().log_softmax(dim=2) for x in (student, teacher.detach()))
    against, of = (q, p) if direction == "reverse" else (p, q)
    return F.kl_div(against, of, reduction="none", log_target=True).sum(dim=2).mean()


class Attention(Freezable):
    """Heads that see which samples lead from one stage to the next, for vectors of a teacher.

    Parameters
    ----------
    before, after : int
        Widths of the two stages.
    heads : int
    """

    def __init__(self, before: int, after: int, heads: int) -> None:
        super().__init__()
        width = (before + after) // 2
        wide = width * heads
        self.heads = heads
        self.send = nn.Sequential(nn.Linear(after, wide, bias=False), nn.BatchNorm1d(wide))
        # Its scale would be the other one's, and its shift the same for a whole row of the softmax.
        plain = nn.BatchNorm1d(wide, affine=False)
        self.receive = nn.Sequential(nn.Linear(before, wide, bias=False), plain)
        self.value = nn.Sequential(
            nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.estimate = nn.Linear(wide, after)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Logits (heads, B, B) of the graphs, from vectors (B, D) of both stages."""
        return head_logits(self.send(after), self.receive(before), self.heads)

    def estimation_loss(self, before: Tensor, after: Tensor, generator: torch.Generator) -> Tensor:
        """One minus the cosine of `after` with what the graphs make of `before`.

        About half of the heads are left out of every row, at random, so that each learns to do
        without the others.
        """
        graphs = self(before, after).softmax(dim=2)
        noise = torch.randn(
            (*graphs.shape[:2], 1), generator=generator, device=graphs.device, dtype=graphs.dtype
        )
        kept = graphs * (noise >= noise.mean(dim=0))  # a single head is its own mean, and stays
        mixed = (kept @ self.value(before)).transpose(0, 1).flatten(1)
        return 1 - (unit(self.estimate(mixed), dim=1) * after).sum(dim=1).mean()


class MHGD(DistillationLoss):
    """Multi-head graph distillation (Lee & Song, 2019, arXiv:1907.02226).

    Equation: ``sum over pairs of mean(KL(softmax(tanh A_s) || softmax(tanh A_t)))``, ``A = <S(v_i),
    R(v_(i-1))>`` for every head and every two samples, v_i the first right singular vector of a
    sample's map at stage i.

    The heads S and R are learned first, on the teacher alone: an estimator has to find v_i from
    v_(i-1) through the graphs. Then they are frozen, batch norm too, and read both networks. Stages
    are matched from the end, and two are needed; a vector is a map of one pixel. Of the student's
    first four singular vectors, the one nearest to the teacher's counts. Default weight 1, whatever
    the batch, for heads that have learned some tens of steps; better ``auto``, with a `scale`.
    Search it in 0.01..10, log, or the scale in 0.1..10, log; and the heads in {2, 4, 8, 16}.

    Pitfalls: how large the loss is depends on how long the heads have learned more than on the
    student or the teacher: on the digits ``auto`` finds a weight of 30 after 2 steps of the heads,
    14 after 6, 2 after 18, 0.5 after 54 and 0.4 after 180. tanh keeps the logits within 1, so no
    graph is far from uniform, and where it saturates there is no gradient. Singular vectors turn
    fast where two singular values are close: the gradient is held there. Rows are graphs over a
    batch: keep it at 32 or more.

    Departs: the authors have no weight. They clip this loss's gradient to the length of the label
    loss's times a sigmoid of the epoch; that rule is left out, and ``weight: auto`` with a `scale`
    stands in for it. A mean over heads and rows, where the authors' code takes the sum: B times
    `heads` times this. Vectors have the sign of the mean position, which is arbitrary in the
    authors' code. Where the widths of a stage differ, a learned linear map carries the student's
    singular vectors over; the authors' later code maps the features, with batch norm.

    Cost: an eigendecomposition for each sample and stage, O(B min(D, H W)^3), and O(heads B^2 D).

    Parameters
    ----------
    heads : int
        At least 1.
    direction : str
        ``reverse``: KL(student || teacher), as in the authors' code. ``forward``: KL(teacher ||
        student).
    pretrain_epochs : int
        Epochs of the heads, at least 1; the student does not learn in them.
    """

    kind = "relation"
    taps = frozenset({"features"})

    def __init__(
        self, heads: int = 8, direction: Direction = "reverse", pretrain_epochs: int = 1
    ) -> None:
        super().__init__()
        self.heads = at_least("heads", heads, 1, "the paper takes 8")
        remedy = "heads that have learned nothing attend to nothing"
        self.pretrain_epochs = at_least("pretrain_epochs", pretrain_epochs, 1, remedy)
        self.direction: Direction = direction
        self.draws = Draws()
        self.attention = nn.ModuleList()
        self.adapters = nn.ModuleList()

    def prepare(self, context: LossContext) -> None:
        """Build heads for every two neighbouring stages, and adapters where the widths differ."""
        super().prepare(context)
        check_samples(context, least=2)
        student, teacher = context.student.features, context.teacher.features
        stages = range(-min(len(student), len(teacher)), 0)
        if len(stages) < 2:
            raise UserError(
                "method",
                "MHGD needs two stages in both networks, and the student shows "
                f"{len(student)}, the teacher {len(teacher)}; rkd or sp work with one",
            )
        widths = [(student[i][1], teacher[i][1]) for i in stages]
        self.adapters.extend(
            nn.Identity() if inner == outer else nn.Linear(inner, outer, bias=False)
            for inner, outer in widths
        )
        self.attention.extend(
            Attention(before, after, self.heads)
            for before, after in pairwise(outer for _, outer in widths)
        )

    def stages(self) -> tuple[Stage, ...]:
        """The heads, which need no student."""
        return (Stage("heads", self.pretrain_epochs, self._estimate, (self.attention,), False),)

    def end_stages(self) -> None:
        """The heads are a fixed measure from here on."""
        for attention in self.attention:
            assert isinstance(attention, Attention)
            attention.freeze()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The sum of `graph_loss` over neighbouring stages, never in half precision."""
        with torch.autocast(student.logits.device.type, enabled=False):
            targets = self._teacher_vectors(teacher)
            features = student.features[-len(targets) :]
            sources = [
                self._student_vectors(*parts)
                for parts in zip(features, self.adapters, targets, strict=True)
            ]
            losses = [
                graph_loss(heads(*s), heads(*t), self.direction)
                for heads, s, t in zip(
                    self.attention, pairwise(sources), pairwise(targets), strict=True
                )
            ]
        return torch.stack(losses).sum()

    def _estimate(self, student: Outputs | None, teacher: Outputs, batch: Batch) -> Tensor:
        device = teacher.features[-1].device
        generator = self.draws.next(device)
        with torch.autocast(device.type, enabled=False):
            pairs = pairwise(self._teacher_vectors(teacher))
            losses: list[Tensor] = []
            for heads, (before, after) in zip(self.attention, pairs, strict=True):
                assert isinstance(heads, Attention)
                losses.append(heads.estimation_loss(before, after, generator))
        return torch.stack(losses).sum()

    @torch.no_grad()
    def _teacher_vectors(self, teacher: Outputs) -> list[Tensor]:
        count = len(self.adapters)
        if not count:
            raise ValueError("prepare(context) comes before the first forward")
        maps = [_positions(features) for features in teacher.features[-count:]]
        return [oriented(singular_vectors(x, 1), x).squeeze(2) for x in maps]

    def _student_vectors(self, features: Tensor, adapter: nn.Module, target: Tensor) -> Tensor:
        candidates = singular_vectors(_positions(features), CANDIDATES)
        if not isinstance(adapter, nn.Identity):
            candidates = unit(adapter(candidates.mT), dim=2).mT
        return matched(candidates, target[:, :, None]).squeeze(2)


def _positions(features: Tensor) -> Tensor:
    """A stage as (B, positions, channels)."""
    return as_map(full_precision(features)).flatten(2).mT
