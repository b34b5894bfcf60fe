"""What every distillation loss is: taps, adapters, one scalar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from kdsearch.data.images import Batch
from kdsearch.errors import UserError
from kdsearch.students.outputs import Outputs, OutputShapes


@dataclass(frozen=True, slots=True)
class LossContext:
    """What a loss may know before the optimizer exists.

    Attributes
    ----------
    student, teacher : OutputShapes
        Of one batch; the batch dimension may be any number.
    classes : int
        Columns of the student's logits.
    samples : int
        Rows of the training split: the range of ``Batch.index``.
    batch_size : int
        Rows of a full training batch.
    epochs : int
        Of the whole training, pre-training included.
    labels : Tensor of shape (N,) or None
        Classes of the training split by ``Batch.index``; None while only shapes are checked.
    """

    student: OutputShapes
    teacher: OutputShapes
    classes: int
    samples: int
    batch_size: int
    epochs: int = 1
    labels: Tensor | None = None


class Stage(NamedTuple):
    """Training that comes before the student's own, out of the same budget of epochs.

    Attributes
    ----------
    name : str
    epochs : int
    loss : callable
        ``(student, teacher, batch) -> scalar``. The student's outputs are None where the stage does
        not train it, and are then not computed.
    modules : tuple of nn.Module
        Parts of the loss that learn in this stage.
    student : bool
        Whether the student learns too. If so the term's weight applies.
    """

    name: str
    epochs: int
    loss: Callable[..., Tensor]
    modules: tuple[nn.Module, ...]
    student: bool = True


class DistillationLoss(nn.Module):
    """The distance of a student from its teacher on one batch.

    The label loss and the term's weight belong to the scheme. The constructor takes plain numbers
    and words only: its signature is the schema that a search file is checked against. Adapters are
    built in `prepare`, are parameters of the loss, and leave with it: no student grows by them.

    Attributes
    ----------
    kind : str
        What is compared: the ``response``, a ``feature`` or a ``relation`` between samples.
    taps : frozenset of str
        The parts of `Outputs` that are read: ``logits``, ``features``, ``pooled``,
        ``preactivations``. A loss that reads logits alone may be given a teacher whose logits were
        computed once.
    joint : bool
        Whether the loss is a term of the student's own training too, after its stages.
    """

    kind: ClassVar[Literal["response", "feature", "relation"]] = "response"
    taps: frozenset[str] = frozenset({"logits"})
    joint: bool = True

    def prepare(self, context: LossContext) -> None:
        """Check the wiring and build the adapters; call it once, before the optimizer is made.

        It is called when a search is checked too, under ``torch.device("meta")``: shapes are there,
        values are not.

        Raises
        ------
        UserError
            A network does not show what the loss reads, or the two do not fit each other.
        """
        for owner, shapes in (("student", context.student), ("teacher", context.teacher)):
            for tap in sorted(self.taps):
                if not getattr(shapes, tap):
                    raise UserError(
                        "method",
                        f"{type(self).__name__} reads {tap}, which the {owner} does not show; "
                        "choose a network of another family, or kd, which reads logits alone",
                    )
        student, teacher = context.student.logits[1], context.teacher.logits[1]
        if "logits" in self.taps and student != teacher:
            raise UserError(
                "method",
                f"{type(self).__name__} compares class by class, and the student has {student} "
                f"classes, the teacher {teacher}; take a teacher of the same classes",
            )

    def stages(self) -> tuple[Stage, ...]:
        """Training that comes before the student's own, in order; asked after `prepare`."""
        return ()

    def end_stages(self) -> None:
        """The stages are over: freeze what has learned enough. Called once, before the rest."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The loss as a scalar of shape (), at least float32; no gradient reaches the teacher."""
        raise NotImplementedError


def pooled_pair(student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
    """The pooled vectors of both networks in full precision; no gradient reaches the teacher."""
    if student.pooled is None or teacher.pooled is None:
        raise ValueError("prepare(context) comes before the first forward")
    return full_precision(student.pooled), full_precision(teacher.pooled.detach())


def full_precision(tensor: Tensor) -> Tensor:
    """The tensor in float32 where it is in half precision, and as it is otherwise.

    Losses are small differences of large numbers: bfloat16 keeps two or three digits of each.
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
