"""What does the search cost beside the training? Gaps between trials, and wall over a bare loop.

Trials of about a second on digits, no early stopping, on one slot and on two. Gap: the time a warm
worker waits between one trial's last step and the next trial's first. Bare loop: the same trials by
`run_trial` in as many plain processes as slots. Actor start is left out on both sides and printed.
Targets: median gap <= 20 ms, wall <= 1.10 x bare.

    python benchmarks/orchestration.py [--trials 24]
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

import ray

from kdsearch.config import DataConfig, TrialSpec
from kdsearch.data import load_data
from kdsearch.teachers import read_teacher
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.search import run_search

GAP_MS, RATIO = 20.0, 1.10


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


def measure(slots: int, trials: int, epochs: int) -> tuple[float, float, float, float]:
    """Median gap (ms), wall over bare, seconds to the first epoch, seconds a trial (bare)."""
    with tempfile.TemporaryDirectory() as results:
        ray.init("local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
        done = run_search(search(trials, epochs), results=results, quiet=True)
        ray.shutdown()
        events = [json.loads(line) for line in (done.folder / "log.jsonl").open()]
        starts = [e for e in events if e["event"] == "trial"]
        ends = [e for e in events if e["event"] == "end"]
        gaps = sorted(1000 * e["idle_seconds"] for e in ends)[: len(ends) - slots]
        first = min(datetime.fromisoformat(e["at"]).timestamp() - e["seconds"] for e in ends)
        wall = max(datetime.fromisoformat(e["at"]).timestamp() for e in ends) - first
        start = first - datetime.fromisoformat(starts[0]["started_at"]).timestamp()
        specs = [json.dumps(e["spec"]) for e in starts]
        teacher = str(Path(results) / "teachers" / starts[0]["teacher_id"])
        with get_context("spawn").Pool(slots, warm, (teacher,)) as pool:
            pool.map(bare, [specs[:1]] * slots, 1)  # threads, kernels, pages: as a warm worker has
            plain = max(pool.map(bare, [specs[i::slots] for i in range(slots)], 1))
    return statistics.median(gaps), wall / plain, start, plain * slots / len(specs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=16)
    args = parser.parse_args()
    missed = False
    print(
        f"{'slots':>5}{'median gap, ms':>16}{'wall over bare':>16}{'actor start, s':>16}"
        f"{'s a trial':>11}"
    )
    for slots in (1, 2):
        gap, ratio, start, each = measure(slots, args.trials, args.epochs)
        missed |= gap > GAP_MS or ratio > RATIO
        print(f"{slots:5}{gap:16.1f}{ratio:16.3f}{start:16.1f}{each:11.2f}", flush=True)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak resident memory of this driver: {own:.0f} MiB")
    print(f"targets: gap <= {GAP_MS:g} ms, wall <= {RATIO} x bare: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
