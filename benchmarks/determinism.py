"""Is a search with a seed the same search again?

On one slot the whole of it: proposals, epochs, rows, twice, with every proposer. On several slots
trials end in another order each time, and what is proposed may differ; but every row can be run
again: `kdsearch trial` on each, its epochs compared with the recorded ones.

Target: nothing differs.

    python benchmarks/determinism.py [--trials 24]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import torch

from kdsearch.edits import groups, units
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.students import describe
from kdsearch.tune.rerun import rerun_trial
from kdsearch.tune.search import run_search

TIMES = ["seconds", "gpu_seconds", "started_at"]
PROPOSERS = ("tpe", "nsga2", "evolution", "n2n", "portfolio")
MEMBERS = {"portfolio": ["tpe", "evolution"]}
FORMS = ("stopping", "promoting")


def search(proposer: str, form: str, trials: int, cpu: float) -> dict[str, Any]:
    """Distillations on the digits; edits of the teacher where n2n proposes."""
    mlp: dict[str, Any] = {"family": "mlp", "widths": [24, 24]}
    resnet: dict[str, Any] = {"family": "resnet", "blocks": [2, 2], "widths": [8, 16]}
    student: dict[str, Any] = {"family": "mlp", "widths": {"each": 2, "int": [2, 24]}}
    if proposer == "n2n":
        network = describe(resnet, (1, 8, 8), 10)
        student = {
            "family": "edited",
            "keep": {"each": len(units(network)), "choice": [1, 0]},
            "ratio": {"each": len(groups(network)), "choice": [0.25, 0.5, 1]},
        }
    return {
        "search": proposer,
        "data": {"name": "digits", "batch_size": 64, "images": 1000, "augment": "crop"},
        "teacher": {"architecture": resnet if proposer == "n2n" else mlp, "epochs": 2},
        "student": student,
        "losses": [{"method": "kd", "weight": {"float": [0.1, 1.0]}}],
        "training": {"epochs": 4, "lr": {"float": [0.05, 0.2], "log": True}},
        "proposer": {"name": proposer, "members": MEMBERS.get(proposer, [])},
        "scheduler": {"name": "asha", "grace": 1, "reduction": 2, "form": form},
        "budget": {"trials": trials},
        "resources": {"cpu": cpu, "gpu": 0},
        "seed": 7,
    }


def searched(results: Path, *told: Any) -> Path:
    """The folder of such a search, run there."""
    return run_search(search(*told), results=results, quiet=True).folder


def differing(first: pd.DataFrame, second: pd.DataFrame) -> int:
    """Rows of two tables that are not the same to the last digit, times aside."""
    one, two = (table.drop(columns=TIMES, errors="ignore") for table in (first, second))
    if len(one) != len(two) or list(one) != list(two):
        return max(len(one), len(two))
    return int((~((one == two) | (one.isna() & two.isna())).all(axis=1)).sum())


def rows_again(folder: Path) -> tuple[int, int]:
    """Rows of a search that were run again, and those of them that came out otherwise."""
    trials = read_trials(folder)
    wrong = 0
    for name, epochs in zip(trials["trial_id"], trials["epochs"], strict=True):
        again = rerun_trial(folder, name, say=lambda _: None)
        of = {key: rows for key, rows in read_epochs(folder).groupby("trial_id")}
        first, second = (
            of[t].drop(columns="trial_id").reset_index(drop=True) for t in (name, again)
        )
        wrong += differing(first, second.iloc[:epochs]) > 0
    return len(trials), wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    total = 0
    print(f"{'slots':>5}  {'proposer':<10}{'form':<10}{'trials':>7}{'epochs':>8}{'differ':>8}")
    with tempfile.TemporaryDirectory() as place:
        for form in FORMS:
            for proposer in PROPOSERS:
                told = (proposer, form, args.trials, 1.5)  # of two: one slot
                folders = [searched(Path(place) / form / name, *told) for name in "ab"]
                trials = [read_trials(folder) for folder in folders]
                epochs = [read_epochs(folder) for folder in folders]
                wrong = differing(*trials) + differing(*epochs)
                total += wrong
                show(1, proposer, form, len(trials[0]), len(epochs[0]), wrong)
        for form in FORMS:
            folder = searched(Path(place) / form / "two", "tpe", form, args.trials, 1)
            epochs_then = len(read_epochs(folder))
            count, wrong = rows_again(folder)
            total += wrong
            show(2, "tpe", form, count, epochs_then, wrong)
    ray.shutdown()
    print(f"target: nothing differs: {'missed' if total else 'met'}")
    return int(total > 0)


def show(slots: int, proposer: str, form: str, trials: int, epochs: int, wrong: int) -> None:
    """One row of the table."""
    print(f"{slots:5}  {proposer:<10}{form:<10}{trials:7}{epochs:8}{wrong:8}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
