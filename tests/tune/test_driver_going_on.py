"""Trials in flight when their worker or their driver died go on: no epoch is trained twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_config import SearchConfig
from kdsearch.tune import resting
from kdsearch.tune.driver import Driver
from kdsearch.tune.in_flight import MOST_LOSSES
from tests.tune.made import (
    STATE,
    Listed,
    events_of,
    made_config,
    made_driver,
    made_report,
    mixed,
    play,
    rows,
    started,
)
from tests.tune.promoting import SECTION

WIDTHS = list(range(1, 27))


@pytest.fixture(autouse=True)
def every_state_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "SHARE", math.inf)


class Killed(BaseException):
    """The driver's process is gone."""


def killed_at(monkeypatch: pytest.MonkeyPatch, driver: Driver, moment: int) -> None:
    """The driver dies right before or right after its n-th write to the log or of a state."""
    left = [moment]

    def mortal(write: Callable[..., None]) -> Callable[..., None]:
        def written(*given: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            write(*given)
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        return written

    monkeypatch.setattr(driver.store, "append", mortal(driver.store.append))
    monkeypatch.setattr(driver.states, "write", mortal(driver.states.write))


def outcome(driver: Driver) -> list[tuple[str, str, int]]:
    return [(row.trial_id, row.status, row.epochs) for row in driver.store.history.rows]


@pytest.mark.parametrize("form", ["stopping", "promoting"])
def test_killed_at_any_moment_a_search_loses_no_epoch_and_decides_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    config = made_config(scheduler={**SECTION, "form": form}, budget={"trials": 8})
    with made_driver(tmp_path / "whole", config, Listed(WIDTHS)) as driver:
        play(driver, slots=1, train=mixed)
        wanted = outcome(driver)
        moments = 2 * len(events_of(tmp_path / "whole"))
    seen = 0
    for moment in range(1, moments, 5):
        folder = tmp_path / str(moment)
        with pytest.raises(Killed), made_driver(folder, config, Listed(WIDTHS)) as driver:
            killed_at(monkeypatch, driver, moment)
            play(driver, slots=1, train=mixed)
            raise Killed  # the search had ended before
        with made_driver(folder, config, Listed(WIDTHS)) as driver:
            seen += bool(driver.history.running)
            play(driver, slots=1, train=mixed)
            assert driver.finished and outcome(driver) == wanted
        told = [(e["trial_id"], e["epoch"]) for e in events_of(folder, "epoch")]
        assert len(set(told)) == len(told)  # none twice: what was recorded is never trained again
        assert not (folder / "states").exists()
    assert seen > 5


def in_flight(driver: Driver, epochs: int, states: int) -> str:
    """A trial after so many epochs, of which the first so many left a state."""
    launch = started(driver)
    for epoch in range(1, epochs + 1):
        state = STATE + str(epoch).encode() if epoch <= states else None
        driver.report(launch.trial_id, made_report(epoch, 0.5), state=state)
    return launch.trial_id


def long(**changes: Any) -> SearchConfig:
    training = {"epochs": 9, "lr": {"float": [0.01, 0.1]}}
    unjudged = {"name": "none"}
    return made_config(**{"training": training, "scheduler": unjudged, **changes})


def test_epochs_after_the_last_state_are_trained_again_and_count_once(tmp_path: Path) -> None:
    config = long(budget={"trials": 1})
    with made_driver(tmp_path, config, Listed(WIDTHS), False) as driver:
        in_flight(driver, epochs=5, states=3)
    with made_driver(tmp_path, config, Listed(WIDTHS), False) as driver:
        assert driver.history.epoch_count == 5
        launch = started(driver)
        assert launch.state == STATE + b"3" and driver.history.epoch_count == 3
        for epoch in range(4, 10):
            driver.report(launch.trial_id, made_report(epoch, 0.5))
        driver.end(launch.trial_id, "complete", seconds=2.0)
        kept = sum(e["seconds"] for e in events_of(tmp_path, "epoch")[:3])
    assert read_epochs(tmp_path)["epoch"].tolist() == list(range(1, 10))
    assert read_trials(tmp_path)["seconds"].tolist() == [pytest.approx(kept + 2.0)]


def test_a_trial_whose_worker_died_goes_on_in_another(tmp_path: Path) -> None:
    with made_driver(tmp_path, long(), Listed(WIDTHS), False) as driver:
        trial_id = in_flight(driver, epochs=4, states=4)
        driver.lose(trial_id, "its node is gone")
        launch = started(driver)
        assert (launch.trial_id, launch.state) == (trial_id, STATE + b"4")
        driver.report(trial_id, made_report(5, 0.6))
        assert len(driver.history.epochs[trial_id]) == 5 and not rows(driver.store)


def test_a_trial_that_kills_its_workers_has_failed(tmp_path: Path) -> None:
    with made_driver(tmp_path, long(), Listed(WIDTHS), False) as driver:
        trial_id = in_flight(driver, epochs=2, states=2)
        for _ in range(MOST_LOSSES - 1):
            driver.lose(trial_id, "killed")
            assert started(driver).trial_id == trial_id
        driver.lose(trial_id, "killed")
        assert started(driver).trial_id != trial_id
    row = read_trials(tmp_path).iloc[0]
    assert row["status"] == "failed" and "3 workers died with it, the last: killed" in row["error"]
