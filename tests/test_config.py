"""A plain config is strict, and says where it is not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kdsearch.config import (
    DataConfig,
    LossConfig,
    Plan,
    TeacherConfig,
    TrainingConfig,
    TrialSpec,
    identity,
    nearest,
    validate,
)
from kdsearch.errors import UserError

PLAN: dict[str, Any] = {
    "data": {"name": "digits"},
    "teacher": {"architecture": {"family": "mlp", "widths": [4]}},
    "student": {"family": "mlp", "widths": [2]},
    "losses": [{"method": "kd", "weight": 0.5, "temperature": 4}, "none"],
    "training": {"epochs": 3},
}


def fault(raw: dict[str, Any], **more: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        validate(Plan, raw, **more)
    return caught.value


def changed(section: str, **values: Any) -> dict[str, Any]:
    return {**PLAN, section: {**PLAN[section], **values}}


def test_a_spec_goes_through_json_and_back() -> None:
    spec = TrialSpec(plan=validate(Plan, PLAN), architecture="{}", rungs=[1, 3], seed=7)
    assert TrialSpec.model_validate_json(spec.model_dump_json()) == spec
    assert TrialSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_word_none_is_no_term_and_no_teacher() -> None:
    plan = validate(Plan, {**PLAN, "teacher": "none"})
    assert plan.teacher is None
    assert [term.method for term in plan.terms] == ["kd"] and plan.losses[1] is None


def test_a_term_keeps_the_parameters_of_its_method() -> None:
    (term,) = validate(Plan, PLAN).terms
    assert (term.weight, term.parameters) == (0.5, {"temperature": 4})


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValidationError):
        validate(Plan, PLAN).training.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "values", "place", "words"),
    [
        ("training", {"epoch": 1}, "training.epoch", "did you mean epochs"),
        ("training", {"intervals": 1}, "training.intervals", "unknown key"),
        ("training", {"float": 1}, "training.float", "unknown key"),
        ("data", {"literal[": 1}, "data.literal[", "unknown key"),
        ("teacher", {"widths": 1}, "teacher.widths", "known: architecture"),
        ("training", {"epochs": "3"}, "training.epochs", "got '3'"),
        ("training", {"epochs": 3.0}, "training.epochs", "got 3.0"),
        ("training", {"epochs": True}, "training.epochs", "got True"),
        ("training", {"lr": float("nan")}, "training.lr", "got nan"),
        ("training", {"lr": float("inf")}, "training.lr", "got inf"),
        ("training", {"lr": 0}, "training.lr", "greater than 0"),
        ("training", {"label_weight": -1}, "training.label_weight", "greater than or equal to 0"),
        ("training", {"scheme": "double"}, "training.scheme", "'single'"),
        ("data", {"batch_size": 1}, "data.batch_size", "greater than or equal to 2"),
        ("data", {"validation": 1.0}, "data.validation", "less than 1"),
        ("teacher", {"seed": 2**31}, "teacher.seed", "less than 2147483648"),
    ],
)
def test_a_fault_is_named_by_its_path(
    section: str, values: dict[str, Any], place: str, words: str
) -> None:
    found = fault(changed(section, **values))
    assert found.place == place and words in found.fault


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        ({**PLAN, "data": {}}, "data.name", "missing"),
        ({k: v for k, v in PLAN.items() if k != "training"}, "training", "missing"),
        ({**PLAN, "losses": [{"method": "kd"}]}, "losses[0].weight", "missing"),
        ({**PLAN, "losses": ["none", 3]}, "losses[1]", "got 3: input should be a mapping"),
        ({**PLAN, "losses": "kd"}, "losses", "got 'kd': input should be a valid list"),
        ({**PLAN, "student": ["resnet"]}, "student", "input should be a mapping"),
        ({**PLAN, "extra": 1}, "extra", "unknown key"),
    ],
)
def test_a_fault_of_the_whole(raw: dict[str, Any], place: str, words: str) -> None:
    found = fault(raw)
    assert found.place == place and words in found.fault


def test_places_are_those_of_the_file() -> None:
    sources = {"training": "training.choice[1]", "training.lr": "training.choice[1].lr"}
    assert fault(changed("training", lr=-1), sources=sources).place == "training.choice[1].lr"
    assert fault(changed("training", rl=1), sources=sources).place == "training.choice[1].rl"
    assert fault(changed("training", lr=-1), place="spec").place == "spec.training.lr"


def test_long_values_are_cut() -> None:
    assert len(str(fault({**PLAN, "student": list(range(9999))}))) < 300


def test_training_ends_at_the_earlier_of_its_two_ends() -> None:
    assert TrainingConfig(epochs=5).last_epoch == 5
    assert TrainingConfig(epochs=5, stop_epoch=2).last_epoch == 2
    assert TrainingConfig(epochs=5, stop_epoch=9).last_epoch == 5


def test_a_teacher_is_trained_as_its_section_says() -> None:
    section = TeacherConfig(architecture={}, epochs=7, lr=0.3, optimizer="adamw", stop_epoch=2)
    training = section.training()
    assert (training.epochs, training.last_epoch, training.lr) == (7, 2, 0.3)
    assert (training.optimizer, training.lr_schedule) == ("adamw", "cosine")


def test_a_weight_has_no_default() -> None:
    assert LossConfig.model_fields["weight"].is_required()
    assert not DataConfig.model_fields["root"].is_required()


def test_identities_follow_content_not_order() -> None:
    assert identity({"a": 1, "b": [2]}) == identity({"b": [2], "a": 1})
    assert identity({"a": 1}) != identity({"a": 2})
    assert len(identity(None)) == 12


def test_the_nearest_word_comes_first() -> None:
    assert nearest("wieght", ["method", "weight"]).startswith("did you mean weight? ")
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
