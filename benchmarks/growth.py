"""Does the driver slow down as a search grows? 10,000 trials on 1,000 simulated workers.

The product's driver with its default proposer and scheduler on the recorded grid (see replay.py):
it proposes, gates, records in the log on the disk, decides and tells, as in a real search. Shown:
driver milliseconds a trial, averaged over the trials around so many, and the memory by then.
Target: 25 ms a trial at the end, of the processor, so that other work on the machine does not count
(the wall stands beside it); and memory that grows by no more than 64 KiB a trial: its history.

    python benchmarks/growth.py [--trials 10000] [--workers 1000] [--proposer tpe]
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from grid_table import Table, search_config
from simulated import simulate

MILLISECONDS, KIB = 25.0, 64.0
MARKS = (100, 300, 1_000, 3_000, 10_000)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1_000, help="simulated")
    parser.add_argument("--proposer", default="tpe")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = search_config(
        proposer={"name": args.proposer, "repeats": True},
        objectives=[
            {"name": "validation_accuracy", "direction": "max"},
            {"name": "parameters", "direction": "min", "scale": "log"},
        ],
        # No assignment comes twice, and the grid has 768: a free rate makes them endless.
        training={"epochs": 27, "lr": {"float": [0.03, 0.3], "log": True}},
        budget={"trials": args.trials},
    )
    started = time.perf_counter()
    trace = simulate(Table(), config, args.workers)
    whole = time.perf_counter() - started
    print(f"{'trials':>8}{'ms a trial':>12}{'on the wall':>13}{'memory, MiB':>13}")
    marks = [mark for mark in MARKS if mark <= args.trials]
    if args.trials not in marks:
        marks.append(args.trials)
    for mark in marks:
        own, wall = around(trace.seconds, mark)
        print(f"{mark:8,}{own:12.1f}{wall:13.1f}{trace.memory_mib[mark - 1]:13.0f}")
    last, _ = around(trace.seconds, args.trials)
    first = min(1_000, args.trials // 2)
    grown = 1024 * (trace.memory_mib[-1] - trace.memory_mib[first - 1]) / (args.trials - first)
    met = last <= MILLISECONDS and grown <= KIB
    print(f"{whole:.0f} s; a trial leaves {grown:.0f} KiB; target: {MILLISECONDS:.0f} ms, "
          f"{KIB:.0f} KiB: {'met' if met else 'missed'}")  # fmt: skip
    return int(not met)


def around(seconds: list[tuple[float, float]], mark: int) -> tuple[float, float]:
    """Mean milliseconds, of the processor and on the wall, of the tenth that ends with this one."""
    last = seconds[max(0, mark - max(50, mark // 10)) : mark]
    own, wall = (1000 * sum(column) / len(last) for column in zip(*last, strict=True))
    return own, wall


if __name__ == "__main__":
    sys.exit(main())
