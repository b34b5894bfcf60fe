"""How does a search grow with its slots? Student-epochs a minute at 1, 2, 4 and 8 of them.

The same search on the digits, one CPU a slot; Ray is told of as many CPUs as there are slots, so
that those beyond the machine's cores (marked +) share them. Counted while all slots train: from the
moment when the last actor has begun to the one when a slot finds nothing left to do.

Target: with as many slots as cores, 0.9 times as many epochs a minute and slot as with one; with
more than that, 0.9 times as many in all as at best before.

    python benchmarks/slots.py [--seconds 30]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile

os.environ.setdefault("RAY_worker_niceness", "0")  # or any other process comes first

import ray
from orchestration import all_busy, search, seconds_of

from kdsearch.tune.search import run_search

EPOCH, EPOCHS = 0.06, 15  # seconds, roughly; of a trial
EACH, BEYOND = 0.9, 0.9


def rate(slots: int, seconds: float) -> float:
    """Epochs a minute of such a search."""
    cores = min(slots, os.cpu_count() or 1)
    trials = 2 * slots + round(cores * seconds / (EPOCH * EPOCHS))
    config = search("slots", trials, EPOCHS)
    config["proposer"] = {"name": "random", "repeats": True}
    with tempfile.TemporaryDirectory() as results:
        ray.init("local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
        done = run_search(config, results=results, quiet=True)
        ray.shutdown()
        events = [json.loads(line) for line in (done.folder / "log.jsonl").open()]
    ends = [e for e in events if e["event"] == "end"]
    at = sorted(seconds_of(e["at"]) for e in ends)
    all_begun = all_busy(ends, slots)
    last = at[-slots]
    return 60 * EPOCHS * sum(all_begun < t <= last for t in at) / (last - all_begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="of training, roughly, a row")
    args = parser.parse_args()
    cores = os.cpu_count() or 1
    print(f"{'slots':>6}{'epochs a minute':>17}{'times one slot':>16}{'a slot':>8}")
    one, most, missed = 0.0, 0.0, False
    for slots in (1, 2, 4, 8):
        found = rate(slots, args.seconds)
        one = one or found
        beyond = slots > cores
        missed |= found < BEYOND * most if beyond else found < EACH * slots * one
        most = max(most, found)
        mark = "+" if beyond else " "
        share = found / one
        print(f"{slots:5}{mark}{found:17.0f}{share:16.2f}{share / slots:8.2f}", flush=True)
    print(f"{cores} cores; target: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
