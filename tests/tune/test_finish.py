"""`finish_search`: every repeat tested once, the best kept, nothing trained twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kdsearch import finish_search, load_student, read_trials
from kdsearch.errors import UserError
from kdsearch.export import export_student
from kdsearch.results.front import read_front
from kdsearch.results.store import ResultStore
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Ground
from kdsearch.tune.progress import SearchProgress
from tests.tune.made import distilled_here, events_of, ground_here, log_of, really, rewrite


@dataclass
class Workers:
    """Workers in this process; after `limit` trainings they are interrupted."""

    results: Path
    limit: int = 1000
    hired: int = 0
    ground: Ground = field(init=False)
    show: SearchProgress = field(init=False)

    @contextmanager
    def __call__(self, config: Any, summary: Any, data: Any, store: Any, *rest: Any) -> Iterator:
        self.ground, self.teacher = ground_here(config, self.results)
        self.show, self.hired = rest[-1], self.hired + 1
        yield self

    def run(self, driver: Driver) -> bool:
        start, left = driver.next, self.limit

        def next_but() -> Any:
            nonlocal left
            left -= 1
            return start() if left >= 0 else None

        driver.next = next_but  # type: ignore[method-assign]
        really(driver, self.ground.data, self.teacher)
        return driver.finished


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Workers]:
    """A search of two distillations, and workers without Ray."""
    folder = distilled_here(tmp_path / "results")
    workers = Workers(folder.parent)
    monkeypatch.setattr("kdsearch.tune.finish.hired", workers)
    return folder, workers


def measured(folder: Path) -> list[str]:
    return [event["trial_id"] for event in events_of(folder, "test")]


def test_every_repeat_is_tested_once_and_the_best_of_a_student_is_kept(
    here: tuple[Path, Workers], tmp_path: Path
) -> None:
    folder, workers = here
    assert finish_search(folder, seeds=2, near=0.999, quiet=True)
    trials, front, _ = read_front(folder)
    again = trials[trials["purpose"] != "search"]
    assert again.groupby(["parent_id", "purpose"]).size().tolist() == [2] * 4
    assert sorted(measured(folder)) == sorted([*front["trial_id"], *again["trial_id"]])
    best = again[again["purpose"] == "finish"].groupby("parent_id")["validation_accuracy"].idxmax()
    kept = set(again.loc[best, "trial_id"])
    assert {p.name for p in (folder / "students").iterdir()} == kept | set(front["trial_id"])
    assert set(front["kept_as"]) <= kept
    name = front["kept_as"].iloc[0]
    export_student(folder / "students" / name, tmp_path / "out", onnx=False)
    assert load_student(tmp_path / "out") is not None
    written = pd.read_parquet(folder / "front.parquet")
    assert written["test_mean"].tolist() == front["test_mean"].tolist()
    assert front["test_accuracy"].notna().all() and workers.hired == 1


def test_a_finished_set_is_left_as_it_is_and_more_seeds_add_to_it(
    here: tuple[Path, Workers],
) -> None:
    folder, workers = here
    finish_search(folder, seeds=1, near=0, quiet=True)
    before = log_of(folder)
    assert finish_search(folder, seeds=1, near=0, quiet=True)
    assert log_of(folder) == before and workers.hired == 1
    rows = read_trials(folder)
    assert finish_search(folder, seeds=2, near=0, quiet=True)
    pd.testing.assert_frame_equal(read_trials(folder).head(len(rows)), rows)
    _, front, _ = read_front(folder)
    assert (front["finish_seeds"] == 2).all() and front["gain_interval"].notna().all()


def test_one_broken_off_goes_on_with_what_is_missing(here: tuple[Path, Workers]) -> None:
    folder, workers = here
    workers.limit = 3
    assert not finish_search(folder, seeds=2, quiet=True)
    ended = {event["trial_id"] for event in events_of(folder, "end")}
    workers.limit = 1000
    assert finish_search(folder, seeds=2, quiet=True)
    assert len(measured(folder)) == len(set(measured(folder)))
    trials = read_trials(folder)
    again = trials[trials["purpose"] != "search"]
    assert not again.duplicated(subset=["parent_id", "purpose", "seed"]).any()
    assert set(again["trial_id"]) <= set(measured(folder)) and ended <= set(trials["trial_id"])
    started = [event["trial_id"] for event in events_of(folder, "trial")]
    assert len(started) == len(set(started))


def test_one_killed_before_the_tests_reads_them_without_training(
    here: tuple[Path, Workers],
) -> None:
    folder, workers = here
    finish_search(folder, seeds=1, near=0, quiet=True)
    before = events_of(folder)
    lost = {e["trial_id"] for e in events_of(folder, "end")} - {"00000", "00001"}
    with ResultStore.open(folder) as store:
        kept = lost & store.students()
    rewrite(
        folder,
        lambda events: [e for e in events if e["event"] != "test" or e["trial_id"] not in kept],
    )
    assert len(events_of(folder)) < len(before)
    finish_search(folder, seeds=1, near=0, quiet=True)
    after = events_of(folder)
    assert workers.hired == 1 and sorted(map(json.dumps, after)) == sorted(map(json.dumps, before))


def test_the_last_number_of_epochs_asked_for_is_what_the_front_shows(
    here: tuple[Path, Workers],
) -> None:
    folder, workers = here
    for epochs, wanted, hired in ((None, 2, 1), (1, 1, 2), (None, 2, 2)):
        finish_search(folder, seeds=1, near=0, epochs=epochs, baseline=False, quiet=True)
        _, front, _ = read_front(folder)
        assert set(front["finish_epochs"]) == {wanted} and workers.hired == hired
        assert (front["finish_seeds"] == 1).all() and front["gain"].isna().all()


def test_what_cannot_be_finished_is_one_line(here: tuple[Path, Workers], tmp_path: Path) -> None:
    folder, workers = here
    with pytest.raises(UserError, match="holds no search"):
        finish_search(tmp_path, quiet=True)
    assert not list(tmp_path.glob(".lock"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "log.jsonl").touch()
    with pytest.raises(UserError, match="holds no search"):
        finish_search(tmp_path / "empty", quiet=True)
    with ResultStore.open(folder), pytest.raises(UserError, match="another process"):
        finish_search(folder, quiet=True)
    with pytest.raises(UserError, match="--seeds"):
        finish_search(folder, seeds=0, quiet=True)
    assert not workers.hired


def test_a_search_that_is_not_over_is_refused_unless_asked_for(
    here: tuple[Path, Workers],
) -> None:
    folder, workers = here
    with ResultStore.open(folder) as store:
        header = store.history.header
        tree = {**header["config"], "budget": {"trials": 3}}
        store.append({**header, "config": tree})  # raised: two trials of three
    with pytest.raises(UserError, match=r"not over: 2 of 3 trials.*kdsearch run.*--unfinished"):
        finish_search(folder, seeds=1, quiet=True)
    assert not measured(folder) and not workers.hired
    assert finish_search(folder, seeds=1, near=0, unfinished=True, quiet=True)
    assert measured(folder)


@pytest.mark.parametrize("kind", ["in flight", "at rest"])
def test_a_trial_that_has_not_ended_keeps_a_search_open(
    here: tuple[Path, Workers], kind: str
) -> None:
    folder, _ = here
    with ResultStore.open(folder) as store:
        store.append({**store.history.trials["00000"], "trial_id": "00002"})
        if kind == "at rest":
            store.append({"event": "rest", "trial_id": "00002", "epoch": 1, "seconds": 1.0})
    with pytest.raises(UserError, match="not over"):
        finish_search(folder, seeds=1, quiet=True)


def test_files_of_students_near_the_front_go_with_the_last_of_them(
    here: tuple[Path, Workers],
) -> None:
    folder, _ = here
    finish_search(folder, seeds=1, near=0.999, quiet=True)
    near = [folder / "near.parquet", folder / "near.csv"]
    there = all(path.exists() for path in near)
    for path in near:
        path.touch()
    finish_search(
        folder, seeds=1, near=0, epochs=1, quiet=True
    )  # of another schedule: none is near
    assert not any(path.exists() for path in near) and (folder / "front.csv").exists()
    assert there == (len(read_front(folder)[1]) == 1)
