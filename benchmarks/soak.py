"""Does a long search grow? A thousand trials on the digits, with kills, watched from outside.

Short trainings of tiny networks; every so many rows the driver's resident memory and open files are
read, and every so many rows a worker or the driver is killed (SIGKILL) and the command started
again. A driver that was started again has read the whole log: its growth counts from its own first
hundred rows on, and its size when it has them stands in the table.

Targets: no driver grows by 50 MiB or more after its first 100 trials; its open files stay within 5
of what they were then; rows are exactly the budget's, none twice, none failed.

    python benchmarks/soak.py [--trials 1000] [--every 125]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from kill import Run, ended, kill

from kdsearch.results.store import read_epochs, read_trials

GROWTH_MIB, FILES, SETTLED = 50.0, 5, 100
KINDS: tuple[str, ...] = ("worker", "driver")


class Reading(NamedTuple):
    """Of the driver, when so many rows were there."""

    pid: int
    rows: int
    mib: float
    files: int


def search(trials: int) -> dict[str, Any]:
    """Students of a few hundred parameters, a few epochs each."""
    return {
        "search": "soak",
        "data": {"name": "digits", "batch_size": 64, "images": 500},
        "teacher": {"architecture": {"family": "mlp", "widths": [24]}, "epochs": 2},
        "student": {"family": "mlp", "widths": {"each": 3, "int": [2, 32]}},
        "losses": [{"method": "kd", "weight": {"float": [0.1, 1.0]}}],
        "training": {"epochs": 4, "lr": {"float": [0.02, 0.2], "log": True}},
        "scheduler": {"name": "asha", "grace": 1, "reduction": 2},
        "budget": {"trials": trials},
        "resources": {"cpu": max(1, (os.cpu_count() or 2) // 2), "gpu": 0},
    }


def watched(run: Run, trials: int, every: int) -> Iterator[Reading | str]:
    """Readings every twenty rows, and what was killed, until the search has ended."""
    read, due, turn = 0, every, 0
    while run.up():
        time.sleep(0.2)
        rows = len(ended(run.log)) if run.log.exists() else 0
        if rows >= read + 20 and run.process is not None:
            process = psutil.Process(run.process.pid)
            try:
                mib = process.memory_info().rss / 2**20
                yield Reading(process.pid, rows, mib, process.num_fds())
            except psutil.Error:  # it has just ended
                continue
            read = rows
        if due <= rows < trials - SETTLED:
            kind = KINDS[turn % len(KINDS)]
            if (pid := run.victim(kind)) is not None:
                kill(pid)
                due, turn = due + every, turn + 1
                yield kind


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--every", type=int, default=125, help="rows from one kill to the next")
    args = parser.parse_args()
    began, kills = time.monotonic(), dict.fromkeys(KINDS, 0)
    drivers: dict[int, list[Reading]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), search(args.trials))
        for seen in watched(run, args.trials, args.every):
            if isinstance(seen, str):
                kills[seen] += 1
            else:
                drivers.setdefault(seen.pid, []).append(seen)
        trials, epochs = read_trials(run.folder), read_epochs(run.folder)
    whole = sorted(trials["trial_id"]) == [f"{i:05d}" for i in range(args.trials)]
    whole &= set(trials["status"]) <= {"complete", "stopped"}
    whole &= not epochs.duplicated(["trial_id", "epoch"]).any()
    whole &= len(epochs) == trials["epochs"].sum()
    print(f"{'rows':>12}{'MiB at first':>14}{'after 100':>11}{'at its end':>12}{'open files':>14}")
    growth, files = 0.0, 0
    for readings in drivers.values():
        first, last = readings[0], readings[-1]
        settled = next((r for r in readings if r.rows >= first.rows + SETTLED), last)
        later = [r for r in readings if r.rows >= settled.rows]
        growth = max(growth, max(r.mib for r in later) - settled.mib)
        files = max(files, max(r.files for r in later) - settled.files)
        print(
            f"{first.rows:6}-{last.rows:<5}{first.mib:14.0f}{settled.mib:11.0f}{last.mib:12.0f}"
            f"{settled.files:8} to {last.files}"
        )
    minutes = (time.monotonic() - began) / 60
    killed = ", ".join(f"{kind} {count} times" for kind, count in kills.items())
    print(f"{len(trials)} rows in {minutes:.1f} minutes, killed: {killed}")
    missed = growth >= GROWTH_MIB or files > FILES or not whole
    print(
        f"growth {growth:.0f} MiB (target {GROWTH_MIB:g}), files {files} (target {FILES}), rows "
        f"{'whole' if whole else 'NOT whole'}: {'missed' if missed else 'met'}"
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
