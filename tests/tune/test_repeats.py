"""What is trained again: every student once a seed and a purpose, and nothing that is there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kdsearch.config import TrialSpec
from kdsearch.errors import UserError
from kdsearch.results.pareto import pareto_front
from kdsearch.search_config import SearchConfig
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Taught
from kdsearch.tune.repeats import Asked, missing_repeats
from tests.tune.made import (
    WIDTHS,
    Listed,
    enqueue_repeats,
    made_config,
    made_driver,
    play,
    started,
)


def with_teacher(**changes: object) -> SearchConfig:
    teacher = {"architecture": {"family": "mlp", "widths": [8]}, "epochs": 1}
    return made_config(teacher=teacher, losses=[{"method": "kd", "weight": 0.5}], **changes)


def taught(driver: Driver) -> Driver:
    """The driver with a teacher of whom rows can speak."""
    plan = next(iter(driver.ground.config.plans()))[1]
    assert plan.teacher is not None
    driver.ground.teachers = {plan.teacher.model_dump_json(): Taught("t0", 0.9)}
    return driver


def test_repeats_are_trained_once_a_student_a_seed_and_a_purpose(tmp_path: Path) -> None:
    config = with_teacher()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(taught(driver), slots=1)
    with made_driver(tmp_path, config, None) as driver:
        front = list(pareto_front(driver.store.trials())["trial_id"])
        assert len(enqueue_repeats(taught(driver), seeds=2)) == len(front) * 2 * 2
        for _ in range(3):  # and then it is broken off
            driver.next()
    with made_driver(tmp_path, config, None) as driver:
        assert len(enqueue_repeats(taught(driver), seeds=2)) == len(front) * 2 * 2 - 3
        play(driver)
        assert enqueue_repeats(driver, seeds=2) == []
        assert list(pareto_front(driver.store.trials())["trial_id"]) == front
        history = driver.store.history
    again = [row for row in history.rows if row.purpose != "search"]
    assert len(again) == len(front) * 4
    for row in again:
        assert row.parent_id in front and row.status == "complete" and row.epochs == 4
        origin, spec = (
            TrialSpec.model_validate(history.trials[str(i)]["spec"])
            for i in (row.parent_id, row.trial_id)
        )
        assert spec.architecture == origin.architecture and spec.seed != origin.seed
        alone = row.purpose == "baseline"
        assert (spec.teacher_id is None) == (not spec.plan.terms) == alone
        if alone:
            assert spec.plan.training.label_weight == 1
    pairs = [(r.parent_id, r.purpose, r.seed) for r in again]
    assert len(set(pairs)) == len(pairs)


def test_a_number_of_epochs_is_one_annealing_and_another_training(tmp_path: Path) -> None:
    config = with_teacher()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(taught(driver), slots=1)
        usual = enqueue_repeats(driver)
        play(driver)
        longer = enqueue_repeats(driver, epochs=9)
        assert len(longer) == len(usual)
        for event in longer:
            spec = TrialSpec.model_validate(event["spec"])
            assert spec.rungs == [9] and spec.plan.training.last_epoch == 9
            assert event["finish_epochs"] == 9
        play(driver)
        assert enqueue_repeats(driver) == enqueue_repeats(driver, epochs=9) == []


def test_the_first_seed_of_all_students_comes_first(tmp_path: Path) -> None:
    with made_driver(tmp_path, with_teacher(), Listed(WIDTHS)) as driver:
        play(taught(driver), slots=1)
        events = enqueue_repeats(driver, seeds=3, near=0.5)
    parents = [event["parent_id"] for event in events if event["purpose"] == "finish"]
    students = len(set(parents))
    assert students > 1 and parents == parents[:students] * 3


def test_a_student_without_a_teacher_is_its_own_baseline(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        play(driver)
        assert {event["purpose"] for event in enqueue_repeats(driver)} == {"finish"}


def test_a_baseline_that_is_measured_keeps_the_teacher_to_be_measured_by(tmp_path: Path) -> None:
    with made_driver(tmp_path, with_teacher(measures=["agreement"]), Listed(WIDTHS)) as driver:
        play(taught(driver))
        events = enqueue_repeats(driver)
    assert {event["purpose"] for event in events} == {"finish", "baseline"}
    assert {event["spec"]["teacher_id"] for event in events} == {"t0"}


def test_a_repeat_whose_weights_are_gone_untested_is_trained_again(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        play(driver)
        (event, *others) = enqueue_repeats(driver, near=0.5)
        play(driver)
        driver.store.drop_students({event["trial_id"]})
        (again,) = enqueue_repeats(driver, near=0.5)
        assert again["seed"] == event["seed"] and again["trial_id"] != event["trial_id"]
        assert others


def test_trials_of_the_search_itself_wait_for_it(tmp_path: Path) -> None:
    config = made_config()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(driver, slots=1)
    with made_driver(tmp_path, made_config(budget={"trials": 8}), Listed([23])) as driver:
        driver.next()  # in flight when it is broken off
    with made_driver(tmp_path, made_config(budget={"trials": 8}), None) as driver:
        events = enqueue_repeats(driver)
        assert {launch.trial_id for launch in play(driver)} == {e["trial_id"] for e in events}
        assert driver.finished and len(driver.store.history.running) == 1


def test_the_clock_of_repeats_is_not_the_searchs(tmp_path: Path) -> None:
    config = made_config()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(driver)
        spent = driver.store.history.seconds
    with made_driver(tmp_path, config, None) as driver:
        enqueue_repeats(driver)
        time.sleep(0.01)
        play(driver)
        assert driver.store.history.seconds == spent


@pytest.mark.parametrize(
    "wrong", [{"seeds": 0}, {"epochs": 0}, {"near": -0.1}, {"near": 1.0}, {"near": float("nan")}]
)
def test_a_number_out_of_its_bounds_is_one_line(wrong: dict[str, float]) -> None:
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(UserError, match=f"^--{name}: got {value}"):
        Asked(**wrong)  # type: ignore[arg-type]


def test_a_search_without_a_front_is_refused(tmp_path: Path) -> None:
    nothing_ran = made_driver(tmp_path, made_config(), Listed(WIDTHS))
    with nothing_ran as driver, pytest.raises(UserError, match="has no front"):
        missing_repeats(driver.store, driver.objectives, Asked())


def test_a_repeat_whose_worker_failed_is_made_again(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS), scheduled=False) as driver:
        play(driver)
        events = enqueue_repeats(driver)
        for _ in events:
            driver.end(started(driver).trial_id, "failed", error="the worker died")
        assert len(enqueue_repeats(driver)) == len(events)
