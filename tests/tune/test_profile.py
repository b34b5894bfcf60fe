"""Where the time goes: all of it is somewhere, and looking leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from kdsearch.search_config import load_config
from kdsearch.tune.profile import PARTS, Profile, TrialProfile, _stopped, profile_search
from tests.tune.whole import TREE


def test_as_many_threads_as_train_the_most_on_all_cpus() -> None:
    assert Profile([], None, {1: 10.0, 2: 6.0, 4: 2.0}).cpus == 4
    assert Profile([], None, {1: 10.0, 2: 5.1, 4: 3.0}).cpus == 1


def test_a_step_is_the_sum_of_its_parts() -> None:
    trial = TrialProfile(100, "kd", {"data": 1.0, "backward": 2.0}, 5.0, 2.0)
    assert trial.step == 3.0


@pytest.mark.ray
def test_a_search_is_profiled_without_a_trace(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = profile_search(load_config(TREE), trials=2)
    assert len(found.trials) == 2
    for trial in found.trials:
        assert set(trial.parts) == set(PARTS) and trial.floor > 0
        learned = [trial.parts[n] for n in ("data", "student forward", "backward", "optimizer")]
        assert min(learned) > 0 and trial.evaluation > 0
    assert 1 in found.threads
    assert not list(tmp_path.rglob("*.parquet")) and not list(tmp_path.rglob("teacher.json"))


def test_a_choice_of_trainings_is_cut_short_in_each_option() -> None:
    options = [{"optimizer": name, "epochs": 9} for name in ("sgd", "adamw")]
    found = _stopped({"choice": [options[0], {"choice": options}]}, 2)
    plain, nested = found["choice"]
    assert [o["stop_epoch"] for o in (plain, *nested["choice"])] == [2, 2, 2]
    load_config({**TREE, "training": found})
