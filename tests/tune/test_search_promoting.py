"""A whole search on Ray in which trials wait at rungs, and go on in whichever worker is free."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kdsearch import read_epochs, read_trials, run_search
from kdsearch.tune.rerun import rerun_trial
from tests.tune.made import events_of
from tests.tune.whole import TREE

pytestmark = pytest.mark.ray

SCHEDULER = {"name": "asha", "grace": 1, "reduction": 2, "form": "promoting"}
LOSSES = [
    {"method": "kd", "weight": {"float": [0.1, 1.0]}},
    {
        "method": "crd",
        "weight": "auto",
        "negatives": 16,
    },  # found, remembered, adapted
]


@pytest.fixture(scope="module")
def folder(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = {**TREE, "losses": LOSSES, "scheduler": SCHEDULER, "proposer": {"name": "random"}}
    result = run_search(tree, results=tmp_path_factory.mktemp("promoting"), quiet=True)
    assert result.finished
    return result.folder


def test_it_ends_with_exactly_its_budget_and_nothing_waits(folder: Path) -> None:
    trials = read_trials(folder)
    assert sorted(trials["trial_id"]) == [f"{i:05d}" for i in range(8)]
    assert set(trials["status"]) <= {"complete", "stopped"} and not list(trials["error"].dropna())
    reached = trials.groupby("status")["epochs"].agg(set).to_dict()
    assert reached["complete"] == {4} and reached["stopped"] <= {1, 2}
    assert not (folder / "states").exists()


def test_epochs_are_counted_on_over_the_spells(folder: Path) -> None:
    epochs = read_epochs(folder)
    for _, own in epochs.groupby("trial_id"):
        assert own["epoch"].tolist() == list(range(1, len(own) + 1))
    again = Counter(event["trial_id"] for event in events_of(folder, "resume"))
    rests = Counter(event["trial_id"] for event in events_of(folder, "rest"))
    ends = events_of(folder, "end")
    assert len(again) > 0
    assert rests == again + Counter(e["trial_id"] for e in ends if e["status"] == "stopped")
    assert len(events_of(folder, "trial")) == 8  # none started twice


def test_a_promoted_trial_in_one_go_is_the_same_to_the_last_digit(folder: Path) -> None:
    said: list[str] = []
    trials = read_trials(folder)
    complete = trials.loc[trials["status"] == "complete", "trial_id"].iloc[0]
    assert complete in {event["trial_id"] for event in events_of(folder, "resume")}
    rerun_trial(folder, complete, say=said.append)
    assert "4 of the row's 4 epochs came out the same to the last digit" in said
