"""Which proposer, which scheduler? Searches on a space that was trained to the end.

Every assignment of search_spaces/grid.yaml was trained over three seeds by the product itself
(results/reference/grid.parquet). Here the product's own driver, proposers and scheduler search it
again: a trial's epochs are those of a recorded training, one of the three at random; the clock is
simulated. A search's front is chosen by what it saw and scored by what is true: hypervolume of
(accuracy averaged over the seeds, logarithm of the parameters) up to the nadir of the true front
and a tenth beyond. All figures are shares of what random search without stopping reaches at the
end, mean and 95 % interval over the seeds of the search.

    python benchmarks/replay.py [--seeds 20] [--epochs 864] [--workers 4]

Target: the default (tpe under asha on all objectives) has 0.97 after a quarter of the epochs.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from functools import cache
from itertools import product
from multiprocessing import get_context

import numpy as np
import torch
from grid_table import Table, search_config
from scipy.stats import t as student_t
from simulated import Trace, simulate

from kdsearch.proposers import Proposer

PROPOSERS = ("random", "tpe", "nsga2", "evolution", "portfolio")
SCHEDULERS = ("none", "accuracy", "all")
SHARES = (0.1, 0.25, 0.5, 1.0)
MEMBERS = ["tpe", "nsga2", "evolution", "random"]
DEFAULT = ("tpe", "all")
TARGET = 0.97


@dataclass(frozen=True)
class Job:
    """One search."""

    proposer: str
    scheduler: str
    seed: int
    epochs: int
    workers: int

    def run(self) -> list[float]:
        """Noise-free hypervolume after every hundredth of the budget."""
        trace = self.trace()
        marks = [math.ceil(self.epochs * (i + 1) / 100) for i in range(100)]
        return [table().volume(trace.rows(mark)) for mark in marks]

    def trace(self, proposer: Proposer | None = None) -> Trace:
        """The search itself; by a proposer that stands in no table, if one is given."""
        name, _, told = self.proposer.partition(":")
        config = search_config(
            proposer={
                "name": name,
                "repeats": True,
                **({"members": MEMBERS} if name == "portfolio" else {}),
            },
            objectives=[
                {"name": "validation_accuracy", "direction": "max"},
                {"name": "parameters", "direction": "min", "scale": "log"},
            ],
            scheduler={"name": "none" if self.scheduler == "none" else "asha"},
            budget={"epochs": self.epochs},
            seed=self.seed,
        )
        return simulate(
            table(),
            config,
            self.workers,
            accuracy_alone=self.scheduler == "accuracy",
            told=told,
            proposer=proposer,
        )


@cache
def table() -> Table:
    return Table()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--epochs", type=int, default=32 * 27)
    parser.add_argument("--workers", type=int, default=4, help="simulated")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--proposers", nargs="+", default=list(PROPOSERS))
    parser.add_argument("--schedulers", nargs="+", choices=SCHEDULERS, default=list(SCHEDULERS))
    args = parser.parse_args()
    started = time.perf_counter()
    pairs = [("random", "none"), *product(args.proposers, args.schedulers)]
    pairs = list(dict.fromkeys(pairs))
    seeds, size = range(args.seeds), (args.epochs, args.workers)
    jobs = [Job(proposer, on, seed, *size) for proposer, on in pairs for seed in seeds]
    with get_context("spawn").Pool(args.processes, torch.set_num_threads, (1,)) as pool:
        volumes = np.array(pool.map(Job.run, jobs, chunksize=1))
    curves = dict(zip(pairs, volumes.reshape(len(pairs), args.seeds, -1), strict=True))
    return show(curves, time.perf_counter() - started)


def show(curves: dict[tuple[str, str], np.ndarray], seconds: float) -> int:
    whole = curves["random", "none"][:, -1].mean()
    names = [f"{share:.0%}" for share in SHARES]
    print(f"{'proposer':18}{'stopping on':12}" + "".join(f"{name:>16}" for name in names))
    for (proposer, scheduler), volumes in curves.items():
        cells = (spread(at(volumes / whole, share)) for share in SHARES)
        print(f"{proposer:18}{scheduler:12}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"{seconds:.0f} s")
    if DEFAULT not in curves:
        return 0
    mean = (curves[DEFAULT] / whole).mean(0)
    reached = int(np.argmax(mean >= TARGET)) + 1 if mean.max() >= TARGET else None
    met = at(mean[None], 0.25)[0] >= TARGET
    print(f"{' under '.join(DEFAULT)} has {TARGET} of random's end after "
          f"{'none' if reached is None else f'{reached} %'} of its epochs; "
          f"target: 25 %: {'met' if met else 'missed'}")  # fmt: skip
    return int(not met)


def at(volumes: np.ndarray, share: float) -> np.ndarray:
    """The volumes after a share of the budget."""
    return volumes[:, round(share * volumes.shape[1]) - 1]


def spread(values: np.ndarray) -> str:
    """Mean and half width of its 95 % interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = student_t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():.3f} ± {half:.3f}"


if __name__ == "__main__":
    sys.exit(main())
