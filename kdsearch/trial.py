"""One trial: a `TrialSpec` becomes a generator of `EpochReport`, and a trained student."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.config import LossConfig, Plan, TrialSpec
from kdsearch.data import Batches, ImageData
from kdsearch.errors import UserError
from kdsearch.losses import DistillationLoss, LossContext, build_loss
from kdsearch.measures import Measuring
from kdsearch.results.records import EpochReport
from kdsearch.schemes import SCHEMES, Parts, Term
from kdsearch.starts import STARTS, Materials
from kdsearch.students import build_student, output_shapes
from kdsearch.teachers import (
    CachedTeacher,
    FrozenTeacher,
    Teacher,
    TeacherRecord,
    weights_from_bytes,
)

Training = Generator[EpochReport, None, nn.Module]


@dataclass(frozen=True)
class Surroundings:
    """What a trial needs beside its spec, and shares with other trials.

    Attributes
    ----------
    data : ImageData
    teacher : TeacherRecord or None
        None where no loss term, measure or start asks for one.
    device : str
    """

    data: ImageData
    teacher: TeacherRecord | None = None
    device: str = "cpu"


def run_trial(spec: TrialSpec, around: Surroundings) -> Training:
    """Train the student of `spec`.

    The same spec in the same surroundings gives the same reports, on the same machine and versions;
    on a GPU to within the rounding of sums whose order the hardware chooses.

    Parameters
    ----------
    spec : TrialSpec
    around : Surroundings

    Yields
    ------
    EpochReport
        After every epoch.

    Returns
    -------
    nn.Module
        The trained student in eval mode (the generator's return value).

    Raises
    ------
    UserError
        A loss that does not fit the two networks, or no teacher where one is asked for.
    """
    if spec.plan.taught and around.teacher is None:
        raise UserError("teacher", teacher_missing(spec.plan))
    torch.set_num_threads(spec.threads)
    torch.manual_seed(spec.seed)  # adapters and dropout draw from the global generator
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    plan, device = spec.plan, torch.device(around.device)
    batches = Batches(
        around.data, plan.data.batch_size, plan.data.augment, seed=spec.seed, device=around.device
    )
    student = _begun(spec, around, batches)
    if device.type == "cuda":
        student = student.to(memory_format=torch.channels_last)
    terms = build_terms(plan.losses, loss_context(spec, around)) if plan.terms else []
    for term in terms:
        term.loss.to(device)
    teacher = _teacher(around, terms, plan.data.augment)
    parts = Parts(student, teacher, terms, batches, plan.training, spec.rungs, device)
    reports = SCHEMES[plan.training.scheme](parts)
    yield from _measured(reports, spec, around, parts) if plan.measures else reports
    return student.eval()


def train_to_end(spec: TrialSpec, around: Surroundings) -> tuple[list[EpochReport], nn.Module]:
    """All of `run_trial` at once: its reports, and the trained student."""
    training, reports = run_trial(spec, around), []
    while True:
        try:
            reports.append(next(training))
        except StopIteration as stop:
            return reports, stop.value


def build_terms(configs: Sequence[LossConfig | None], context: LossContext) -> list[Term]:
    """The loss terms, wired to the two networks; adapters land on torch's default device.

    Raises
    ------
    UserError
        A method or parameter that is unknown, a network that lacks what a method taps, or
        pre-training that leaves no epoch for the student; the place is ``losses[i]``.
    """
    terms: list[Term] = []
    names = ["label", "train", "validation"]  # columns that are there without it
    epochs = context.epochs
    for index, config in enumerate(configs):
        if config is None:
            continue
        try:
            loss = build_loss({"method": config.method, **config.parameters})
            epochs -= _prepare(config.method, loss, context)
            _check_schedule(config, loss, context.epochs, epochs)
        except UserError as error:
            raise error.inside(f"losses[{index}]") from None
        name = config.method.rpartition(":")[2]
        names.append(name)
        times = names.count(name)
        terms.append(
            Term(
                name=name if times == 1 else f"{name}_{times}",
                weight=None if config.weight == "auto" else config.weight,
                loss=loss,
                scale=config.scale,
                warmup=config.warmup,
                final=config.final,
                stop_epoch=config.stop_epoch,
            )
        )
    return terms


def _prepare(method: str, loss: DistillationLoss, context: LossContext) -> int:
    """Wire a loss to its networks; how many epochs of pre-training it asks for."""
    try:
        loss.prepare(context)
        return sum(stage.epochs for stage in loss.stages())
    except UserError:
        raise
    except Exception as error:  # a user's class fails in its own way
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        fault = f"{method} fails in prepare, which has shapes but may have no values: {line}"
        raise UserError("method", fault) from error


def _check_schedule(config: LossConfig, loss: DistillationLoss, epochs: int, left: int) -> None:
    if left < 1:
        raise UserError(
            "pretrain_epochs",
            f"{epochs - left} epochs of pre-training in a training of {epochs} leave none for the "
            f"student; allow {epochs - 1} at most, over all terms",
        )
    for key in ("warmup", "final", "stop_epoch"):
        if not loss.joint and getattr(config, key) != LossConfig.model_fields[key].default:
            raise UserError(
                key,
                f"{config.method} only pre-trains, and a pre-training has no schedule of its "
                "weight; remove it, or set joint: true",
            )


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


def _teacher(around: Surroundings, terms: Sequence[Term], augment: str) -> Teacher | None:
    """The cheapest teacher that says the same: logits once computed, or the network itself."""
    if around.teacher is None or not terms:
        return None
    record, taps = around.teacher, frozenset().union(*(term.loss.taps for term in terms))
    if record.logits is not None and taps <= {"logits"} and augment == "none":
        return CachedTeacher(torch.tensor(record.logits, device=around.device))
    return FrozenTeacher(_network(record, around.device))


def _begun(spec: TrialSpec, around: Surroundings, batches: Batches) -> nn.Module:
    """The student with the weights that it begins with."""
    start, record = spec.plan.start, around.teacher
    materials = Materials(Architecture.from_json(spec.architecture), spec.seed, batches)
    if start.name != "scratch" and record is not None:
        materials = replace(
            materials,
            teacher=Architecture.from_json(record.architecture),
            network=_network(record, around.device, seed=0),
        )
    return STARTS[start.name].build(start, materials)


def _network(record: TeacherRecord, device: str, seed: int | None = None) -> nn.Module:
    module = build_student(Architecture.from_json(record.architecture), seed, device)
    weights_from_bytes(module, record.weights, f"teacher {record.identity}")
    return module


def _measured(
    reports: Iterator[EpochReport], spec: TrialSpec, around: Surroundings, parts: Parts
) -> Iterator[EpochReport]:
    """The reports, with measures where the trial may end: at a rung, and at its last epoch."""
    assert around.teacher is not None
    # A seed, though its weights are read: the global generator is the training's.
    teacher = _network(around.teacher, around.device, seed=0)
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
