"""What can a search have after a quarter of its epochs, however it proposes?

On the table of replay.py, under asha on all objectives: the hypervolume of proposers that know
before their first trial what a search is for. One is given the true front itself, the student that
gains most first; others the best loss, the best rate, or both, averaged over all students, and draw
the rest at random. Shares of what random search without stopping reaches at the end of the whole
budget, mean and 95 % interval over the seeds of the search.

    python benchmarks/bounds.py [--seeds 20] [--epochs 864] [--workers 4]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable

import numpy as np
import torch
from grid_table import LR, search_config
from replay import Job, spread, table

from kdsearch.proposers import Done, Observation, Proposal
from kdsearch.space import Assignment

SHARES = (0.1, 0.25, 0.5)
LOSSES = ("losses[0]", "losses[0].kd.temperature")


class InOrder:
    """Proposes what it is given, one after the other."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self._left = iter(assignments)

    def propose(self, trial_id: str) -> Proposal | Done:
        assignment = next(self._left, None)
        return Done() if assignment is None else Proposal(assignment)

    def propose_random(self, trial_id: str) -> Proposal | Done:
        return self.propose(trial_id)

    def observe(self, observation: Observation) -> None:
        """It knows already."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--epochs", type=int, default=32 * 27)
    parser.add_argument("--workers", type=int, default=4, help="simulated")
    args = parser.parse_args()
    torch.set_num_threads(1)
    everything = [filled.assignment for filled in search_config().space.every()]
    marks = [round(share * args.epochs) for share in SHARES]

    def volumes(assignments: Callable[[int], Iterable[Assignment]]) -> np.ndarray:
        rows: list[list[float]] = []
        for seed in range(args.seeds):
            job = Job("random", "all", seed, max(marks), args.workers)
            trace = job.trace(InOrder(assignments(seed)))
            rows.append([table().volume(trace.rows(mark)) for mark in marks])
        return np.array(rows)

    def shuffled(among: list[Assignment]) -> Callable[[int], list[Assignment]]:
        return lambda seed: random.Random(seed).sample(among, len(among))

    ends = [
        Job("random", "none", s, args.epochs, args.workers).run()[-1] for s in range(args.seeds)
    ]
    whole = float(np.mean(ends))
    front = gaining(everything)
    known = {
        "nothing": shuffled(everything),
        "the best rate": shuffled(best(everything, (LR,))),
        "the best loss": shuffled(best(everything, LOSSES)),
        "the best pair of them": shuffled(best(everything, (*LOSSES, LR))),
        "the true front": lambda seed: front,
    }
    print(f"{'known':24}" + "".join(f"{share:>16.0%}" for share in SHARES))
    for name, assignments in known.items():
        shares = volumes(assignments) / whole
        print(f"{name:24}" + "".join(f"{spread(column):>16}" for column in shares.T), flush=True)


def best(assignments: list[Assignment], holes: tuple[str, ...]) -> list[Assignment]:
    """Those with the values in these holes that are the most accurate on average."""
    groups: dict[tuple[object, ...], list[Assignment]] = {}
    for assignment in assignments:
        groups.setdefault(tuple(assignment.get(hole) for hole in holes), []).append(assignment)
    return max(groups.values(), key=lambda g: np.mean([table().truth[row_of(a)] for a in g]))


def gaining(assignments: list[Assignment]) -> list[Assignment]:
    """All, those of the true front first, in the order of what each adds to those before it."""
    points = {row_of(a): a for a in assignments}
    chosen: list[int] = []
    volume = 0.0
    while True:
        gains = {row: table().true_volume([*chosen, row]) for row in points.keys() - set(chosen)}
        row = max(sorted(gains), key=lambda r: gains[r])
        if gains[row] <= volume:
            return [points[r] for r in (*chosen, *sorted(points.keys() - set(chosen)))]
        chosen.append(row)
        volume = gains[row]


def row_of(assignment: Assignment) -> int:
    return table().rows(assignment)[0]


if __name__ == "__main__":
    main()
