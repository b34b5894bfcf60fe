"""FitNet: regression of one hidden stage through a learned adapter (Romero et al., 2015)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Size, Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.errors import UserError
from kdsearch.losses.base import DistillationLoss, LossContext, full_precision
from kdsearch.students.outputs import Outputs

WIDEST_KERNEL = 5  # a valid convolution from 32x32 to 8x8 would need 25x25: dearer than the student


def fitnet_loss(hint: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of the adapted student stage and the teacher's, of equal shapes."""
    return F.mse_loss(hint, target.detach())


def hint_adapter(student: Size, teacher: Size) -> nn.Module:
    """A map from a student stage to the shape of a teacher stage.

    Convolution, or linear layer, then batch norm. No ReLU: a stage may end before its last one (a
    pre-activation network) and then has negative values, which a rectified hint could never reach.

    Parameters
    ----------
    student, teacher : Size
        (B, C, H, W) or (B, D). Twice as large a map is met by a convolution of stride 2, half as
        large by a transposed one, a slightly larger one by a valid convolution, and any other by
        average pooling to the teacher's size. A map that meets a vector is averaged over positions.
    """
    inner, outer = student[1], teacher[1]
    if len(teacher) == 2:
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if len(student) == 4 else []
        return nn.Sequential(*pool, nn.Linear(inner, outer, bias=False), nn.BatchNorm1d(outer))
    convolution = _convolution(inner, outer, tuple(student[2:]), tuple(teacher[2:]))
    return nn.Sequential(*convolution, nn.BatchNorm2d(outer))


def _convolution(
    inner: int, outer: int, sizes: tuple[int, ...], targets: tuple[int, ...]
) -> list[nn.Module]:
    if all(size == 2 * target for size, target in zip(sizes, targets, strict=True)):
        return [nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False)]
    if all(2 * size == target for size, target in zip(sizes, targets, strict=True)):
        return [nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=False)]
    height, width = (1 + size - target for size, target in zip(sizes, targets, strict=True))
    if min(height, width) >= 1 and max(height, width) <= WIDEST_KERNEL:
        return [nn.Conv2d(inner, outer, (height, width), bias=False)]
    pool = nn.AdaptiveAvgPool2d((targets[0], targets[1]))  # repeats pixels where it has to grow
    return [pool, nn.Conv2d(inner, outer, 1, bias=False)]


class FitNet(DistillationLoss):
    """Hints for thin deep nets (Romero et al., 2015, arXiv:1412.6550, equation 3), joint form.

    The hint is trained together with the labels rather than in a stage before them. Default weight
    100; search it in 1..1000, log, and the stage in {-1, -2, -3}.

    Pitfalls: the adapter has to be in the optimizer and in train mode; its batch norm needs two
    samples a batch. The paper's cost is half a sum over channels: this loss times C / 2.

    Parameters
    ----------
    hint : int
        The stage, counted from the end (-1: the last one) or from the student's finest (0). Student
        and teacher may differ in their number of stages: they are matched from the end.
    """

    taps = frozenset({"features"})

    def __init__(self, hint: int = -2) -> None:
        super().__init__()
        self.hint = hint
        self._stage = hint
        self.adapter: nn.Module | None = None

    def prepare(self, context: LossContext) -> None:
        """Build the adapter between the two stages."""
        super().prepare(context)
        student, teacher = context.student.features, context.teacher.features
        stage = self.hint if self.hint < 0 else self.hint - len(student)
        shared = min(len(student), len(teacher))
        if not -shared <= stage < 0:
            raise UserError(
                "hint",
                f"stage {self.hint} does not exist in both networks (student: {len(student)} "
                f"stages, teacher: {len(teacher)}); take one of -1..-{shared}",
            )
        if context.batch_size < 2:
            raise UserError("batch_size", "must be at least 2 for the adapter's batch norm, got 1")
        self._stage = stage
        target = teacher[stage]
        self.adapter = hint_adapter(student[stage], _as_seen_by(student[stage], target))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """See `fitnet_loss`."""
        if self.adapter is None:
            raise ValueError("prepare(context) comes before the first forward")
        source, target = student.features[self._stage], teacher.features[self._stage]
        if target.ndim > source.ndim:
            target = target.mean(dim=(2, 3))
        hint = self.adapter(full_precision(source))  # its weights are float32, autocast or not
        return fitnet_loss(full_precision(hint), full_precision(target))


def _as_seen_by(student: Size, teacher: Size) -> Size:
    return teacher[:2] if len(teacher) > len(student) else teacher
