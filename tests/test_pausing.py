"""A training that is paused after any epoch, and gone on with elsewhere, is the same training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from kdsearch.config import DataConfig, Plan, TrialSpec, validate
from kdsearch.data import ImageData, load_data
from kdsearch.losses import LOSSES
from kdsearch.results.records import EpochReport
from kdsearch.schemes import StateError
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, weights_to_bytes
from kdsearch.trial import Surroundings, Training, run_trial, train_to_end
from tests.cases import LOSS_CASES
from tests.reports import told

STUDENT = {"family": "resnet", "blocks": [1, 1], "widths": [4, 8]}
AUTO = {"method": "at", "weight": "auto"}
CASES: dict[str, dict[str, Any]] = {
    "labels": {},
    "kd": {"losses": [{"method": "kd", "weight": 1.0}]},
    "adapters": {"losses": [{"method": "fitnet", "weight": 1.0}]},
    "memory": {"losses": [{"method": "crd", "weight": 0.5, "negatives": 16}]},
    "draws": {"losses": [{"method": "noisy", "weight": 1.0}], "augment": "crop"},
    "pre-training": {"losses": [{"method": "fitnet", "weight": 1.0, "pretrain_epochs": 2}]},
    "two stages": {
        "losses": [
            {"method": "ft", "weight": "auto", "pretrain_epochs": 1},
            {"method": "ab", "weight": 0.01, "pretrain_epochs": 1},
        ]
    },
    "auto": {"losses": [AUTO, {**AUTO, "method": "kd"}], "batch_size": 16},
    "schedule of a term": {
        "losses": [{"method": "kd", "weight": 1.0, "warmup": 1, "final": 0.1, "stop_epoch": 3}]
    },
    "cosine": {"training": {"lr_schedule": "cosine", "optimizer": "adamw"}},
    "measures": {"losses": [{"method": "kd", "weight": 1.0}], "measures": ["kl", "phi"]},
    "dropout": {"student": {"family": f"{__name__}:dropping"}},
}


def dropping(input: tuple[int, ...], classes: int) -> nn.Module:
    """A network that draws from torch's global generator."""
    return nn.Sequential(
        nn.Conv2d(input[0], 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes),
    )  # fmt: skip


def spec_of(case: dict[str, Any], epochs: int = 4) -> TrialSpec:
    student = case.get("student", STUDENT)
    plan = validate(
        Plan,
        {
            "data": {
                "name": "digits",
                "images": 200,
                "batch_size": case.get("batch_size", 32),
                "augment": case.get("augment", "none"),
            },
            "teacher": {"architecture": {}},
            "student": student,
            "losses": case.get("losses", []),
            "measures": case.get("measures", []),
            "training": {"epochs": epochs, "lr": 0.05, **case.get("training", {})},
        },
    )
    architecture = describe(student, (1, 8, 8), 10).to_json()
    return TrialSpec(plan=plan, architecture=architecture, rungs=[1, 3, epochs], seed=3)


@pytest.fixture(scope="module")
def around() -> Surroundings:
    data: ImageData = load_data(DataConfig(name="digits", images=200, batch_size=32))
    taught = spec_of({"student": {**STUDENT, "widths": [8, 16]}})
    _, module = train_to_end(taught, Surroundings(data))
    record = TeacherRecord("t", taught.architecture, weights_to_bytes(module), None, 0.5, 1.0)
    return Surroundings(data, record)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def finished(training: Training) -> tuple[list[EpochReport], bytes]:
    """The reports of a training to its end, and the student's weights."""
    reports: list[EpochReport] = []
    while True:
        try:
            reports.append(next(training))
        except StopIteration as stop:
            return reports, weights_to_bytes(stop.value)


def states(spec: TrialSpec, around: Surroundings) -> tuple[list[bytes], list[EpochReport], bytes]:
    """A state after every epoch of the whole run; its reports, and its weights."""
    training, reports, taken = run_trial(spec, around), [], []
    while True:
        try:
            reports.append(next(training))
        except StopIteration as stop:
            return taken, reports, weights_to_bytes(stop.value)
        taken.append(training.state())


def check(spec: TrialSpec, around: Surroundings) -> None:
    whole, weights = finished(run_trial(spec, around))
    taken, observed, same = states(spec, around)
    assert told(observed) == told(whole) and same == weights  # taking a state changes nothing
    for epoch, state in enumerate(taken, 1):
        torch.manual_seed(epoch)  # another process
        rest, student = finished(run_trial(spec, around, state))
        assert told(rest) == told(whole[epoch:]), f"paused after epoch {epoch}"
        assert student == weights


