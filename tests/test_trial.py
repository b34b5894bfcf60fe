"""One trial of the digits: the spec decides it, and the teacher's form does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from kdsearch.config import Plan, TrialSpec, validate
from kdsearch.data import Batches, ImageData, load_data
from kdsearch.errors import UserError
from kdsearch.losses.logits import Logits
from kdsearch.schemes import evaluate
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, compute_logits, weights_to_bytes
from kdsearch.trial import Surroundings, run_trial, train_to_end
from tests.reports import told

KD = {"method": "kd", "weight": 1.0, "temperature": 2.0}
AT = {"method": "at", "weight": 100.0}


class my_loss(Logits):  # noqa: N801 - a user's name with an underscore
    """A user's own loss."""


class label(Logits):  # noqa: N801 - the name of the label loss's column
    """Another one."""


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data(made_plan().data)


@pytest.fixture(scope="module")
def teacher(data: ImageData) -> TeacherRecord:
    """Trained by labels for fifteen epochs: far better than chance."""
    spec = made_spec(student={"family": "resnet", "blocks": [1, 1], "widths": [8, 16]}, epochs=15)
    _, module = train_to_end(spec, Surroundings(data))
    logits = compute_logits(module, Batches(data, 100).evaluation("train")).numpy()
    return TeacherRecord("t", spec.architecture, weights_to_bytes(module), logits, 0.5, 1.0)


def made_plan(losses: Any = (), augment: str = "none", **training: Any) -> Plan:
    raw = {
        "data": {"name": "digits", "images": 200, "batch_size": 32, "augment": augment},
        "teacher": {"architecture": {}},
        "student": {},
        "losses": list(losses),
        "training": {"epochs": 2, "lr": 0.1, **training},
    }
    return validate(Plan, raw)


