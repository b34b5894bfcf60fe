"""An objective that is no finite number ends its trial at that report, as diverged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kdsearch.results.store import read_trials
from kdsearch.tune.launch import Launch
from tests.tune.made import Listed, made_config, made_driver, made_report, started

OBJECTIVES = [
    {"name": "validation_accuracy", "direction": "max"},
    {"name": "validation_loss", "direction": "min"},
]


@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("form", ["stopping", "promoting"])
@pytest.mark.parametrize("ends", ["stopped", "complete"])
def test_a_non_finite_objective_is_a_divergence(
    tmp_path: Path, scheduled: bool, form: str, ends: str
) -> None:
    section = {"name": "asha", "grace": 1, "reduction": 2, "form": form}
    config = made_config(objectives=OBJECTIVES, scheduler=section, budget={"trials": 2})
    proposer = Listed([4, 9])
    with made_driver(tmp_path, config, proposer, scheduled) as driver:
        launch = started(driver)
        assert isinstance(launch, Launch)
        lost = made_report(1, 0.5, loss=math.inf)
        assert driver.report(launch.trial_id, lost) == "stop"
        if ends == "stopped":
            driver.leave(launch.trial_id, seconds=1.0)
        else:  # it was the last epoch, and the worker saw nothing wrong
            driver.end(launch.trial_id, "complete", weights=b"weights")
        assert not driver.history.resting and not driver.store.students()
        well = started(driver)
        driver.report(well.trial_id, made_report(1, 0.5))
        driver.end(well.trial_id, "complete")
    rows = read_trials(tmp_path)
    assert rows["status"].tolist() == ["diverged", "complete"]
    assert rows["error"].dropna().tolist() == ["validation_loss became inf"]
    assert [o.fate for o in proposer.told] == ["diverged", "complete"]


def test_another_purpose_than_the_search_s_is_not_judged(tmp_path: Path) -> None:
    config = made_config(objectives=OBJECTIVES, budget={"trials": 1})
    with made_driver(tmp_path, config, Listed([4])) as driver:
        first = started(driver)
        driver.end(first.trial_id, "complete")
        event = {**driver.history.trials[first.trial_id], "trial_id": "00001", "purpose": "finish"}
        again = driver.launch(event)
        assert driver.report(again.trial_id, made_report(1, 0.5, loss=math.inf)) == "continue"
        driver.end(again.trial_id, "complete")
    assert read_trials(tmp_path)["status"].tolist() == ["complete", "complete"]
