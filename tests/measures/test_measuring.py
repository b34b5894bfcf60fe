"""Measures of a trial: where it may end, and of no effect on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch

from kdsearch.config import DataConfig, Plan, TrialSpec, validate
from kdsearch.data import Batches, ImageData, load_data
from kdsearch.errors import UserError
from kdsearch.measures import (
    MEASURES,
    Measuring,
    agreement,
    distillation_error,
    distillation_error_l1,
    kl_divergence,
    mutual_information,
)
from kdsearch.measures.information import logit_gaps
from kdsearch.results.records import EpochReport
from kdsearch.results.tables import EPOCH_COLUMNS, TRIAL_COLUMNS
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, compute_logits, weights_to_bytes
from kdsearch.trial import Surroundings, run_trial, train_to_end

SMALL = {"family": "resnet", "blocks": [1, 1], "widths": [4, 8]}
LARGE = {"family": "resnet", "blocks": [1, 1], "widths": [8, 16]}
KD = {"method": "kd", "weight": 1.0}
HINT = {"method": "fitnet", "weight": 1.0, "pretrain_epochs": 2}


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data(DataConfig(name="digits", images=200))


@pytest.fixture(scope="module")
def teacher(data: ImageData) -> TeacherRecord:
    architecture = describe(LARGE, data.shape, 10)
    module = build_student(architecture, seed=1)
    logits = compute_logits(module, Batches(data, 100).evaluation("train")).numpy()
    weights = weights_to_bytes(module)
    return TeacherRecord("t", architecture.to_json(), weights, logits, 0.1, 1.0)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def spec_of(
    measures: Any = tuple(MEASURES),
    losses: Any = (),
    rungs: Any = (),
    augment: str = "crop",
    **training: Any,
) -> TrialSpec:
    raw = {
        "data": {"name": "digits", "images": 200, "batch_size": 32, "augment": augment},
        "teacher": {"architecture": LARGE},
        "student": SMALL,
        "losses": list(losses),
        "training": {"epochs": 3, **training},
        "measures": list(measures),
    }
    architecture = describe(SMALL, (1, 8, 8), 10).to_json()
    return TrialSpec(plan=validate(Plan, raw), architecture=architecture, rungs=list(rungs))


def reports_of(spec: TrialSpec, around: Surroundings) -> list[EpochReport]:
    return list(run_trial(spec, around))


def trained(reports: list[EpochReport]) -> list[dict[str, Any]]:
    """All of the reports but the measures and the wall time."""
    return [{**asdict(report), "measures": {}, "seconds": 0.0} for report in reports]


def test_names_are_no_other_column() -> None:
    assert not set(MEASURES) & {*TRIAL_COLUMNS, *EPOCH_COLUMNS, "stage", "test_accuracy"}
    assert not any(name.endswith(("_loss", "_weight")) for name in MEASURES)


def test_a_reading_is_what_the_functions_say(data: ImageData) -> None:
    student, teacher = (
        build_student(describe(section, data.shape, 10), seed=i)
        for i, section in enumerate((SMALL, LARGE))
    )
    batches = Batches(data, 32, "crop", seed=5)
    kept = {name: value.clone() for name, value in student.state_dict().items()}
    found = Measuring(MEASURES, student.train(), teacher.train(), batches).read()
    assert student.training and teacher.training
    assert all(torch.equal(value, kept[name]) for name, value in student.state_dict().items())
    s, t = (compute_logits(net, batches.validation()) for net in (student, teacher))
    assert list(found) == list(MEASURES)
    assert found == {
        "agreement": agreement(s, t).item(),
        "kl": kl_divergence(s, t).item(),
        "phi": distillation_error(s, t, data.validation.labels).item(),
        "phi_l1": distillation_error_l1(s, t).item(),
        "mutual_information": mutual_information(logit_gaps(student, batches)).item(),
    }


def test_a_network_is_no_way_from_itself(data: ImageData) -> None:
    network = build_student(describe(SMALL, data.shape, 10), seed=0)
    found = Measuring(MEASURES, network, network, Batches(data, 32, "crop")).read()
    assert found["agreement"] == 1
    assert found["phi"] == found["phi_l1"] == 0
    assert found["kl"] == pytest.approx(0, abs=1e-6)
    assert found["mutual_information"] > 0


@pytest.mark.parametrize("losses", [[], [KD], [{"method": "at", "weight": 10.0}]])
@pytest.mark.parametrize("augment", ["none", "crop"])
def test_a_trial_goes_as_if_nothing_were_measured(
    data: ImageData, teacher: TeacherRecord, losses: Any, augment: str
) -> None:
    names = [name for name in MEASURES if augment != "none" or name != "mutual_information"]
    around = Surroundings(data, teacher)
    plain = reports_of(spec_of([], losses, augment=augment), around)
    measured = reports_of(spec_of(names, losses, augment=augment), around)
    again = reports_of(spec_of(names, losses, augment=augment), around)
    assert trained(plain) == trained(measured)
    assert [r.measures for r in plain] == [{}] * 3
    assert list(measured[-1].measures) == names
    assert [r.measures for r in again] == [r.measures for r in measured]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [3]),
        ({"rungs": [1, 3]}, [1, 3]),
        ({"rungs": [1, 3], "stop_epoch": 2}, [1, 2]),
        ({"rungs": [1, 3, 4], "epochs": 4, "losses": [HINT]}, [3, 4]),  # 1 and 2 are pre-training
    ],
)
def test_it_is_measured_where_it_may_end(
    data: ImageData, teacher: TeacherRecord, changes: dict[str, Any], wanted: list[int]
) -> None:
    reports = reports_of(spec_of(["kl"], **changes), Surroundings(data, teacher))
    assert [r.epoch for r in reports if r.measures] == wanted


def test_the_last_reading_is_of_the_student_that_comes_back(
    data: ImageData, teacher: TeacherRecord
) -> None:
    spec = spec_of(["agreement"], [KD])
    reports, student = train_to_end(spec, Surroundings(data, teacher))
    module = build_student(describe(LARGE, data.shape, 10), seed=1)
    s, t = (compute_logits(net, Batches(data, 9).validation()) for net in (student, module))
    assert reports[-1].measures == {"agreement": agreement(s, t).item()}


def test_without_a_teacher_is_a_fault(data: ImageData) -> None:
    with pytest.raises(UserError, match="the measures need a teacher") as caught:
        next(run_trial(spec_of(["kl"]), Surroundings(data)))
    assert caught.value.place == "teacher"
