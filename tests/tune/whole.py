"""One search that the tests of this folder share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kdsearch import read_epochs, read_trials

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
    """A search that has ended; `folder` is shared and only to be read.

    `ctrl_c` is what a Ctrl-C met before it: nobody, in a background job that ignores it.
    """

    folder: Path
    finished: bool
    readings: Readings
    ctrl_c: Any


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
