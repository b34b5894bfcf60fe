"""One trial: a `TrialSpec` becomes an iterator of `EpochReport`, and a trained student."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from kdsearch.allocator import keep_freed_memory
from kdsearch.architecture import Architecture
from kdsearch.config import Plan, TrialSpec, identity
from kdsearch.data import Batches, ImageData
from kdsearch.errors import UserError
from kdsearch.losses import LossContext
from kdsearch.measures import Measuring
from kdsearch.results.records import EpochReport
from kdsearch.schemes import SCHEMES, Parts, Term, build_terms, read_state, state_to_bytes
from kdsearch.schemes.clock import Clock
from kdsearch.starts import STARTS, Materials
from kdsearch.students import output_shapes
from kdsearch.teachers import (
    CachedTeacher,
    FrozenTeacher,
    StoredTeacher,
    Teacher,
    TeacherRecord,
    TeacherStore,
    network_of,
)

NO_CLOCK = Clock()
# Of a spec, what says where data are held: a state is of the same training wherever that is.
ELSEWHERE: Any = {"plan": {"data": {"stream", "memory_mib"}}}


@dataclass(frozen=True)
class Surroundings:
    """What a trial needs beside its spec, and shares with other trials.

    Attributes
    ----------
    data : ImageData
    teacher : TeacherRecord or None
        None where no loss term, measure or start asks for one.
    device : str
    store : TeacherStore or None
        The teacher's outputs under the trial's augmentation, as far as they are kept.
    clock : Clock
        Told what the training is at.
    """

    data: ImageData
    teacher: TeacherRecord | None = None
    device: str = "cpu"
    store: TeacherStore | None = None
    clock: Clock = NO_CLOCK


class Training(Iterator[EpochReport]):
    """A trial under way: its reports, one an epoch. Nothing begins before the first is asked for.

    The end of the iteration carries the trained student, in eval mode, as a generator's does:
    ``StopIteration.value``.
    """

    def __init__(self, spec: TrialSpec, around: Surroundings, state: bytes | None = None) -> None:
        self._owner = identity(spec.model_dump(mode="json", exclude=ELSEWHERE))
        self._parts: Parts | None = None
        self._reports = self._run(spec, around, state)

    def __next__(self) -> EpochReport:
        return next(self._reports)

    def state(self) -> bytes:
        """All that the epochs after the last report depend on; `run_trial` goes on from it.

        A loss of a user's own keeps what is neither parameter nor buffer in its `get_extra_state`.
        """
        if self._parts is None or self._parts.standing is None:
            raise ValueError("a training has a state after its first report")
        return state_to_bytes(self._parts, self._owner)

    def close(self) -> None:
        """End it at once."""
        self._reports.close()

    def _run(
        self, spec: TrialSpec, around: Surroundings, state: bytes | None
    ) -> Generator[EpochReport, None, nn.Module]:
        if spec.plan.taught and around.teacher is None:
            raise UserError("teacher", teacher_missing(spec.plan))
        saved = None if state is None else read_state(state, self._owner)
        torch.set_num_threads(spec.threads)
        keep_freed_memory()
        torch.manual_seed(spec.seed)  # adapters and dropout draw from the global generator
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        parts = self._parts = _build_parts(spec, around)
        parts.saved = saved
        reports = SCHEMES[spec.plan.training.scheme](parts)
        yield from _measured(reports, spec, around, parts) if spec.plan.measures else reports
        return parts.student.eval()


def run_trial(spec: TrialSpec, around: Surroundings, state: bytes | None = None) -> Training:
    """Train the student of `spec`, or go on with a training that was paused.

    The same spec in the same surroundings gives the same reports, on the same machine and versions;
    on a GPU to within the rounding of sums whose order the hardware chooses. Pausing after any
    epoch changes none of them.

    Parameters
    ----------
    spec : TrialSpec
    around : Surroundings
    state : bytes, optional
        What `Training.state` gave: the reports of the epochs after it follow.

    Returns
    -------
    Training
        An iterator of reports, one an epoch. Its end carries the trained student.

    Raises
    ------
    UserError
        When the first report is asked for: a loss that does not fit the two networks, no teacher
        where one is asked for, or a state (`StateError`) that is damaged or of another trial.
    """
    return Training(spec, around, state)


def _build_parts(spec: TrialSpec, around: Surroundings) -> Parts:
    """The parts of a training as it begins."""
    plan, device = spec.plan, torch.device(around.device)
    batches = Batches(
        around.data, plan.data.batch_size, plan.data.augment, spec.seed, around.device, plan.views
    )
    student = _begun(spec, around, batches)
    terms = build_terms(plan.losses, loss_context(spec, around)) if plan.terms else []
    for term in terms:
        term.loss.to(device)
    teacher = _teacher(around, terms, plan)
    slots = student, teacher, terms, batches, plan.training, spec.rungs, device
    return Parts(*slots, clock=around.clock)


def train_to_end(spec: TrialSpec, around: Surroundings) -> tuple[list[EpochReport], nn.Module]:
    """All of `run_trial` at once: its reports, and the trained student."""
    training, reports = run_trial(spec, around), []
    while True:
        try:
            reports.append(next(training))
        except StopIteration as stop:
            return reports, stop.value


def teacher_missing(plan: Plan) -> str:
    """What to say of a plan that asks a teacher and has none."""
    if not (plan.terms or plan.measures):
        return f"the start, {plan.start.name}, needs a teacher; add the section, or begin otherwise"
    who = "losses" if plan.terms else "measures"
    return f"the {who} need a teacher; add the section, or remove the {who}"


def loss_context(spec: TrialSpec, around: Surroundings) -> LossContext:
    """What the losses of a trial may know: shapes of both networks, classes, samples."""
    assert around.teacher is not None
    size = spec.plan.data.batch_size
    return LossContext(
        student=output_shapes(Architecture.from_json(spec.architecture), size),
        teacher=output_shapes(Architecture.from_json(around.teacher.architecture), size),
        classes=len(around.data.classes),
        samples=len(around.data.train.labels),
        batch_size=size,
        epochs=spec.plan.training.last_epoch,
        labels=around.data.train.labels,
    )


def _teacher(around: Surroundings, terms: Sequence[Term], plan: Plan) -> Teacher | None:
    """The cheapest teacher that says the same: what was once computed, or the network itself."""
    if around.teacher is None or not terms:
        return None
    record, taps = around.teacher, frozenset().union(*(term.loss.taps for term in terms))
    plain = plan.data.augment == "none" and plan.store.top_k is None
    if record.logits is not None and taps <= {"logits"} and plain:
        return CachedTeacher(torch.tensor(record.logits, device=around.device))
    if around.store is not None and around.store.serves(plan.store, plan.views, taps):
        return StoredTeacher(around.store, taps)
    return FrozenTeacher(network_of(record, around.device, seed=None))


def _begun(spec: TrialSpec, around: Surroundings, batches: Batches) -> nn.Module:
    """The student with the weights that it begins with."""
    start, record = spec.plan.start, around.teacher
    materials = Materials(Architecture.from_json(spec.architecture), spec.seed, batches)
    if start.name != "scratch" and record is not None:
        materials = replace(
            materials,
            teacher=Architecture.from_json(record.architecture),
            network=network_of(record, around.device),
            section=spec.plan.student,
        )
    return STARTS[start.name].build(start, materials)


def _measured(
    reports: Iterator[EpochReport], spec: TrialSpec, around: Surroundings, parts: Parts
) -> Iterator[EpochReport]:
    """The reports, with measures where the trial may end: at a rung, and at its last epoch."""
    assert around.teacher is not None
    teacher = network_of(around.teacher, around.device)
    measuring = Measuring(spec.plan.measures, parts.student, teacher, parts.batches)
    del teacher
    ends = {*spec.rungs, spec.plan.training.last_epoch}
    for report in reports:
        if report.epoch in ends and report.stage is None:
            started = time.perf_counter()
            measures = measuring.read()
            seconds = report.seconds + time.perf_counter() - started
            report = replace(report, measures=measures, seconds=seconds)
        yield report
