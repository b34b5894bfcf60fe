"""One training of `benchmarks/methods.py`, and what one of its steps costs."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from kdsearch.architecture import Architecture
from kdsearch.config import DataConfig, Plan, TrainingConfig, TrialSpec
from kdsearch.data import Batch, Batches, ImageData, load_data
from kdsearch.errors import UserError
from kdsearch.losses.card import read_card
from kdsearch.schemes import Parts, build_terms, evaluate
from kdsearch.schemes.optimizer import build_optimizer
from kdsearch.schemes.phases import phases
from kdsearch.students import build_student, describe
from kdsearch.teachers import FrozenTeacher, TeacherRecord, weights_from_bytes, weights_to_bytes
from kdsearch.trial import Surroundings, loss_context, train_to_end

SETS: dict[str, dict[str, Any]] = {
    "fashion_mnist": {"name": "fashion_mnist"},
    "cifar100_coarse": {"name": "cifar100", "labels": "coarse"},
}
TEACHER = {"family": "resnet", "blocks": [1, 1, 1], "widths": [16, 32, 64]}
STUDENT = {"family": "resnet", "blocks": [1, 1, 1], "widths": [6, 12, 24]}
NONE = "none"  # labels alone
VALIDATION = 0.05  # every training reports it, and nothing here reads it
WARM_STEPS, STEPS = 3, 12
PRETRAINING = 6  # a stage that is there by default takes one in so many epochs
OTHERWISE = {"crd": {"negatives": 1024}}  # its default is more than the samples there are


@dataclass(frozen=True)
class Setting:
    """What all trainings of a run share: results of another setting do not mix with them."""

    root: str
    images: int
    teacher_images: int
    epochs: int
    teacher_epochs: int
    batch_size: int
    lr: float
    weights: str  # default: the card's. auto: found on the first steps, where the term is joint
    scale: float = 1.0  # factor of the weight

    def data_config(self, name: str, images: int) -> DataConfig:
        every = round(images / (1 - VALIDATION))
        return DataConfig(
            **SETS[name], root=self.root, images=every, validation=VALIDATION,
            batch_size=self.batch_size, augment="crop_flip", verify=False,
        )  # fmt: skip

    def term(self, method: str) -> dict[str, Any]:
        card = read_card(method)
        assert card.extras is not None
        found = self.weights == "auto" and card.extras.joint
        term: dict[str, Any] = {
            "method": method,
            "weight": "auto" if found else card.default_weight,
            "scale": self.scale,
        }
        if card.extras.stages:
            term["pretrain_epochs"] = max(1, self.epochs // PRETRAINING)
        return {**term, **OTHERWISE.get(method, {})}


@dataclass(frozen=True)
class Job:
    """One student: its data set, its method, its seed."""

    set: str
    method: str
    seed: int = 0

    @property
    def pair(self) -> str:
        return f"{self.set} {self.method}"

    @property
    def key(self) -> str:
        return f"{self.pair} {self.seed}"


def train_teacher(setting: Setting, name: str) -> tuple[TeacherRecord, float]:
    """The teacher, and its accuracy on test."""
    config = setting.data_config(name, setting.teacher_images)
    data = load_data(config)
    architecture = describe(TEACHER, data.shape, len(data.classes)).to_json()
    training = TrainingConfig(epochs=setting.teacher_epochs, lr=0.1, lr_schedule="cosine")
    plan = Plan(data=config, student={}, training=training)
    module, _ = trained(TrialSpec(plan=plan, architecture=architecture), Surroundings(data))
    weights = weights_to_bytes(module)
    identity = sha256(weights).hexdigest()[:12]
    record = TeacherRecord(identity, architecture, weights, None, 0.0, 0.0)
    return record, test_accuracy(module, data)


def train_student(setting: Setting, record: TeacherRecord, job: Job) -> dict[str, Any]:
    """Accuracy on test and processor seconds; or the fault that ended the training."""
    data, started = data_of(setting, job.set), time.process_time()
    try:
        module, finite = trained(spec_of(setting, job), Surroundings(data, record))
    except (UserError, RuntimeError) as error:
        return {"fault": f"{type(error).__name__}: {error}"}
    seconds = time.process_time() - started
    row = {"accuracy": test_accuracy(module, data), "seconds": seconds}
    return row if finite else {**row, "fault": "diverged"}


def measure(setting: Setting, record: TeacherRecord, job: Job) -> dict[str, Any]:
    """Processor seconds and bytes of a step beyond those on labels alone; or the fault."""
    try:
        own, alone = (Step(setting, record, j) for j in (job, Job(job.set, NONE)))
    except UserError as error:
        return {"fault": str(error)}
    batches = cycle(own.batches.epoch(1))  # few images make few batches
    pairs = [(own.seconds(b), alone.seconds(b)) for b in islice(batches, WARM_STEPS + STEPS)]
    one, other = (statistics.median(times) for times in zip(*pairs[WARM_STEPS:], strict=True))
    batch = next(batches)
    return {
        "seconds": one - other,
        "alone_seconds": other,
        "state_bytes": sum(t.numel() * t.element_size() for t in own.state),
        "saved_bytes": own.saved(batch) - alone.saved(batch),
        "joint": own.joint,
    }


class Step:
    """A step of one method, ready to be taken: of its stage where that is all it has."""

    def __init__(self, setting: Setting, record: TeacherRecord, job: Job) -> None:
        torch.manual_seed(0)
        spec, data = spec_of(setting, job), data_of(setting, job.set)
        terms = []
        if job.method != NONE:  # a weight that is found would be found in the steps that are timed
            config = spec.plan.terms[0].model_copy(update={"weight": 1.0})
            terms = build_terms([config], loss_context(spec, Surroundings(data, record)))
        self.batches = Batches(data, setting.batch_size, "crop_flip")
        teacher = build_student(Architecture.from_json(record.architecture))
        weights_from_bytes(teacher, record.weights)
        self.student = build_student(Architecture.from_json(spec.architecture), seed=0).train()
        training = spec.plan.training
        parts = Parts(self.student, FrozenTeacher(teacher), terms, self.batches, training)
        self.joint = all(term.loss.joint for term in terms)
        every = phases(parts)
        self.step = ([*every][-1] if self.joint else next(every)).step
        self.loss = nn.ModuleList(term.loss for term in terms).train()
        self.state = [*self.loss.parameters(), *self.loss.buffers()]
        self.optimizer = build_optimizer([self.student, self.loss], training)

    def seconds(self, batch: Batch) -> float:
        started = time.process_time()
        self.optimizer.zero_grad(set_to_none=True)
        self.step(batch, 1).total.backward()
        self.optimizer.step()
        return time.process_time() - started

    def saved(self, batch: Batch) -> int:
        """Bytes that the forward pass keeps for the backward pass, each storage counted once."""
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = self.step(batch, 1)
        for tensor in (*self.state, *self.student.parameters()):
            kept.pop(tensor.untyped_storage().data_ptr(), None)
        del loss  # until here its graph has held every storage, so that no address came twice
        return sum(kept.values())


@lru_cache
def data_of(setting: Setting, name: str) -> ImageData:
    return load_data(setting.data_config(name, setting.images))


def spec_of(setting: Setting, job: Job) -> TrialSpec:
    losses = [] if job.method == NONE else [setting.term(job.method)]
    training = TrainingConfig(epochs=setting.epochs, lr=setting.lr, lr_schedule="cosine")
    config = setting.data_config(job.set, setting.images)
    plan = Plan.model_validate(
        {"data": config, "student": STUDENT, "losses": losses, "training": training}
    )
    data = data_of(setting, job.set)
    architecture = describe(STUDENT, data.shape, len(data.classes))
    return TrialSpec(plan=plan, architecture=architecture.to_json(), seed=job.seed)


def trained(spec: TrialSpec, around: Surroundings) -> tuple[nn.Module, bool]:
    """The network, and whether it stayed finite to its last epoch."""
    reports, module = train_to_end(spec, around)
    whole = len(reports) == spec.plan.training.epochs
    return module, whole and all(math.isfinite(report.train_loss) for report in reports)


def test_accuracy(module: nn.Module, data: ImageData) -> float:
    return evaluate(module, Batches(data, 1000).evaluation("test"))[0]
