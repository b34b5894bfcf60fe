"""With and without a teacher: the front's students again, each once, none of them on the front."""

from __future__ import annotations

import time
from pathlib import Path

from kdsearch.tune.baseline import baseline_trials

from kdsearch.config import TrialSpec
from kdsearch.results.pareto import pareto_front
from kdsearch.search_config import SearchConfig
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Taught
from tests.tune.made import (
    WIDTHS,
    Listed,
    made_config,
    made_driver,
    play,
)


def with_teacher() -> SearchConfig:
    teacher = {"architecture": {"family": "mlp", "widths": [8]}, "epochs": 1}
    return made_config(teacher=teacher, losses=[{"method": "kd", "weight": 0.5}])


def taught(driver: Driver) -> Driver:
    """The driver with a teacher of whom rows can speak."""
    plan = next(iter(driver.ground.config.plans()))[1]
    assert plan.teacher is not None
    driver.ground.teachers = {plan.teacher.model_dump_json(): Taught("t0", 0.9)}
    return driver


def test_baselines_are_trained_once_a_student_a_seed_and_a_purpose(tmp_path: Path) -> None:
    config = with_teacher()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(taught(driver), slots=1)
    with made_driver(tmp_path, config, None) as driver:
        front = list(pareto_front(driver.store.trials())["trial_id"])
        trials = baseline_trials(taught(driver), seeds=2)
        assert len(trials) == len(front) * 2 * 2
        driver.enqueue(trials[:3])  # and then it is broken off
        play(driver)
    with made_driver(tmp_path, config, None) as driver:
        driver.enqueue(baseline_trials(taught(driver), seeds=2))
        play(driver)
        assert baseline_trials(driver, seeds=2) == []
        assert list(pareto_front(driver.store.trials())["trial_id"]) == front
        history = driver.store.history
        assert driver.store.students() == set(front)  # repeats are counted, not kept
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


def test_the_clock_of_repeats_is_not_the_searchs(tmp_path: Path) -> None:
    config = made_config()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(driver)
        spent = driver.store.history.seconds
    with made_driver(tmp_path, config, None) as driver:
        driver.enqueue(baseline_trials(driver, seeds=1))
        time.sleep(0.01)
        play(driver)
        assert driver.store.history.seconds == spent