@pytest.mark.parametrize("case", CASES)
def test_a_pause_after_any_epoch_changes_nothing(case: str, around: Surroundings) -> None:
    check(spec_of(CASES[case]), around)


@pytest.mark.parametrize("method", LOSSES)
def test_every_loss_goes_on_from_its_state(method: str, around: Surroundings) -> None:
    losses = [{**LOSS_CASES[method].term, "weight": "auto"}]
    spec = spec_of({"losses": losses, "training": {"lr": 0.01}}, epochs=3)
    check(spec, around)


def test_pauses_fall_before_and_after_a_weight_is_found(around: Surroundings) -> None:
    """Otherwise the case above would say nothing of a search for a weight under way."""
    found = [report.weights for report in train_to_end(spec_of(CASES["auto"]), around)[0]]
    assert found[0] != found[1] and found[2] == found[3]


def test_a_trial_may_rest_more_than_once(around: Surroundings) -> None:
    spec = spec_of(CASES["two stages"])
    whole, weights = finished(run_trial(spec, around))
    reports: list[EpochReport] = []
    state: bytes | None = None
    for _ in range(4):
        training = run_trial(spec, around, state)
        reports.append(next(training))
        state = training.state()
        training.close()
    assert told(reports) == told(whole)
    assert finished(run_trial(spec, around, state)) == ([], weights)


def test_a_state_asked_for_before_the_first_epoch_is_a_fault(around: Surroundings) -> None:
    with pytest.raises(ValueError, match="after its first report"):
        run_trial(spec_of({}), around).state()


# States that are none


@pytest.fixture(scope="module")
def state(around: Surroundings) -> bytes:
    training = run_trial(spec_of(CASES["kd"]), around)
    next(training)
    return training.state()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "noise"])
def test_damaged_bytes_are_one_clear_error(damage: str, state: bytes, around: Surroundings) -> None:
    middle = len(state) // 2
    flipped = bytes([state[middle] ^ 1])
    broken = {
        "empty": b"",
        "cut": state[:-7],
        "flipped": state[:middle] + flipped + state[middle + 1 :],
        "noise": b"\x80\x04not a state at all",
    }[damage]
    with pytest.raises(StateError, match=r"state: damaged.*start the trial again") as caught:
        next(run_trial(spec_of(CASES["kd"]), around, broken))
    assert "\n" not in str(caught.value)


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def test_code_in_a_pickle_is_not_run(around: Surroundings) -> None:
    ran: list[str] = []

    class Trap:
        def __reduce__(self) -> Any:
            return ran.append, ("ran",)

    buffer = io.BytesIO()
    torch.save({"format": 1, "owner": Trap()}, buffer)
    with pytest.raises(StateError, match="cannot be read"):
        next(run_trial(spec_of({}), around, signed(buffer.getvalue())))
    assert not ran


@pytest.mark.parametrize("change", ["another trial", "another version"])
def test_another_trials_state_is_refused(
    change: str, state: bytes, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(CASES["kd"])
    if change == "another trial":
        spec = spec.model_copy(update={"seed": 4})
    else:
        monkeypatch.setattr("kdsearch.schemes.state.FORMAT", 2)
    with pytest.raises(StateError, match=change):
        next(run_trial(spec, around, state))


def test_where_data_are_held_is_no_part_of_a_state(state: bytes, around: Surroundings) -> None:
    spec = spec_of(CASES["kd"])
    data = spec.plan.data.model_copy(update={"stream": False, "memory_mib": 1.0})
    moved = spec.model_copy(update={"plan": spec.plan.model_copy(update={"data": data})})
    assert next(run_trial(moved, around, state)) is not None


def test_a_state_that_does_not_fit_the_networks_is_refused(
    state: bytes, around: Surroundings
) -> None:
    """As after an update under which the same spec builds another student."""
    inside = torch.load(io.BytesIO(state[32:]), weights_only=True)
    del inside["student"][next(iter(inside["student"]))]
    buffer = io.BytesIO()
    torch.save(inside, buffer)
    with pytest.raises(StateError, match="cannot be read"):
        next(run_trial(spec_of(CASES["kd"]), around, signed(buffer.getvalue())))
