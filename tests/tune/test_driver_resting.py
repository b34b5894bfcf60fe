"""Trials that wait at a rung and go on: each is one trial, one row, and one training."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.proposers import Done, Wait
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_config import SearchConfig
from kdsearch.tune.driver import Driver
from kdsearch.tune.launch import Launch
from tests.tune.made import (
    STATE,
    Listed,
    events_of,
    learn,
    made_config,
    made_driver,
    made_report,
    mixed,
    play,
    rows,
    started,
)
from tests.tune.promoting import SECTION, Promoting

WIDTHS = list(range(1, 27))


def promoting(**changes: object) -> SearchConfig:
    return made_config(**{"scheduler": SECTION, "budget": {"trials": 12}, **changes})


def reach(driver: Driver, launch: Launch, accuracy: float, first: int = 1, last: int = 1) -> None:
    """Epochs of a trial up to a rung, where it is told to pause and does."""
    reports = [made_report(epoch, accuracy) for epoch in range(first, last + 1)]
    state = STATE + str(last).encode()
    assert driver.report(launch.trial_id, *reports, state=state) == "pause"
    driver.leave(launch.trial_id, seconds=2.0)


# A whole search


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_every_trial_is_one_row_whatever_the_number_of_its_spells(
    tmp_path: Path, slots: int
) -> None:
    scheduler = Promoting()
    with made_driver(tmp_path, promoting(), Listed(WIDTHS), scheduler) as driver:
        launched = play(driver, slots)
        assert driver.finished and isinstance(driver.next(), Done)
        assert sorted(rows(driver.store)) == [f"{i:05d}" for i in range(12)]
        assert not driver.history.running and not driver.history.resting
    trials, epochs = read_trials(tmp_path).set_index("trial_id"), read_epochs(tmp_path)
    assert set(trials["status"]) == {"complete", "stopped"}
    assert set(trials.loc[trials["status"] == "stopped", "epochs"]) == {1, 2}
    for trial_id, own in epochs.groupby("trial_id"):
        assert own["epoch"].tolist() == list(range(1, trials.loc[trial_id, "epochs"] + 1))
    spec = {launch.trial_id: launch.spec for launch in launched}
    for trial_id, own in epochs.groupby("trial_id"):  # one training, not two
        wanted = [report.validation_accuracy for report in learn(spec[str(trial_id)])]
        assert own["validation_accuracy"].tolist() == wanted[: len(own)]
    assert not (tmp_path / "states").exists()
    resumed = [(x.trial_id, x.state) for x in launched if x.state is not None]
    named = [trial for rung, trial in scheduler.named if rung < 4]  # at 4 a trial has ended
    assert len(set(resumed)) == len(resumed) == len(named) > 0
    assert [e["trial_id"] for e in events_of(tmp_path, "resume")] == [t for t, _ in resumed]


@pytest.mark.parametrize("brackets", [1, 2])
def test_asha_in_its_promoting_form_ends_with_exactly_its_budget(
    tmp_path: Path, brackets: int
) -> None:
    config = promoting(scheduler={**SECTION, "brackets": brackets}, budget={"trials": 16})
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        launched = play(driver, slots=3)
        assert driver.finished and len(rows(driver.store)) == 16
    trials = read_trials(tmp_path)
    assert trials["trial_id"].is_unique and set(trials["status"]) == {"complete", "stopped"}
    assert any(launch.state for launch in launched) and not (tmp_path / "states").exists()


def test_a_form_without_pauses_asks_for_no_state(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        assert not any(launch.pauses or launch.state for launch in play(driver))
    assert not events_of(tmp_path, "rest")


def test_resting_trials_are_no_rows_until_the_search_ends(tmp_path: Path) -> None:
    with made_driver(tmp_path, promoting(), Listed(WIDTHS), Promoting()) as driver:
        reach(driver, started(driver), 0.5)
        driver.store.flush(force=True)
        assert not len(read_trials(tmp_path)) and len(read_epochs(tmp_path)) == 1
        assert not driver.finished
        assert (tmp_path / "states" / "00000.1.state").read_bytes() == STATE + b"1"


def test_seconds_are_summed_over_the_spells(tmp_path: Path) -> None:
    config = promoting(budget={"trials": 2})
    with made_driver(tmp_path, config, Listed(WIDTHS), Promoting()) as driver:
        first, second = started(driver), started(driver)
        reach(driver, first, 0.5)
        reach(driver, second, 0.4)
        again = started(driver)
        assert (again.trial_id, again.state) == (first.trial_id, STATE + b"1")
        driver.report(again.trial_id, made_report(2, 0.6), made_report(3, 0.6))
        driver.end(again.trial_id, "complete", seconds=5.0)
        assert isinstance(driver.next(), Done)
    seconds = read_trials(tmp_path).set_index("trial_id")["seconds"].to_dict()
    assert seconds == {"00000": 7.0, "00001": 2.0}


def test_a_proposer_is_told_of_every_end_once(tmp_path: Path) -> None:
    proposer = Listed([4, 9, 2, 16, 20, 7])
    config = promoting(budget={"trials": 6})
    with made_driver(tmp_path, config, proposer, Promoting()) as driver:
        play(driver, train=mixed)
    ended = [o for o in proposer.told if o.fate not in ("infeasible", "repeated", "resting")]
    assert len({o.trial_id for o in ended}) == len(ended) == 6
    assert {o.fate for o in ended} == {"complete", "stopped", "diverged", "failed"}


# Budgets


def test_new_trials_are_proposed_while_others_wait(tmp_path: Path) -> None:
    with made_driver(tmp_path, promoting(), Listed(WIDTHS), Promoting()) as driver:
        reach(driver, started(driver), 0.5)
        assert started(driver).trial_id == "00001"  # one of one is not the better half


def test_after_the_last_start_promotions_go_on(tmp_path: Path) -> None:
    config = promoting(budget={"trials": 2})
    with made_driver(tmp_path, config, Listed(WIDTHS), Promoting()) as driver:
        first, second = started(driver), started(driver)
        reach(driver, first, 0.5)
        assert driver.spending.ends_starts() and isinstance(driver.next(), Wait)
        reach(driver, second, 0.6)
        assert started(driver).trial_id == second.trial_id
        assert isinstance(driver.next(), Wait) and not driver.finished
        driver.end(second.trial_id, "failed")
        assert isinstance(driver.next(), Done) and driver.finished
    status = read_trials(tmp_path).set_index("trial_id")["status"].to_dict()
    assert status == {"00000": "stopped", "00001": "failed"}
    assert not (tmp_path / "states").exists()


def test_no_promotion_beyond_the_epochs(tmp_path: Path) -> None:
    config = promoting(budget={"epochs": 2})
    with made_driver(tmp_path, config, Listed(WIDTHS), Promoting()) as driver:
        first, second = started(driver), started(driver)
        reach(driver, first, 0.5)
        reach(driver, second, 0.6)
        assert isinstance(driver.next(), Done) and driver.finished
    assert set(read_trials(tmp_path)["status"]) == {"stopped"}
    assert not events_of(tmp_path, "resume")


def test_no_promotion_beyond_the_hours(tmp_path: Path) -> None:
    config = promoting(budget={"hours": 1})
    with made_driver(tmp_path, config, Listed(WIDTHS), Promoting()) as driver:
        for accuracy, launch in zip((0.5, 0.6), (started(driver), started(driver)), strict=True):
            reach(driver, launch, accuracy)
        driver.spending.began -= 3600
        assert isinstance(driver.next(), Done) and driver.finished


def test_what_ended_with_a_smaller_budget_does_not_go_on(tmp_path: Path) -> None:
    small, larger = promoting(budget={"trials": 3}), promoting(budget={"trials": 8})
    with made_driver(tmp_path, small, Listed(WIDTHS), Promoting()) as driver:
        play(driver, slots=1)
    before = read_trials(tmp_path)
    with made_driver(tmp_path, larger, Listed(WIDTHS), Promoting()) as driver:
        launched = play(driver, slots=1)
        assert not {launch.trial_id for launch in launched} & set(before["trial_id"])
    after = read_trials(tmp_path)
    assert len(after) == 8 and after.head(3).equals(before)


def test_a_proposer_that_waits_for_results_gets_those_of_resting_trials(tmp_path: Path) -> None:
    class Generations(Listed):
        """Proposes the second two once the first two have ended."""

        def propose(self, trial_id: str):  # type: ignore[override]
            ended = [o for o in self.told if o.fate != "resting"]
            due = len(ended) == 2 or int(trial_id) not in (2,)
            return super().propose(trial_id) if due else Wait()

    scheduler = Promoting()
    scheduler.promote = lambda: None  # type: ignore[method-assign]
    config = promoting(budget={"trials": 4})
    with made_driver(tmp_path, config, Generations(WIDTHS), scheduler) as driver:
        play(driver)
        assert driver.finished and len(rows(driver.store)) == 4


def test_repeats_are_finished_though_trials_of_the_search_rest(tmp_path: Path) -> None:
    config = promoting()
    with made_driver(tmp_path, config, Listed(list(range(1, 27))), Promoting()) as driver:
        reach(driver, started(driver), 0.5)
        assert driver.history.resting and not driver.finished
    with made_driver(tmp_path, config) as driver:
        assert driver.finished and driver.history.resting
