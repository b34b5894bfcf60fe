"""What does the search cost beside the training? Gaps between trials, and wall over a bare loop.

Trials of about a second and of about a tenth of one on digits, no early stopping, on one slot and
on two. Gap: the time a warm worker waits between one trial's last step and the next trial's first.
Bare loop: the same trials by `run_trial` in as many plain processes as slots. The actors' start is
left out on both sides and printed, as is how long after the first trial the last slot begins.
Targets: median gap <= 20 ms; wall <= 1.03 x bare for trials of a second, 1.25 for those of a tenth;
all slots busy 1 s after the first.

    python benchmarks/orchestration.py [--seconds 30]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import ray

from kdsearch.config import DataConfig, TrialSpec
from kdsearch.data import load_data
from kdsearch.teachers import read_teacher
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.search import run_search

GAP_MS, BUSY = 20.0, 1.0
EPOCHS = {12: 1.03, 1: 1.25}  # of a trial: about a second, about a tenth; and the target of each
EPOCH = 0.085  # seconds, roughly: how many trials fill the time that was asked for


def search(trials: int, epochs: int) -> dict:
    return {
        "search": "orchestration",
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


def bare(specs: list[str]) -> float:
    """Seconds of a plain loop over these trials."""
    started = time.perf_counter()
    for spec in specs:
        for _ in run_trial(TrialSpec.model_validate_json(spec), _warm["around"]):
            pass
    return time.perf_counter() - started


class Measured(NamedTuple):
    """Of one search: medians and ratios."""

    gap_ms: float
    over_bare: float
    actor_start: float
    busy_after: float
    trial_seconds: float


def measure(slots: int, trials: int, epochs: int) -> Measured:
    """A search of so many trials, and the same trials in plain processes."""
    with tempfile.TemporaryDirectory() as results:
        ray.init("local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
        done = run_search(search(trials, epochs), results=results, quiet=True)
        ray.shutdown()
        events = [json.loads(line) for line in (done.folder / "log.jsonl").open()]
        starts = [e for e in events if e["event"] == "trial"]
        ends = [e for e in events if e["event"] == "end"]
        gaps = sorted(1000 * e["idle_seconds"] for e in ends)[: len(ends) - slots]
        begins = sorted(seconds_of(e["at"]) - e["seconds"] for e in ends)
        wall = max(seconds_of(e["at"]) for e in ends) - begins[0]
        start = begins[0] - seconds_of(starts[0]["started_at"])
        specs = [json.dumps(e["spec"]) for e in starts]
        teacher = str(Path(results) / "teachers" / starts[0]["teacher_id"])
        with get_context("spawn").Pool(slots, warm, (teacher,)) as pool:
            pool.map(bare, [specs[:1]] * slots, 1)  # threads, kernels, pages: as a warm worker has
            plain = max(pool.map(bare, [specs[i::slots] for i in range(slots)], 1))
    median = statistics.median(gaps)
    busy = begins[slots - 1] - begins[0]
    return Measured(median, wall / plain, start, busy, plain * slots / len(specs))


def seconds_of(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="of training, a slot and row")
    args = parser.parse_args()
    missed = False
    print(
        f"{'slots':>5}{'s a trial':>11}{'trials':>8}{'median gap, ms':>16}{'wall over bare':>16}"
        f"{'target':>8}{'actor start, s':>16}{'busy after, s':>15}"
    )
    for epochs, target in EPOCHS.items():
        for slots in (1, 2):
            trials = round(slots * args.seconds / (epochs * EPOCH))
            found = measure(slots, trials, epochs)
            missed |= found.gap_ms > GAP_MS or found.over_bare > target or found.busy_after > BUSY
            print(
                f"{slots:5}{found.trial_seconds:11.2f}{trials:8}{found.gap_ms:16.1f}"
                f"{found.over_bare:16.3f}{target:8}{found.actor_start:16.1f}"
                f"{found.busy_after:15.2f}",
                flush=True,
            )
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak resident memory of this driver: {own:.0f} MiB")
    print(f"targets (gap {GAP_MS:g} ms, busy {BUSY:g} s): {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
