"""Searches over starts: the teacher travels with the row, and the row can run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsearch.config import TrialSpec
from kdsearch.proposers import Proposal
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_config import load_config
from kdsearch.tune.gate import gate
from kdsearch.tune.rerun import rerun_trial
from tests.tune.made import Listed, enqueue_repeats, ground_here, made_driver, really

TREE: dict[str, Any] = {
    "search": "here",
    "data": {"name": "digits", "batch_size": 64, "images": 400},
    "teacher": {
        "architecture": {"family": "resnet", "blocks": [3, 1], "widths": [4, 6]},
        "epochs": 1,
    },
    "student": {"family": "resnet", "blocks": [{"int": [2, 3]}, 1], "widths": [4, 6]},
    "start": {
        "choice": [
            {"name": "scratch"},
            {
                "name": "fuse",
                "similarity": {"choice": ["cka", "cosine"]},
                "merge": "mix",
                "mix": {"float": [0, 1]},
            },
        ]
    },
    "training": {"epochs": 2},
    "scheduler": {"name": "none"},
    "budget": {"trials": 2},
}
FUSED = {"start": "fuse", "start.fuse.similarity": "cka", "start.fuse.mix": 0.7}
PROPOSALS = [{"student.blocks[0]": 2, **FUSED}, {"student.blocks[0]": 3, "start": "scratch"}]


class Given(Listed):
    """Proposes what it was given, in turn."""

    def propose(self, trial_id: str) -> Proposal:
        return Proposal(PROPOSALS[int(trial_id)])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results, config = tmp_path_factory.mktemp("results"), load_config(TREE)
    ground, teacher = ground_here(config, results)
    with made_driver(results / "here", config, Given([]), scheduled=False) as driver:
        driver.ground = ground
        really(driver, ground.data, teacher)
    return results / "here"


def test_a_hole_of_a_start_is_a_column_by_its_path(searched: Path) -> None:
    trials = read_trials(searched).set_index("trial_id")
    assert trials["start"].tolist() == ["fuse", "scratch"]
    assert trials.loc["00000", "start.fuse.mix"] == 0.7
    assert trials["start.fuse.similarity"].isna().tolist() == [False, True]
    assert (trials["status"] == "complete").all()


def test_a_fused_row_runs_again_to_the_last_digit(searched: Path) -> None:
    said: list[str] = []
    new = rerun_trial(searched, "00000", say=said.append)
    assert "2 of the row's 2 epochs came out the same to the last digit" in said
    epochs = read_epochs(searched).set_index("trial_id")
    assert epochs.loc[new, "train_loss"].tolist() == epochs.loc["00000", "train_loss"].tolist()
    edited = rerun_trial(searched, "00001", edits=["start={name: fuse}"], say=str)
    trials = read_trials(searched).set_index("trial_id")
    assert trials.loc[edited, "status"] == "complete" and trials.loc[edited, "teacher_id"]


def test_only_a_row_that_asks_for_its_teacher_is_given_one(searched: Path) -> None:
    ground, teacher = ground_here(load_config(TREE), searched.parent)
    for assignment, wanted in zip(PROPOSALS, (teacher.identity, None), strict=True):
        event, _ = gate(ground, set(), "00000", Proposal(assignment))
        assert event is not None
        assert TrialSpec.model_validate(event["spec"]).teacher_id == wanted


def test_a_baseline_owes_its_teacher_nothing(searched: Path) -> None:
    config = load_config(TREE)
    with made_driver(searched, config, None) as driver:
        driver.ground, _ = ground_here(config, searched.parent)
        trials = enqueue_repeats(driver)
    again = {t["purpose"]: t["spec"] for t in trials if t["parent_id"] == "00000"}
    assert again["finish"]["plan"]["start"]["name"] == "fuse" and again["finish"]["teacher_id"]
    assert again["baseline"]["plan"]["start"] == {"name": "scratch"}
    assert again["baseline"]["teacher_id"] is None
