"""The search's mind without Ray: budgets to the trial, and a kill at any moment costs nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kdsearch.config import TrialSpec
from kdsearch.errors import UserError
from kdsearch.proposers import Done, Wait, build_proposer
from kdsearch.results.pareto import pareto_front
from kdsearch.results.records import EpochReport
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_sections import ProposerConfig
from tests.tune.made import (
    FIRST,
    WIDTHS,
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


def test_it_knows_nothing_of_ray() -> None:
    program = "import sys, kdsearch.tune.driver, kdsearch.tune.asha; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=120, check=False).returncode == 0


# Budgets


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_exactly_as_many_trials_as_the_budget_says(tmp_path: Path, slots: int) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        play(driver, slots)
        assert driver.finished and driver.exhausted is None
        assert isinstance(driver.next(), Done)
        assert sorted(rows(driver.store)) == [f"{i:05d}" for i in range(6)]
        assert not driver.store.history.running


def test_no_trial_starts_once_the_epochs_are_spent(tmp_path: Path) -> None:
    config = made_config(budget={"epochs": 10}, scheduler={"name": "none"})
    with made_driver(tmp_path, config, Listed(WIDTHS), scheduled=False) as driver:
        play(driver, slots=1)
        assert driver.finished
        assert driver.store.history.epoch_count == 12  # the trial that spends them ends in peace


def test_the_hours_of_former_runs_count_and_those_between_do_not(tmp_path: Path) -> None:
    config = made_config(budget={"hours": 1, "trials": 6})
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        launch = started(driver)
        driver.spending.began -= 1800
        driver.spending.told -= 1800
        driver.end(launch.trial_id, "failed")
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        assert driver.spending.before == pytest.approx(1800, abs=60)
        assert not driver.spending.ends_starts()
        driver.spending.began -= 1800
        assert driver.finished and isinstance(driver.next(), Done)


def test_a_search_whose_first_trials_all_fail_is_broken_off(tmp_path: Path) -> None:
    def broken(spec: TrialSpec) -> Iterator[EpochReport]:
        raise RuntimeError(f"no such file: {spec.seed}")
        yield

    config = made_config(budget={"trials": 20})
    for run in (1, 2):  # the second goes on where the first broke off, and breaks off again
        with made_driver(tmp_path, config, Listed(list(range(1, 27)))) as driver:
            with pytest.raises(UserError, match=r"first 6 .* no such file: 0;|no such file: 6;"):
                play(driver, slots=1, train=broken)
            assert len(rows(driver.store)) == 6 * run


def test_one_success_among_the_first_keeps_a_search_going(tmp_path: Path) -> None:
    def mostly(spec: TrialSpec) -> Iterator[EpochReport]:
        if spec.seed != 5:
            raise RuntimeError("unlucky")
        yield from learn(spec)

    with made_driver(
        tmp_path, made_config(budget={"trials": 9}), Listed(list(range(1, 27)))
    ) as driver:
        play(driver, slots=1, train=mostly)
        assert driver.finished and not driver.exhausted


def test_a_kill_forgets_only_the_time_since_the_last_trial_ended(tmp_path: Path) -> None:
    config = made_config(budget={"hours": 1})
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        launch = started(driver)
        driver.spending.told -= 3600
        driver.end(launch.trial_id, "failed")
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:  # no word of a pause came
        assert driver.finished


def test_a_search_without_further_students_says_so_and_ends(tmp_path: Path) -> None:
    config = made_config(budget={"trials": 60})
    proposer = build_proposer(ProposerConfig(name="random"), config.space, config.fixed.objectives)
    with made_driver(tmp_path, config, proposer) as driver:
        play(driver, slots=1)
        assert len(rows(driver.store)) == 26  # all widths that meet the constraint
        assert driver.finished and "widen" in str(driver.exhausted)


# Proposals


def test_infeasible_and_repeated_proposals_cost_no_row_and_are_told(tmp_path: Path) -> None:
    proposer = Listed(WIDTHS)
    with made_driver(tmp_path, made_config(), proposer) as driver:
        launched = play(driver, slots=1)
    assert [launch.spec.plan.student["widths"][0] for launch in launched] == FIRST
    assert len(read_trials(tmp_path)) == len(events_of(tmp_path, "trial")) == 6
    fates = [o.fate for o in proposer.told]
    assert fates.count("infeasible") == 2 and fates.count("repeated") == 2
    assert len(fates) == 6 + 4
    refused = [o for o in proposer.told if o.fate in ("infeasible", "repeated")]
    assert all(o.values is None and not o.history for o in refused)


def test_a_proposer_is_told_every_end_with_its_whole_history(tmp_path: Path) -> None:
    proposer = Listed(WIDTHS)
    with made_driver(tmp_path, made_config(), proposer) as driver:
        play(driver, slots=2, train=mixed)
        told = {o.trial_id: o for o in proposer.told if o.fate not in ("infeasible", "repeated")}
        for row in driver.store.history.rows:
            seen = told[row.trial_id]
            assert seen.fate == row.status and len(seen.history) == row.epochs
            assert seen.values == (seen.history[-1][1] if seen.history else None)
    assert {o.fate for o in told.values()} >= {"complete", "diverged", "failed"}


def test_a_proposer_that_waits_or_is_done_is_taken_at_its_word(tmp_path: Path) -> None:
    class Waiting(Listed):
        def propose(self, trial_id: str):  # type: ignore[override]
            return Wait()

    with made_driver(tmp_path, made_config(), Waiting([])) as driver:
        assert isinstance(driver.next(), Wait)
        assert not driver.finished


# What is written down


def test_the_same_epoch_twice_is_one(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        launch = started(driver)
        for _ in range(2):  # Ray shows a result to the scheduler, then to the callback
            driver.report(launch.trial_id, made_report(1, 0.5))
        driver.end(launch.trial_id, "stopped")
        driver.end(launch.trial_id, "failed")  # ended already
    assert len(read_epochs(tmp_path)) == len(read_trials(tmp_path)) == 1


def test_epochs_that_travel_together_are_written_in_order_and_once(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        launch = started(driver)
        driver.report(launch.trial_id, made_report(1, 0.1), made_report(2, 0.2))
        driver.report(launch.trial_id, made_report(2, 0.2), made_report(3, 0.3))
        driver.end(launch.trial_id, "stopped")
    assert list(read_epochs(tmp_path)["epoch"]) == [1, 2, 3]


@pytest.mark.parametrize("stage", ["hint", None])
def test_nobody_is_judged_by_an_epoch_of_pre_training(tmp_path: Path, stage: str | None) -> None:
    proposer = Listed([4, 5, 9])  # the last is larger, and will be worse
    config = made_config(proposer={"name": "random", "repeats": True})
    with made_driver(tmp_path, config, proposer) as driver:
        first, second, third = (started(driver) for _ in range(3))
        for launch in (first, second):
            driver.report(launch.trial_id, made_report(1, 0.9))
        goes_on = driver.report(third.trial_id, replace(made_report(1, 0.0), stage=stage))
        assert goes_on == ("stop" if stage is None else "continue")
        if stage is not None:  # its first own epoch is what the others' first was
            assert driver.report(third.trial_id, made_report(2, 0.0)) == "stop"
        driver.end(third.trial_id, "stopped")
    assert len(proposer.told[-1].history) == 1
    assert read_epochs(tmp_path)["stage"].notna().sum() == (stage is not None)


def test_weights_are_kept_of_the_front_alone(tmp_path: Path) -> None:
    seen = []

    def train(spec: TrialSpec) -> Iterator[EpochReport]:
        seen.append((driver.store.students(), set(pareto_front(driver.store.trials())["trial_id"])))
        yield from learn(spec)

    with made_driver(tmp_path, made_config(), Listed(WIDTHS), scheduled=False) as driver:
        play(driver, slots=1, train=train)
        seen.append((driver.store.students(), set(pareto_front(driver.store.trials())["trial_id"])))
    assert len(seen) == 7 and all(kept == front for kept, front in seen)
    assert any(len(front) < number for number, (_, front) in enumerate(seen))


def test_stopped_and_diverged_trials_leave_no_weights(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        play(driver, slots=2, train=mixed)
        complete = {r.trial_id for r in driver.store.history.rows if r.status == "complete"}
        assert driver.store.students() <= complete


def test_a_student_that_cannot_be_written_is_a_line_for_the_user(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        (tmp_path / "students").write_text("a file where the folder should be")
        with pytest.raises(UserError, match=r"students.*cannot be written"):
            play(driver)
