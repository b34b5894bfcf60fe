"""A row again: the same to the last digit, or edited, and never the search's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kdsearch.config import TrialSpec
from kdsearch.errors import UserError
from kdsearch.results.pareto import pareto_front
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_config import load_config
from kdsearch.student_folder import load_student
from kdsearch.tune.rerun import rerun_trial
from kdsearch.tune.study import read_search
from tests.tune.made import DISTILLED, Listed, distilled_here, made_driver, rows


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilled_here(tmp_path_factory.mktemp("results"))


@pytest.fixture
def searched(once: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    shutil.copytree(once.parent, tmp_path / "results")
    return tmp_path / "results" / "here"


def test_every_epoch_comes_out_the_same_to_the_last_digit(searched: Path) -> None:
    said: list[str] = []
    new = rerun_trial(searched, "00001", say=said.append)
    assert "2 of the row's 2 epochs came out the same to the last digit" in said
    row = read_trials(searched).set_index("trial_id").loc[new]
    assert (row["purpose"], row["status"], row["parent_id"]) == ("rerun", "complete", "00001")
    epochs = read_epochs(searched).set_index("trial_id")
    for name in ("train_loss", "validation_loss", "validation_accuracy", "kd_loss"):
        assert epochs.loc[new, name].tolist() == epochs.loc["00001", name].tolist()


def test_its_student_is_kept_and_the_front_is_as_it_was(searched: Path) -> None:
    front = pareto_front(read_trials(searched))["trial_id"].tolist()
    new = rerun_trial(searched, "00000", seed=5, say=str)
    load_student(searched / "students" / new)
    assert pareto_front(read_trials(searched))["trial_id"].tolist() == front
    kept = {path.name for path in (searched / "students").iterdir()}
    assert kept == {*front, new}


def test_edits_change_the_plan_and_the_student(searched: Path) -> None:
    edits = ["training.epochs=1", "student.widths=[12]"]
    new = rerun_trial(searched, "00000", edits=edits, say=str)
    history, _ = read_search(searched)
    spec = TrialSpec.model_validate(history.trials[new]["spec"])
    assert spec.plan.training.epochs == 1 and spec.rungs == [1]
    assert history.trials[new]["parameters"] > history.trials["00000"]["parameters"]
    assert len(history.epochs[new]) == 1


def test_an_edited_teacher_is_another_teacher(searched: Path) -> None:
    before = {path.name for path in (searched.parent / "teachers").iterdir()}
    new = rerun_trial(searched, "00000", edits=["teacher.seed=1"], say=str)
    history, _ = read_search(searched)
    assert history.trials[new]["teacher_id"] not in {*before, None}
    assert history.trials[new]["spec"]["teacher_id"] == history.trials[new]["teacher_id"]
    alone = rerun_trial(searched, "00000", edits=["losses=[]"], say=str)
    history, _ = read_search(searched)
    assert history.trials[alone]["teacher_id"] is None
    assert history.trials[alone]["spec"]["teacher_id"] is None


def test_other_data_trains_the_teacher_anew(searched: Path) -> None:
    said: list[str] = []
    new = rerun_trial(searched, "00000", edits=["data.images=500"], say=said.append)
    history, _ = read_search(searched)
    assert history.trials[new]["data_id"] != history.trials["00000"]["data_id"]
    assert any(line.startswith("teacher ") for line in said)


def test_a_training_that_diverges_says_so_and_keeps_nothing(searched: Path) -> None:
    said: list[str] = []
    edits = ["training.lr=1e30", "training.clip=null", "training.epochs=3"]
    new = rerun_trial(searched, "00000", edits=edits, say=said.append)
    row = read_trials(searched).set_index("trial_id").loc[new]
    assert row["status"] == "diverged" and row["epochs"] < 3
    assert not (searched / "students" / new).exists() and said[-1].endswith("diverged")
    again: list[str] = []
    rerun_trial(searched, new, say=again.append)
    assert f"{row['epochs']} of the row's {row['epochs']} epochs" in again[-2]  # nan equals nan


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
def test_one_that_is_broken_off_is_a_row_and_not_in_flight(
    searched: Path, fault: type[BaseException]
) -> None:
    def say(line: str) -> None:
        raise fault("no more")

    with pytest.raises(fault):
        rerun_trial(searched, "00000", say=say)
    history, _ = read_search(searched)
    assert not history.running
    assert (history.rows[-1].status, history.rows[-1].purpose) == ("failed", "rerun")
    with made_driver(searched, load_config(DISTILLED), Listed([])) as driver:
        assert driver.finished and rows(driver.store) == ["00000", "00001"]


@pytest.mark.parametrize(
    ("trial", "edits", "place"),
    [
        ("00009", [], "00009"),
        ("00000", ["training.epohcs=3"], "training.epohcs"),
        ("00000", ["student.widths=[0]"], "widths"),
        ("00000", ["no equals"], "key=value"),
    ],
)
def test_what_makes_no_trial_is_one_line_and_no_row(
    searched: Path, trial: str, edits: list[str], place: str
) -> None:
    before = (searched / "log.jsonl").read_bytes()
    with pytest.raises(UserError, match=place) as error:
        rerun_trial(searched, trial, edits=edits, say=str)
    assert "\n" not in str(error.value)
    assert (searched / "log.jsonl").read_bytes() == before


def test_a_folder_without_a_search_is_refused_and_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no search"):
        rerun_trial(tmp_path, "00000")
    assert list(tmp_path.iterdir()) == []
