"""The same command again: nothing, the rest, or more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from kdsearch import finish_search, pareto_front, read_trials, run_search
from kdsearch.errors import UserError
from kdsearch.tune import cluster
from tests.tune.made import events_of, log_of, rewrite
from tests.tune.whole import TREE, Searched

pytestmark = pytest.mark.ray


def no_ray(*_: Any) -> bool:
    raise AssertionError("Ray was started")


def test_a_finished_search_starts_no_ray(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "start", no_ray)
    before = log_of(copied / "tiny")
    assert run_search(TREE, results=copied, quiet=True).finished
    assert log_of(copied / "tiny") == before


def test_one_killed_before_the_test_accuracies_reads_them_without_ray(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "start", no_ray)
    folder = copied / "tiny"
    rewrite(folder, lambda events: [e for e in events if e["event"] != "test"])
    wanted = pd.read_parquet(folder / "front.parquet")
    run_search(TREE, results=copied, quiet=True)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "front.parquet"), wanted)


@pytest.fixture(scope="module")
def continued(
    searched: Searched, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pd.DataFrame, Path]:
    """The rows before, and the folder of the search gone on with: larger, then with baselines."""
    folder = tmp_path_factory.mktemp("continued") / "results"
    shutil.copytree(searched.folder.parent, folder)
    edits = ["budget.trials=10"]
    assert run_search(TREE, results=folder, edits=edits, baseline=1, quiet=True).finished
    with pytest.MonkeyPatch.context() as patch:  # the second time nothing is left to do
        patch.setattr(cluster, "start", no_ray)
        assert run_search(TREE, results=folder, edits=edits, baseline=1, quiet=True).finished
        assert finish_search(folder / "tiny", seeds=1, near=0, quiet=True)
    return read_trials(searched.folder), folder / "tiny"


def test_a_larger_budget_goes_on_and_changes_no_row(
    continued: tuple[pd.DataFrame, Path],
) -> None:
    before, folder = continued
    after = read_trials(folder)
    own = after[after["purpose"] == "search"]
    assert sorted(own["trial_id"]) == [f"{i:05d}" for i in range(10)]
    pd.testing.assert_frame_equal(after.head(8), before)
    assert own["architecture_key"].is_unique
    assert len(list((folder.parent / "teachers").iterdir())) == 1


def test_the_fronts_students_again_with_and_without_a_teacher_once(
    continued: tuple[pd.DataFrame, Path],
) -> None:
    _, folder = continued
    trials = read_trials(folder)
    front = pareto_front(trials)["trial_id"].tolist()
    for purpose in ("finish", "baseline"):
        again = trials[trials["purpose"] == purpose]
        assert sorted(again["parent_id"]) == sorted(front)
    taught = {e["trial_id"]: e["spec"]["teacher_id"] for e in events_of(folder, "trial")}
    alone = set(trials.loc[trials["purpose"] == "baseline", "trial_id"])
    assert {trial for trial, teacher in taught.items() if teacher is None} == alone
    measured = [event["trial_id"] for event in events_of(folder, "test")]
    assert len(set(measured)) == len(measured)
    assert {*front, *trials.loc[trials["purpose"] != "search", "trial_id"]} <= set(measured)
    assert pd.read_parquet(folder / "front.parquet")["trial_id"].tolist() == front


def test_finishing_on_ray_adds_seeds_and_another_schedule(
    continued: tuple[pd.DataFrame, Path],
) -> None:
    _, folder = continued
    assert finish_search(folder, seeds=2, epochs=1, near=0, quiet=True)
    front = pd.read_parquet(folder / "front.parquet")
    assert (front["finish_seeds"] == 2).all() and (front["baseline_seeds"] == 2).all()
    assert set(front["finish_epochs"]) == {1}
    assert (
        front[["test_accuracy", "test_mean", "test_interval", "gain_interval"]]
        .notna()
        .all(axis=None)
    )
    assert {path.name for path in (folder / "students").iterdir()} >= set(front["kept_as"])


def test_other_data_under_the_same_name_is_refused(copied: Path) -> None:
    rewrite(
        copied / "tiny",
        lambda events: [{**e, "data_id": "another"} if "data_id" in e else e for e in events],
    )
    with pytest.raises(UserError, match="have changed"):
        run_search(TREE, results=copied, edits=["budget.trials=10"], quiet=True)


def test_a_search_file_and_the_same_tree_are_one_search(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "start", no_ray)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TREE))
    assert run_search(tmp_path / "tiny.yaml", results=copied, quiet=True).finished
    assert run_search(copied / "tiny" / "config.yaml", results=copied, quiet=True).finished
