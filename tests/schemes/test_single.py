"""The loop: the student learns in train mode, the teacher stays what it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import TrainingConfig
from kdsearch.data import Batch, Batches
from kdsearch.losses import DistillationLoss, build_loss
from kdsearch.schemes import SCHEMES, Parts, Term, evaluate, single
from kdsearch.schemes.optimizer import build_optimizer, clip_gradients
from kdsearch.students import build_student, describe
from kdsearch.students.outputs import Outputs
from kdsearch.teachers import FrozenTeacher
from tests.data.made import made_data

DATA = made_data(per_class=30, classes=3)
STUDENT = describe({"family": "mlp", "widths": [6]}, DATA.shape, 3)
TEACHER = describe({"family": "mlp", "widths": [16]}, DATA.shape, 3)


class Watched(nn.Module):
    """A network that notes its mode at every forward."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.modes: list[bool] = []

    def forward(self, inputs: Tensor) -> Outputs:
        self.modes.append(self.network.training)
        return self.network(inputs)


class Noting:
    """A frozen teacher that notes what it is shown after a step."""

    def __init__(self, module: nn.Module) -> None:
        self.frozen = FrozenTeacher(module)
        self.steps: list[tuple[Outputs, Outputs]] = []

    def outputs(self, batch: Batch) -> Outputs:
        return self.frozen.outputs(batch)

    def observe(self, batch: Batch, student: Outputs, outputs: Outputs) -> None:
        assert len(batch.labels) == len(student.logits) == len(outputs.logits)
        self.steps.append((student, outputs))


