"""ReviewKD: deep student features help to say what shallow teacher ones are (Chen et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.losses.adapters import as_map, averaged, check_batch_norm
from kdsearch.losses.base import DistillationLoss, LossContext, full_precision
from kdsearch.students.outputs import Outputs

WIDEST = 512  # channels inside the fusion
COARSER = (4, 2, 1)  # sizes at which two maps are compared, beside their own
Level = TypeVar("Level", Tensor, Size)


def hcl_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Hierarchical context loss: mean squared differences of maps and of their averages.

    Parameters
    ----------
    student, teacher : Tensor of shape (B, C, H, W)
        Compared as they are, then averaged to 4x4, 2x2 and 1x1, those below both H and W; each
        counts half as much as the one before, and all together as 1.
    """
    gap = teacher.detach() - student  # averaging is linear: one pass instead of two
    sizes = [size for size in COARSER if size < min(gap.shape[2:])]
    levels = [gap, *(averaged(gap, (size, size)) for size in sizes)]
    weights = [0.5**i for i in range(len(levels))]
    losses = [w * level.square().mean() for w, level in zip(weights, levels, strict=True)]
    return torch.stack(losses).sum() / sum(weights)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (B, C, H, W) at another size: pixels are repeated where it grows, else averaged."""
    height, width = size
    if height >= maps.shape[2] and width >= maps.shape[3]:
        # Adaptive pooling would repeat them too, with a gradient in no fixed order on a GPU.
        return maps if maps.shape[2:] == (height, width) else F.interpolate(maps, (height, width))
    return averaged(maps, (height, width))


class Fusion(nn.Module):
    """Attention-based fusion of a student stage with what the deeper stages have to say.

    Parameters
    ----------
    inner, middle, outer : int
        Channels of the student's stage, of what is handed on, and of the teacher's stage.
    deepest : bool
        Nothing lies deeper: there is nothing to fuse.
    """

    def __init__(self, inner: int, middle: int, outer: int, deepest: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(inner, middle, 1, bias=False), nn.BatchNorm2d(middle))
        self.leave = nn.Sequential(
            nn.Conv2d(middle, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer)
        )
        self.attention = None if deepest else nn.Conv2d(2 * middle, 2, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.attention:
                nn.init.kaiming_uniform_(module.weight, a=1)

    def forward(
        self, student: Tensor, deeper: Tensor | None, size: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The stage in the teacher's shape, and what is handed on to the next finer one.

        Parameters
        ----------
        student : Tensor of shape (B, C_inner, h, w)
        deeper : Tensor of shape (B, C_middle, ...) or None
            What the stage behind handed on.
        size : height and width of the teacher's stage
        """
        x = self.enter(student)
        if self.attention is not None and deeper is not None:
            deeper = resized(deeper, x.shape[2:])
            shares = self.attention(torch.cat([x, deeper], dim=1)).sigmoid()
            x = x * shares[:, :1] + deeper * shares[:, 1:]
        x = resized(x, size)
        return self.leave(x), x


class ReviewKD(DistillationLoss):
    """Knowledge review (Chen et al., 2021, arXiv:2104.09044).

    Equation: ``sum over stages of HCL(ABF(F_s, deeper), F_t)``: ABF fuses a student stage with the
    deeper ones by learned attention, HCL is the mean squared difference at several sizes.

    A shallow stage of the teacher is learned by all student stages from there on, the pooled vector
    included, which is the deepest. The student's stages are taken after their ReLU, the teacher's
    before it where it shows them so. All stages that both networks have count, matched from the
    end; a vector is a map of one pixel. Default weight 5. Search it in 0.3..10, log, and let it
    rise over the first twelfth of the epochs.

    Pitfalls: without a rising weight the start may be unstable. The adapters are as large as a
    small student, and cost as much in training; they leave with the loss. Their batch norm needs
    two samples a batch.

    Departs: a map that is larger than the teacher's is averaged, where public code takes every
    other pixel. The published weights are 5 for wide and 8 for light students, 1 and below for
    deep thin ones.

    Cost: a 1x1 and a 3x3 convolution a stage, O(B M (C_s H_s W_s + 9 C_t H_t W_t)), M the width of
    the student's pooled vector or 512, whichever is less.
    """

    kind = "feature"
    taps = frozenset({"features", "pooled"})  # the teacher's pre-activations only where there are

    def __init__(self) -> None:
        super().__init__()
        self.fusions = nn.ModuleList()

    def prepare(self, context: LossContext) -> None:
        """Build one fusion for each pair of stages, the deepest first."""
        super().prepare(context)
        check_batch_norm(context.batch_size)
        student = _levels(context.student.pooled, context.student.features)
        shown = context.teacher.preactivations or context.teacher.features
        if context.teacher.preactivations:
            self.taps = self.taps | {"preactivations"}
        teacher = _levels(context.teacher.pooled, shown)
        middle = min(student[0][1], WIDEST)
        self.fusions.extend(
            Fusion(s[1], middle, t[1], deepest=i == 0)
            for i, (s, t) in enumerate(zip(student, teacher, strict=False))
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The sum of `hcl_loss` over stages."""
        if not self.fusions:
            raise ValueError("prepare(context) comes before the first forward")
        before = "preactivations" in self.taps  # `prepare` found them; else they may not be read
        shown = teacher.preactivations if before else teacher.features
        levels = _levels(student.pooled, student.features), _levels(teacher.pooled, shown)
        deeper: Tensor | None = None
        losses: list[Tensor] = []
        for fusion, (source, target) in zip(self.fusions, zip(*levels, strict=False), strict=False):
            target = as_map(full_precision(target))
            said, deeper = fusion(as_map(full_precision(source)), deeper, target.shape[2:])
            losses.append(hcl_loss(full_precision(said), target))
        return torch.stack(losses).sum()


def _levels(pooled: Level | None, stages: Sequence[Level]) -> list[Level]:
    """The pooled vector and the stages, deepest first."""
    return [*([] if pooled is None else [pooled]), *stages[::-1]]
