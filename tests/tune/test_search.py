"""Whole searches on Ray: digits, tiny students, seconds. Invariants alone, no accuracies."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from kdsearch import pareto_front, read_epochs, read_trials, run_search
from kdsearch.errors import UserError
from kdsearch.tune import cluster
from kdsearch.tune.rerun import rerun_trial
from tests.tune.made import events_of, log_of

pytestmark = pytest.mark.ray

TREE: dict[str, Any] = {
    "search": "tiny",
    "data": {"name": "digits", "batch_size": 64, "images": 600},
    "teacher": {"architecture": {"family": "mlp", "widths": [12]}, "epochs": 2},
    "student": {"family": "mlp", "widths": {"each": 1, "int": [2, 24]}},
    "losses": [{"method": "kd", "weight": {"float": [0.1, 1.0]}}],
    "training": {"epochs": 4, "lr": {"float": [0.05, 0.2], "log": True}},
    "proposer": {"name": "tpe"},
    "scheduler": {"name": "asha", "grace": 1, "reduction": 2},
    "budget": {"trials": 8},
    "resources": {"cpu": 1, "gpu": 0},
    "seed": 2**31 - 1,  # the largest: trials' seeds grow from it
}


@dataclass
class Readings:
    """What another process would have read while the search ran."""

    counts: list[int] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)


def read_on(folder: Path, done: threading.Event, readings: Readings) -> None:
    while not done.wait(0.02):
        try:
            if (folder / "trials.parquet").exists():
                with (folder / "trials.parquet").open("rb") as file:
                    readings.counts.append(len(pd.read_parquet(file)))
                assert set(read_trials(folder)["trial_id"]) <= set(read_epochs(folder)["trial_id"])
        except Exception as fault:
            readings.faults.append(fault)


@dataclass
class Searched:
    """A search that has ended; `folder` is shared and only to be read."""

    folder: Path
    finished: bool
    readings: Readings


@pytest.fixture(scope="module")
def searched(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    results = tmp_path_factory.mktemp("results")
    readings, done = Readings(), threading.Event()
    reader = threading.Thread(target=read_on, args=(results / "tiny", done, readings))
    reader.start()
    result = run_search(TREE, results=results, quiet=True)
    done.set()
    reader.join()
    yield Searched(result.folder, result.finished, readings)


@pytest.fixture
def copied(searched: Searched, tmp_path: Path) -> Path:
    """The results of the search, to write into."""
    return shutil.copytree(searched.folder.parent, tmp_path / "results")


def small(**sections: Any) -> dict[str, Any]:
    """The same without a teacher: three trials of two epochs, none stopped."""
    tree = {
        **TREE,
        "losses": [],
        "training": {"epochs": 2},
        "budget": {"trials": 3},
        "scheduler": {"name": "none"},
        "proposer": {"name": "random"},
        **sections,
    }
    del tree["teacher"]
    return tree


def no_ray(*_: Any) -> bool:
    raise AssertionError("Ray was started")


# One search


def test_it_ends_with_exactly_its_budget(searched: Searched) -> None:
    trials = read_trials(searched.folder)
    assert searched.finished
    assert sorted(trials["trial_id"]) == [f"{i:05d}" for i in range(8)]
    assert set(trials["status"]) <= {"complete", "stopped"} and "complete" in set(trials["status"])
    assert trials["architecture_key"].is_unique and trials["error"].isna().all()
    assert trials["validation_accuracy"].between(0, 1).all()
    assert (trials["best_validation_accuracy"] >= trials["validation_accuracy"]).all()


def test_complete_means_to_the_last_epoch_and_stopped_at_a_rung(searched: Searched) -> None:
    trials, epochs = read_trials(searched.folder), read_epochs(searched.folder)
    reached = trials.groupby("status")["epochs"].agg(set).to_dict()
    assert reached["complete"] == {4} and reached.get("stopped", set()) <= {1, 2}
    assert epochs.groupby("trial_id").size().to_dict() == (
        trials.set_index("trial_id")["epochs"].to_dict()
    )
    assert {"label_loss", "kd_loss"} <= set(epochs)


def test_both_tables_could_be_read_while_it_ran(searched: Searched) -> None:
    readings = searched.readings
    assert not readings.faults
    assert readings.counts and readings.counts == sorted(readings.counts)


def test_the_front_stands_in_three_files_and_only_it_has_a_test_accuracy(
    searched: Searched,
) -> None:
    folder, trials = searched.folder, read_trials(searched.folder)
    front = pd.read_parquet(folder / "front.parquet")
    assert front["trial_id"].tolist() == pareto_front(trials)["trial_id"].tolist()
    assert front["test_accuracy"].between(0, 1).all()
    assert pd.read_csv(folder / "front.csv", dtype={"trial_id": str})["trial_id"].tolist() == (
        front["trial_id"].tolist()
    )
    assert ElementTree.parse(folder / "front.svg").getroot().tag.endswith("svg")
    measured = [event["trial_id"] for event in events_of(folder, "test")]
    assert sorted(measured) == sorted(front["trial_id"])  # each once
    assert "test_accuracy" not in pq.read_schema(folder / "trials.parquet").names
    assert {path.name for path in (folder / "students").iterdir()} == set(front["trial_id"])


def test_the_teacher_stands_beside_the_search_and_rows_name_it(searched: Searched) -> None:
    (teacher,) = (searched.folder.parent / "teachers").iterdir()
    trials = read_trials(searched.folder)
    assert set(trials["teacher_id"]) == {teacher.name}
    assert trials["teacher_validation_accuracy"].between(0, 1).all()


def test_it_leaves_ray_and_ctrl_c_as_it_found_them(searched: Searched) -> None:
    import ray

    assert ray.is_initialized()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_row_again_in_another_process_is_the_same_to_the_last_digit(copied: Path) -> None:
    said: list[str] = []
    best = pareto_front(read_trials(copied / "tiny"))["trial_id"].iloc[0]
    rerun_trial(copied / "tiny", best, say=said.append)
    assert "4 of the row's 4 epochs came out the same to the last digit" in said


# Run again


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
    (folder / "log.jsonl").write_bytes(
        b"".join(line for line in log_of(folder) if not line.startswith(b'{"event":"test"'))
    )
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
    for _ in range(2):  # the second time nothing is left to do
        edits = ["budget.trials=10"]
        assert run_search(TREE, results=folder, edits=edits, baseline=1, quiet=True).finished
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
        assert again["teacher_id"].isna().all() == (purpose == "baseline")
    measured = [event["trial_id"] for event in events_of(folder, "test")]
    assert set(front) <= set(measured) and len(set(measured)) == len(measured)
    assert pd.read_parquet(folder / "front.parquet")["trial_id"].tolist() == front


def test_other_data_under_the_same_name_is_refused(copied: Path) -> None:
    log = copied / "tiny" / "log.jsonl"
    data_id = read_trials(copied / "tiny")["data_id"].iloc[0]
    log.write_bytes(log.read_bytes().replace(data_id.encode(), b"another"))
    with pytest.raises(UserError, match="have changed"):
        run_search(TREE, results=copied, edits=["budget.trials=10"], quiet=True)


# Other searches


@pytest.fixture(scope="module")
def wild(
    searched: Searched, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[pd.DataFrame, Path]]:
    """Another search beside the first, half of whose learning rates are far too high."""

    def never(*_: Any) -> Any:
        raise AssertionError("the teacher was trained although it was there")

    results = tmp_path_factory.mktemp("next") / "results"
    shutil.copytree(searched.folder.parent / "teachers", results / "teachers")
    training = {"epochs": 2, "lr": {"choice": [0.1, 1e30]}, "clip": None}
    tree = {**TREE, "search": "wild", "training": training, "proposer": {"name": "random"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdsearch.tune.search.on_cluster", lambda *_: never)
        folder = run_search(tree, results=results, quiet=True).folder
    yield read_trials(folder), folder


def test_the_next_search_finds_the_teacher(
    searched: Searched, wild: tuple[pd.DataFrame, Path]
) -> None:
    trials, folder = wild
    assert set(trials["teacher_id"]) == set(read_trials(searched.folder)["teacher_id"])
    assert len(list((folder.parent / "teachers").iterdir())) == 1


def test_a_rate_far_too_high_diverges_and_the_others_go_on(
    wild: tuple[pd.DataFrame, Path],
) -> None:
    trials, _ = wild
    high = trials["training.lr"] > 1
    assert 0 < high.sum() < len(trials) == 8
    assert set(trials.loc[high, "status"]) == {"diverged"}
    assert set(trials.loc[~high, "status"]) <= {"complete", "stopped"}
    assert not set(pareto_front(trials)["trial_id"]) & set(trials.loc[high, "trial_id"])


def test_more_gpus_than_there_are_is_one_line_before_any_trial(
    ray_cluster: None, tmp_path: Path
) -> None:
    import ray

    wanted = int(ray.cluster_resources().get("GPU", 0)) + 1
    with pytest.raises(UserError, match=r"resources\.gpu: .* no node has more") as error:
        run_search(small(resources={"cpu": 1, "gpu": wanted}), results=tmp_path, quiet=True)
    assert "\n" not in str(error.value)
    assert not events_of(tmp_path / "tiny", "trial")


def test_a_disk_that_cannot_be_written_ends_the_search_in_one_line(
    ray_cluster: None, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "students").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"students.*cannot be written") as error:
        run_search(small(), results=tmp_path, quiet=True)
    assert "\n" not in str(error.value)


def test_a_search_file_and_the_same_tree_are_one_search(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "start", no_ray)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TREE))
    assert run_search(tmp_path / "tiny.yaml", results=copied, quiet=True).finished
    assert run_search(copied / "tiny" / "config.yaml", results=copied, quiet=True).finished