class Scaled(DistillationLoss):
    """An adapter alone: its one weight is what is minimised."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 1))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        return self.scale.square().sum()


def parts(
    terms: list[Term] | None = None, teacher: Any = None, student: nn.Module | None = None,
    **training: Any,
) -> Parts:  # fmt: skip
    config = {"epochs": 2, "lr": 0.1, "warmup": 0.0, **training}
    return Parts(
        student=student or build_student(STUDENT, seed=0),
        teacher=teacher,
        terms=terms or [],
        batches=Batches(DATA, 16, seed=0),
        training=TrainingConfig(**config),
    )


def kd(weight: float = 1.0) -> Term:
    return Term("kd", weight, build_loss({"method": "kd"}))


def test_the_table_is_sorted() -> None:
    assert list(SCHEMES) == sorted(SCHEMES) and SCHEMES["single"] is single


def test_the_student_learns_in_train_mode_and_is_judged_in_eval_mode() -> None:
    student = Watched(build_student(STUDENT, seed=0))
    made = parts(student=student)
    reports = iter(single(made))
    next(reports)
    steps = made.batches.steps_per_epoch
    assert student.modes[:steps] == [True] * steps and not any(student.modes[steps:])
    student.modes.clear()
    student.eval()  # whoever reads a report may use the student
    next(reports)
    assert student.modes[:steps] == [True] * steps


def test_the_teacher_stays_what_it_is_and_sees_every_step() -> None:
    module = build_student(TEACHER, seed=1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    teacher = Noting(module)
    made = parts([kd()], teacher)
    assert len(list(single(made))) == 2
    assert not module.training
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())
    assert len(teacher.steps) == 2 * made.batches.steps_per_epoch
    assert all(s.logits.requires_grad and not t.logits.requires_grad for s, t in teacher.steps)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    made = parts(
        [kd(0.5), Term("scaled", 3.0, Scaled())],
        FrozenTeacher(build_student(TEACHER, seed=1)),
        label_weight=0.25,
    )
    for report in single(made):
        assert list(report.terms) == ["label", "kd", "scaled"]
        terms = report.terms
        total = 0.25 * terms["label"] + 0.5 * terms["kd"] + 3 * terms["scaled"]
        assert report.train_loss == pytest.approx(total, rel=1e-5)


def test_adapters_learn_with_the_student() -> None:
    loss = Scaled()
    made = parts([Term("scaled", 1.0, loss)], FrozenTeacher(build_student(TEACHER)), epochs=1)
    list(single(made))
    assert abs(loss.scale.item()) < 1


def test_labels_alone_are_learned() -> None:
    reports = list(single(parts(epochs=8)))
    assert reports[-1].terms["label"] < 0.7 * reports[0].terms["label"]
    assert [r.epoch for r in reports] == list(range(1, 9))
    assert all(r.seconds > 0 for r in reports)


def test_bfloat16_is_asked_for_on_a_cpu_and_trains_to_within_its_rounding() -> None:
    def trained(amp: str) -> list[float]:
        return [report.train_loss for report in single(parts(amp=amp))]

    exact = trained("off")
    assert trained("auto") == exact  # of itself only on a GPU
    rounded = trained("bfloat16")
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.02)


def test_training_stops_at_stop_epoch_on_the_way_of_the_whole_schedule() -> None:
    whole = list(single(parts(epochs=4)))
    part = list(single(parts(epochs=4, stop_epoch=2)))
    assert [(r.epoch, r.train_loss, r.lr) for r in part] == [
        (r.epoch, r.train_loss, r.lr) for r in whole[:2]
    ]


def test_the_rate_follows_the_schedule() -> None:
    rates = [r.lr for r in single(parts(epochs=5, lr=0.2))]
    assert all(0 < b < a < 0.2 for a, b in pairwise(rates))


def test_a_loss_that_is_no_number_ends_the_training_with_a_report() -> None:
    (report,) = single(parts(epochs=5, lr=1e30, clip=None))
    assert not math.isfinite(report.train_loss + report.validation_loss)


def test_closing_the_generator_ends_the_training() -> None:
    student = Watched(build_student(STUDENT, seed=0))
    reports = single(parts(student=student, epochs=50))
    assert isinstance(reports, Iterator)
    next(reports)
    forwards = len(student.modes)
    reports.close()  # type: ignore[attr-defined]
    assert len(student.modes) == forwards
    assert next(reports, None) is None


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_exact_and_keeps_the_mode(training: bool) -> None:
    student = build_student(STUDENT, seed=0).train(training)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    batches = Batches(DATA, 16)
    accuracy, loss = evaluate(student, batches.evaluation("train", 7))
    assert student.training is training
    assert all(torch.equal(before[name], now) for name, now in student.state_dict().items())
    (whole,) = batches.evaluation("train", 10_000)
    logits = student.eval()(whole.inputs).logits
    assert accuracy == pytest.approx((logits.argmax(1) == whole.labels).float().mean().item())
    expected = nn.functional.cross_entropy(logits, whole.labels).item()
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_decay_shrinks_matrices_alone(name: str) -> None:
    student = build_student(STUDENT, seed=0)
    decay = TrainingConfig.model_validate(
        {"epochs": 1, "optimizer": name, "lr": 0.1, "weight_decay": 0.5, "momentum": 0.0}
    )
    before = {key: p.detach().clone() for key, p in student.named_parameters()}
    optimizer = build_optimizer([student], decay)
    for parameter in student.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, parameter in student.named_parameters():
        factor = 0.95 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[key] * factor)


@pytest.mark.parametrize("most", [1e-3, 1.0, 1e3, float("nan")])
def test_clipped_gradients_are_torchs_to_the_last_bit(most: float) -> None:
    draw = torch.Generator().manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.zeros(3, n)) for n in (1, 40, 7)] for _ in range(2))
    for one, other in zip(ours[:2], theirs[:2], strict=True):  # the third has none
        one.grad = torch.randn(one.shape, generator=draw)
        other.grad = one.grad.clone()
    clip_gradients(ours, most)
    nn.utils.clip_grad_norm_(theirs, most)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert one.grad is not None and other.grad is not None
        assert torch.equal(one.grad.view(torch.int32), other.grad.view(torch.int32))
    clip_gradients(ours[2:], most)
    assert ours[2].grad is None


def test_a_gradient_that_is_no_number_spoils_all() -> None:
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(2)]
    for parameter, value in zip(parameters, (1.0, float("nan")), strict=True):
        parameter.grad = torch.full((2,), value)
    clip_gradients(parameters, 5.0)
    assert all(p.grad is not None and p.grad.isnan().all() for p in parameters)
