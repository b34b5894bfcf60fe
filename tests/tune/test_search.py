"""Whole searches on Ray: digits, tiny students, seconds. Invariants alone, no accuracies."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kdsearch import pareto_front, read_epochs, read_trials, run_search
from kdsearch.errors import UserError
from kdsearch.tune.rerun import rerun_trial
from tests.tune.made import events_of
from tests.tune.whole import TREE, Searched, small

pytestmark = pytest.mark.ray


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
    assert signal.getsignal(signal.SIGINT) is searched.ctrl_c


def test_a_row_again_in_another_process_is_the_same_to_the_last_digit(copied: Path) -> None:
    said: list[str] = []
    best = pareto_front(read_trials(copied / "tiny"))["trial_id"].iloc[0]
    rerun_trial(copied / "tiny", best, say=said.append)
    assert "4 of the row's 4 epochs came out the same to the last digit" in said


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
    tree["resources"] = "auto"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdsearch.tune.workers.on_cluster", lambda *_: never)
        folder = run_search(tree, results=results, quiet=True).folder
    yield read_trials(folder), folder


def test_the_next_search_finds_the_teacher(
    searched: Searched, wild: tuple[pd.DataFrame, Path]
) -> None:
    trials, folder = wild
    assert set(trials["teacher_id"]) == set(read_trials(searched.folder)["teacher_id"])
    assert len(list((folder.parent / "teachers").iterdir())) == 1


def test_what_trials_take_was_chosen_once_before_the_first(wild: tuple[pd.DataFrame, Path]) -> None:
    kinds = [e["event"] for e in events_of(wild[1]) if e["event"] in ("resources", "trial")]
    assert kinds[0] == "resources" and kinds.count("resources") == 1
    (chosen,) = events_of(wild[1], "resources")
    assert (chosen["cpu"], chosen["gpu"], chosen["place"]) == (1, 0, "2 CPU")
    assert chosen["memory_mib"] > 0


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