def made_spec(
    losses: Any = (),
    student: dict[str, Any] | None = None,
    seed: int = 0,
    augment: str = "none",
    **training: Any,
) -> TrialSpec:
    section = student or {"family": "resnet", "blocks": [1, 1], "widths": [4, 8]}
    architecture = describe(section, (1, 8, 8), 10).to_json()
    return TrialSpec(
        plan=made_plan(losses, augment, **training), architecture=architecture, seed=seed
    )


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("losses", [[], [KD], [KD, AT], [{"method": "fitnet", "weight": 1.0}]])
@pytest.mark.parametrize("augment", ["none", "crop"])
def test_the_spec_decides_the_reports(
    data: ImageData, teacher: TeacherRecord, losses: Any, augment: str
) -> None:
    around = Surroundings(data, teacher)
    spec = made_spec(losses, augment=augment)
    first, student = train_to_end(spec, around)
    torch.manual_seed(99)  # whatever happened in between
    torch.rand(5)
    second, again = train_to_end(spec, around)
    assert told(first) == told(second)
    weights = zip(student.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_another_seed_is_another_trial(data: ImageData, teacher: TeacherRecord) -> None:
    around = Surroundings(data, teacher)
    first, second = (train_to_end(made_spec([KD], seed=s), around)[0] for s in (0, 1))
    assert first[0].train_loss != second[0].train_loss


def test_a_spec_from_json_is_the_same_trial(data: ImageData, teacher: TeacherRecord) -> None:
    spec, around = made_spec([KD]), Surroundings(data, teacher)
    again = TrialSpec.model_validate_json(spec.model_dump_json())
    assert told(train_to_end(spec, around)[0]) == told(train_to_end(again, around)[0])


def test_the_student_comes_back_as_its_last_report_says(data: ImageData) -> None:
    reports, student = train_to_end(made_spec(), Surroundings(data))
    assert not student.training
    accuracy, loss = evaluate(student, Batches(data, 32).validation())
    assert (reports[-1].validation_accuracy, reports[-1].validation_loss) == (accuracy, loss)


@pytest.mark.parametrize("label_weight", [0.0, 0.5])
def test_a_student_learns_from_its_teacher(
    data: ImageData, teacher: TeacherRecord, label_weight: float
) -> None:
    spec = made_spec([KD], epochs=12, label_weight=label_weight)
    reports, _ = train_to_end(spec, Surroundings(data, teacher))
    assert reports[-1].terms["kd"] < 0.7 * reports[0].terms["kd"]
    assert reports[-1].validation_accuracy > 0.3  # of ten classes


def test_the_record_of_a_teacher_does_not_change(data: ImageData, teacher: TeacherRecord) -> None:
    assert teacher.logits is not None
    weights, logits = bytes(teacher.weights), teacher.logits.copy()
    train_to_end(made_spec([KD, AT]), Surroundings(data, teacher))
    assert teacher.weights == weights and (teacher.logits == logits).all()


def test_a_cached_teacher_says_what_the_frozen_one_does(
    data: ImageData, teacher: TeacherRecord
) -> None:
    spec = made_spec([KD], epochs=1)
    (cached,), _ = train_to_end(spec, Surroundings(data, teacher))
    (frozen,), _ = train_to_end(spec, Surroundings(data, replace(teacher, logits=None)))
    assert cached.train_loss == pytest.approx(frozen.train_loss, rel=1e-4)
    assert cached.terms == pytest.approx(frozen.terms, rel=1e-4)
    assert cached.validation_loss == pytest.approx(frozen.validation_loss, rel=1e-2)


def test_written_logits_are_not_used_where_inputs_change(
    data: ImageData, teacher: TeacherRecord
) -> None:
    assert teacher.logits is not None
    wrong = Surroundings(data, replace(teacher, logits=teacher.logits * math.nan))
    (report,), _ = train_to_end(made_spec([KD], augment="crop", epochs=1), wrong)
    assert math.isfinite(report.train_loss)
    (report,), _ = train_to_end(
        made_spec([KD, AT], epochs=1), wrong
    )  # features are not written down
    assert math.isfinite(report.train_loss)
    (report,), _ = train_to_end(made_spec([KD], epochs=1), wrong)
    assert not math.isfinite(report.train_loss)


def test_a_rate_beyond_all_bounds_ends_the_training(data: ImageData) -> None:
    reports, _ = train_to_end(made_spec(epochs=5, lr=1e30, clip=None), Surroundings(data))
    assert len(reports) < 5
    assert not math.isfinite(reports[-1].train_loss + reports[-1].validation_loss)


def test_stop_epoch_is_the_start_of_the_whole(data: ImageData) -> None:
    around = Surroundings(data)
    whole, part = (train_to_end(made_spec(epochs=3, stop_epoch=s), around)[0] for s in (None, 2))
    assert told(part) == told(whole[:2])


def test_losses_without_a_teacher_are_a_fault(data: ImageData) -> None:
    with pytest.raises(UserError) as caught:
        next(run_trial(made_spec([KD]), Surroundings(data)))
    assert caught.value.place == "teacher"


def test_terms_are_called_by_their_method(data: ImageData, teacher: TeacherRecord) -> None:
    mine = {"method": f"{__name__}:my_loss", "weight": 1.0}
    label = {"method": f"{__name__}:label", "weight": 1.0}
    spec = made_spec([KD, mine, KD, mine, label, KD], epochs=1)
    (report,), _ = train_to_end(spec, Surroundings(data, teacher))
    names = ["kd", "my_loss", "kd_2", "my_loss_2", "label_2", "kd_3"]
    assert list(report.terms) == ["label", *names]


def test_a_term_that_does_not_fit_is_named(data: ImageData, teacher: TeacherRecord) -> None:
    spec = made_spec([KD, AT], student={"family": "mlp", "widths": [4]})
    with pytest.raises(UserError) as caught:
        next(run_trial(spec, Surroundings(data, teacher)))
    assert caught.value.place == "losses[1].method"
