"""The same seed on one slot: the same search twice, to the last digit."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kdsearch import read_epochs, read_trials, run_search
from tests.tune.whole import TREE

pytestmark = pytest.mark.ray

TIMES = ["seconds", "gpu_seconds", "started_at"]


def test_one_slot_and_one_seed_are_one_search(ray_cluster: None, tmp_path: Path) -> None:
    one_slot = {
        **TREE,
        "scheduler": {**TREE["scheduler"], "form": "promoting"},
        "budget": {"trials": 12},  # tpe draws its first ten at random
        "resources": {"cpu": 1.5, "gpu": 0},  # of the two that there are
    }
    first, second = (
        run_search(one_slot, results=tmp_path / name, quiet=True).folder for name in "ab"
    )
    for read in (read_trials, read_epochs):
        tables = [read(folder) for folder in (first, second)]
        once, twice = (t.drop(columns=TIMES, errors="ignore") for t in tables)
        pd.testing.assert_frame_equal(once, twice, check_exact=True)
