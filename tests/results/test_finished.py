"""What repeats say: of one schedule alone, on test, and nothing where nothing is known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kdsearch.results.finished import FINISH_COLUMNS, near_front, repeats
from kdsearch.results.front import read_front, read_near
from kdsearch.results.log import fold
from kdsearch.results.report import comparison_rows
from kdsearch.results.store import ResultStore
from tests.results.made import end, epoch, finished, header, repeated, trial

OBJECTIVES = [("validation_accuracy", "max"), ("parameters", "min")]


def read(folder: Path, events: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Front and near students, by trial."""
    with ResultStore.open(folder) as store:
        store.append(*events)
    trials, front, _ = read_front(folder)
    near = read_near(folder, trials, front)
    return front.set_index("trial_id"), near.set_index("trial_id")


def test_means_are_over_the_seeds_and_the_search_keeps_its_own_value(tmp_path: Path) -> None:
    events = finished({"00000": ([0.8, 0.9], [0.7, 0.75]), "00001": ([0.95, 0.97], [0.6, 0.6])})
    events.append({"event": "test", "trial_id": "00000", "test_accuracy": 0.99})
    line = read(tmp_path, events)[0].loc["00000"]
    assert line["test_accuracy"] == 0.99 and line["test_mean"] == pytest.approx(0.85)
    assert line["validation_mean"] == pytest.approx(0.75)
    assert (line["finish_seeds"], line["baseline_seeds"], line["finish_epochs"]) == (2, 2, 1)
    assert line["baseline_test_mean"] == pytest.approx(0.725)
    assert line["gain"] == pytest.approx(line["test_mean"] - line["baseline_test_mean"])
    assert line["kept_as"] == "00101"  # the better on validation


def test_schedules_of_different_length_are_not_mixed(tmp_path: Path) -> None:
    events = finished({"00000": ([0.8, 0.9], [0.7, 0.7])})
    longer = repeated({"00000": ([0.95, 0.97, 0.96], [])}, epochs=50, first=200)
    line = read(tmp_path / "longer", events + longer)[0].loc["00000"]
    assert line["test_mean"] == pytest.approx(0.96) and line["finish_seeds"] == 3
    assert pd.isna(line["gain"]) and line["baseline_seeds"] == 0
    asked_again = [*events, *longer, {"event": "finish", "epochs": None}]
    line = read(tmp_path / "again", asked_again)[0].loc["00000"]
    assert line["test_mean"] == pytest.approx(0.85) and line["kept_as"] == "00101"


def test_one_seed_has_a_mean_and_no_interval(tmp_path: Path) -> None:
    line = read(tmp_path, finished({"00000": ([0.8], [0.7])}))[0].loc["00000"]
    assert line["test_mean"] == 0.8 and line["gain"] == pytest.approx(0.1)
    assert line[["test_interval", "gain_interval", "tied_with"]].isna().all()


def test_ties_go_both_ways_and_never_to_oneself(tmp_path: Path) -> None:
    students = {
        "00000": ([0.50, 0.51, 0.52], []),
        "00001": ([0.90, 0.91, 0.92], []),
        "00002": ([0.91, 0.90, 0.93], []),
    }
    front, _ = read(tmp_path, finished(students))
    assert front["tied_with"].tolist() == ["", "00002", "00001"]


def test_a_repeat_that_did_not_end_or_was_not_tested_counts_for_nothing(tmp_path: Path) -> None:
    events = finished({"00000": ([0.8, 0.9], [])})
    events += [
        trial("00200", purpose="finish", parent_id="00000", seed=9),
        end("00200", "diverged"),
        trial("00201", purpose="finish", parent_id="00000", seed=10),
    ]
    line = read(tmp_path, events)[0].loc["00000"]
    assert line["finish_seeds"] == 2 and line["test_mean"] == pytest.approx(0.85)


def test_without_repeats_there_are_no_columns_of_them(tmp_path: Path) -> None:
    front, near = read(tmp_path, finished({"00000": ([], [])}))
    assert not set(FINISH_COLUMNS) & set(front) and not len(near)
    assert repeats(fold([header()])) == {}


def points(*pairs: tuple[int, float]) -> pd.DataFrame:
    """Complete trials of these sizes and accuracies, by number."""
    rows = [(f"{i:05d}", *pair) for i, pair in enumerate(pairs)]
    frame = pd.DataFrame(rows, columns=["trial_id", "parameters", "validation_accuracy"])
    return frame.assign(status="complete", purpose="search", macs=frame["parameters"])


def test_near_is_within_the_distance_of_every_front_student_no_larger() -> None:
    trials = points((10, 0.5), (20, 0.6), (20, 0.595), (15, 0.49), (30, 0.58), (5, 0.3))
    assert near_front(trials, OBJECTIVES, 0.0) == ["00005", "00000", "00001"]
    assert near_front(trials, OBJECTIVES, 0.01) == ["00005", "00000", "00001", "00002"]
    assert near_front(trials, OBJECTIVES, 0.011)[3:] == ["00002", "00003"]
    assert len(near_front(trials, OBJECTIVES, 0.5)) == len(trials)


def test_more_objectives_keep_more_students_near() -> None:
    trials = points((10, 0.5), (20, 0.45)).assign(macs=[10, 5])
    both = [*OBJECTIVES, ("macs", "min")]
    assert near_front(trials, OBJECTIVES, 0.01) == ["00000"]
    assert near_front(trials, both, 0.0) == ["00000", "00001"]
    assert near_front(trials, [("validation_accuracy", "max")], 0.06) == ["00000", "00001"]
    assert near_front(trials.head(0), OBJECTIVES, 0.01) == []


def test_students_near_the_front_are_compared_with_those_on_it(tmp_path: Path) -> None:
    events = finished({"00000": ([0.50, 0.51], []), "00001": ([0.90, 0.91], [])})
    events += [trial("00002", parameters=2500), epoch("00002", 1, 0.195), end("00002")]
    events += repeated({"00002": ([0.90, 0.92], [])}, first=300)
    front, near = read(tmp_path, events)
    assert "00002" not in front.index and near.index.tolist() == ["00002"]
    assert near.loc["00002", "tied_with"] == "00001"
    assert front["tied_with"].tolist() == ["", ""]


def test_repeats_that_failed_are_counted_until_they_are_made_again(tmp_path: Path) -> None:
    def again(name: str, status: str, seed: int, purpose: str) -> list[dict]:
        told = {"purpose": purpose, "parent_id": "00000", "seed": seed, "finish_epochs": None}
        return [trial(name, **told), epoch(name, 1, 0.5), end(name, status)]

    events = finished({"00000": ((0.9, 0.8), (0.7,))})
    events += again("00200", "failed", 2, "finish") + again("00201", "diverged", 1, "baseline")
    line = read(tmp_path / "a", events)[0].iloc[0]
    assert (line["finish_seeds"], line["finish_failed"]) == (2, 1)
    assert (line["baseline_seeds"], line["baseline_failed"]) == (1, 1)
    (row,) = comparison_rows(read(tmp_path / "a", [])[0].reset_index())[1]
    assert row[1] == "2 (1 failed) and 1 (1 failed)"
    line = read(tmp_path / "a", again("00202", "complete", 2, "finish"))[0].iloc[0]
    assert (line["finish_seeds"], line["finish_failed"]) == (3, 0)
    lost = finished({"00000": ((), ())}) + again("00203", "failed", 0, "finish")
    (row,) = comparison_rows(read(tmp_path / "b", lost)[0].reset_index())[1]
    assert row[1] == "0 (1 failed) and 0"
