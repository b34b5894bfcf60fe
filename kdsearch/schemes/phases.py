"""What one training does one after another: the stages of its losses, then the student itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.data import Batch
from kdsearch.losses import Stage
from kdsearch.schemes.parts import Parts
from kdsearch.schemes.terms import Term
from kdsearch.students.outputs import Outputs


class StepLoss(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    total : Tensor of shape ()
        What is minimised.
    terms : dict of str to Tensor
        The parts of it, unweighted.
    student, teacher : Outputs or None
        What the networks said, of those that were asked.
    """

    total: Tensor
    terms: dict[str, Tensor]
    student: Outputs | None
    teacher: Outputs | None


class Step(Protocol):
    """The loss of one batch."""

    def __call__(self, batch: Batch, progress: float) -> StepLoss:
        """The loss after `progress` epochs of the phase."""
        ...


@dataclass(frozen=True)
class Phase:
    """Epochs that share an optimizer and a loss.

    Attributes
    ----------
    name : str or None
        None: the student's own training, the last phase of all.
    first, last : int
        Epochs of the whole training, both included; a phase without an epoch is left out.
    schedule : str
        Of the learning rate, over the phase alone.
    modules : sequence of nn.Module
        What learns, in train mode.
    step : Step
    """

    name: str | None
    first: int
    last: int
    schedule: str
    modules: Sequence[nn.Module]
    step: Step

    @property
    def epochs(self) -> int:
        """How many epochs the phase has."""
        return self.last - self.first + 1

    def trains(self, module: nn.Module) -> bool:
        """Whether the module learns."""
        return any(module is one for one in self.modules)


def phases(parts: Parts) -> Iterator[Phase]:
    """The phases of a training, each to be run before the next is asked for."""
    begin = 1
    for term in parts.terms:
        stages = term.loss.stages()
        for stage in stages:
            modules = [parts.student, *stage.modules] if stage.student else stage.modules
            step = _StageStep(parts, term, stage)
            end = begin + stage.epochs - 1
            yield Phase(stage.name, begin, end, "cosine", modules, step)
            begin = end + 1
        if stages:
            term.loss.end_stages()
            term.forget()
    terms = [term for term in parts.terms if term.loss.joint]
    modules = [parts.student, *(term.loss for term in terms)]
    training = parts.training
    step = _MainStep(parts, terms, training.epochs - begin + 1)
    yield Phase(None, begin, training.epochs, training.lr_schedule, modules, step)


class _StageStep:
    def __init__(self, parts: Parts, term: Term, stage: Stage) -> None:
        self.parts, self.term, self.stage = parts, term, stage

    def __call__(self, batch: Batch, progress: float) -> StepLoss:
        student, teacher = outputs(self.parts, batch, student=self.stage.student)
        value = self.stage.loss(student, teacher, batch)
        if student is None:
            return StepLoss(value, {self.term.name: value}, None, teacher)
        if self.term.measuring:  # the labels play no part here, but say how hard a pull is
            label = label_loss(self.parts, student, batch)
            self.term.measure(label, value, self.parts.student)
        return StepLoss(self.term.factor * value, {self.term.name: value}, student, teacher)


class _MainStep:
    """``label_weight x CE + sum of factor x loss``."""

    def __init__(self, parts: Parts, terms: Sequence[Term], epochs: int) -> None:
        self.parts, self.terms, self.epochs = parts, terms, epochs

    def __call__(self, batch: Batch, progress: float) -> StepLoss:
        shares = [(term, term.share(progress, self.epochs)) for term in self.terms]
        active = [(term, share) for term, share in shares if share > 0]
        student, teacher = outputs(self.parts, batch, teacher=bool(active))
        assert student is not None
        label = label_loss(self.parts, student, batch)
        total = self.parts.training.label_weight * label
        values = {"label": label}
        for term, share in active:
            value = values[term.name] = term.loss(student, teacher, batch)
            if term.measuring:
                term.measure(label, value, self.parts.student)
            total = total + share * term.factor * value
        return StepLoss(total, values, student, teacher)


def label_loss(parts: Parts, student: Outputs, batch: Batch) -> Tensor:
    """Cross-entropy with the labels, smoothed if the training says so."""
    smoothing = parts.training.label_smoothing
    return F.cross_entropy(student.logits.float(), batch.labels, label_smoothing=smoothing)


def outputs(
    parts: Parts, batch: Batch, *, student: bool = True, teacher: bool = True
) -> tuple[Outputs | None, Outputs | None]:
    """What the networks that are asked for say of a batch."""
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=autocast(parts)):
        with parts.clock.part("teacher"):
            taught = parts.teacher.outputs(batch) if teacher and parts.teacher is not None else None
        with parts.clock.part("student forward"):
            said = parts.student(batch.inputs) if student else None
    return said, taught


def autocast(parts: Parts) -> bool:
    """Whether forward passes run in bfloat16."""
    amp = parts.training.amp
    return amp == "bfloat16" or (amp == "auto" and parts.device.type == "cuda")
