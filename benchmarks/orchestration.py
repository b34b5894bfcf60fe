"""What does the search cost beside the training? Gaps between trials, and wall over a bare loop.

Trials of about a second and of about a tenth of one on digits, no early stopping, on one slot and
on two. Gap: the time a warm worker waits between one trial's last step and the next trial's first.
Bare loop: such trials by `run_trial` in as many warm plain processes as slots, before the search
and after it; wall over bare is the search's over the mean of the two, median of the rounds, for a
shared machine may be a quarter faster in one minute than in the next. What of it is the training
itself, which may be slower beside a driver, stands beside it: the epochs' own seconds over those of
the bare loop. Actors' start and the first trial of each, which loads what the second finds there,
are left out on both sides; the start is printed, as is how long after the first trial the last slot
begins.
Targets: median gap <= 20 ms; wall <= 1.03 x bare for trials of a second, 1.25 for those of a tenth;
all slots busy 1 s after the first.

    python benchmarks/orchestration.py [--seconds 10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("RAY_worker_niceness", "0")  # as the plain processes

import ray

from kdsearch.config import DataConfig, TrialSpec
from kdsearch.data import load_data
from kdsearch.teachers import read_teacher
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.search import run_search

GAP_MS, BUSY = 20.0, 1.0
EPOCHS = {15: 1.03, 2: 1.25}  # of a trial: about a second, about a tenth; and the target of each
EPOCH = 0.06  # seconds, roughly: how many trials fill the time that was asked for


def search(name: str, trials: int, epochs: int) -> dict[str, Any]:
    return {
        "search": name,
        "data": {"name": "digits", "batch_size": 64},
        "teacher": {
            "architecture": {"family": "resnet", "blocks": [1, 1], "widths": [8, 16]},
            "epochs": 2,
        },
        "student": {"family": "resnet", "blocks": [1, 1], "widths": [8, 16]},
        "losses": [{"method": "kd", "weight": 0.9, "temperature": {"float": [1, 10]}}],
        "training": {"epochs": epochs, "lr": {"float": [0.05, 0.2], "log": True}},
        "scheduler": {"name": "none"},
        "budget": {"trials": trials},
        "resources": {"cpu": 1, "gpu": 0},
    }


_warm: dict[str, Surroundings] = {}


def warm(folder: str) -> None:
    record = read_teacher(Path(folder))
    _warm["around"] = Surroundings(load_data(DataConfig(name="digits", batch_size=64)), record)


def bare(specs: list[str]) -> tuple[float, float]:
    """Seconds a trial of a plain loop over these, and those of a trial's epochs."""
    started, epochs = time.perf_counter(), 0.0
    for spec in specs:
        for report in run_trial(TrialSpec.model_validate_json(spec), _warm["around"]):
            epochs += report.seconds
    return (time.perf_counter() - started) / len(specs), epochs / len(specs)


class Measured(NamedTuple):
    """Of one search, or medians of several."""

    gap_ms: float
    over_bare: float
    training_over_bare: float
    actor_start: float
    busy_after: float
    trial_seconds: float


def measure(slots: int, trials: int, epochs: int, rounds: int) -> Measured:
    """Searches of so many trials, each between two loops over such trials in plain processes."""
    ray.init("local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as results:
        first = searched("first", slots, epochs, results)  # trains the teacher of all of them
        specs = [json.dumps(e["spec"]) for e in first if e["event"] == "trial"]
        shares = [[specs[0]] * len(range(slot, trials, slots)) for slot in range(slots)]
        teacher = str(next(Path(results, "teachers").iterdir()))
        found = []
        with get_context("spawn").Pool(slots, warm, (teacher,)) as pool:
            pool.map(bare, [specs[:1]] * slots, 1)  # threads, kernels, pages: as a warm worker has
            plain = means(pool.map(bare, shares, 1))
            for number in range(rounds):
                events = searched(str(number), trials, epochs, results)
                before, plain = plain, means(pool.map(bare, shares, 1))
                found.append(read(events, slots, *means([before, plain])))
    ray.shutdown()
    return Measured(*map(statistics.median, zip(*found, strict=True)))


def searched(name: str, trials: int, epochs: int, results: str) -> list[dict[str, Any]]:
    """The log of a search."""
    done = run_search(search(name, trials, epochs), results=results, quiet=True)
    return [json.loads(line) for line in (done.folder / "log.jsonl").open()]


def means(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Of the first numbers, and of the second ones."""
    first, second = zip(*pairs, strict=True)
    return statistics.fmean(first), statistics.fmean(second)


def read(events: list[dict[str, Any]], slots: int, trial: float, training: float) -> Measured:
    """What one search cost beside a loop of so many seconds a trial, and of its epochs."""
    starts = [e for e in events if e["event"] == "trial"]
    ends = [e for e in events if e["event"] == "end"]
    gaps = sorted(1000 * e["idle_seconds"] for e in ends)[: len(ends) - slots]
    begins = sorted(seconds_of(e["at"]) - e["seconds"] for e in ends)
    at = sorted((seconds_of(e["at"]), e["trial_id"]) for e in ends)
    counted = [name for _, name in at[slots:]]  # all slots are warm
    took = (at[-1][0] - at[slots - 1][0]) * slots / len(counted)
    epochs = sum(e["seconds"] for e in events if e["event"] == "epoch" and e["trial_id"] in counted)
    return Measured(
        gap_ms=statistics.median(gaps),
        over_bare=took / trial,
        training_over_bare=epochs / len(counted) / training,
        actor_start=begins[0] - seconds_of(starts[0]["started_at"]),
        busy_after=all_busy(ends, slots) - begins[0],
        trial_seconds=trial,
    )


def all_busy(ends: list[dict[str, Any]], slots: int) -> float:
    """The first moment at which so many trials run at once."""
    spans = [(seconds_of(e["at"]) - e["seconds"], seconds_of(e["at"])) for e in ends]
    return min(t for t, _ in spans if sum(begin <= t < end for begin, end in spans) >= slots)


def seconds_of(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="of training, a slot and round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    missed = False
    print(
        f"{'slots':>5}{'s a trial':>11}{'trials':>8}{'median gap, ms':>16}{'wall over bare':>16}"
        f"{'target':>8}{'training over bare':>20}{'actor start, s':>16}{'busy after, s':>15}"
    )
    for epochs, target in EPOCHS.items():
        for slots in (1, 2):
            trials = round(slots * args.seconds / (epochs * EPOCH))
            found = measure(slots, trials, epochs, args.rounds)
            missed |= found.gap_ms > GAP_MS or found.over_bare > target or found.busy_after > BUSY
            print(
                f"{slots:5}{found.trial_seconds:11.2f}{trials:8}{found.gap_ms:16.1f}"
                f"{found.over_bare:16.3f}{target:8}{found.training_over_bare:20.3f}"
                f"{found.actor_start:16.1f}"
                f"{found.busy_after:15.2f}",
                flush=True,
            )
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak resident memory of this driver: {own:.0f} MiB")
    print(f"targets (gap {GAP_MS:g} ms, busy {BUSY:g} s): {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
