"""The README's first search over three seeds: how long, and how good are its small students?

For each seed: of the front's students of at most 1,500 and of at most 6,000 parameters, the one of
best validation accuracy. Targets: test accuracy, averaged over the seeds, >= 0.96 and >= 0.98; each
search under 3 minutes.

    python benchmarks/digits.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from kdsearch.results.front import read_front
from kdsearch.tune.search import run_search

SPACE = Path(__file__).parent.parent / "search_spaces" / "digits.yaml"
TARGETS = {1_500: 0.96, 6_000: 0.98}
SECONDS = 180


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    reached: dict[int, list[float]] = {size: [] for size in TARGETS}
    slowest = 0.0
    print(
        f"{'seed':>4}{'seconds':>9}{'trials':>8}" + "".join(f"{f'<= {s:,}':>22}" for s in TARGETS)
    )
    for seed in seeds:
        with tempfile.TemporaryDirectory() as results:
            started = time.perf_counter()
            done = run_search(SPACE, results=results, edits=[f"seed={seed}"], quiet=True)
            taken = time.perf_counter() - started
            trials, front, _ = read_front(done.folder)
        slowest = max(slowest, taken)
        cells = []
        for size, values in reached.items():
            small = front[front["parameters"] <= size]
            best = small.loc[small["validation_accuracy"].idxmax()]
            values.append(best["test_accuracy"])
            cells.append(f"{best['parameters']:>12,}{best['test_accuracy']:10.4f}")
        print(f"{seed:4}{taken:9.0f}{len(trials):8}" + "".join(cells), flush=True)
    means = {size: sum(values) / len(values) for size, values in reached.items()}
    print(f"mean{'':17}" + "".join(f"{'':12}{mean:10.4f}" for mean in means.values()))
    missed = slowest > SECONDS or any(means[s] < target for s, target in TARGETS.items())
    print(f"targets {'missed' if missed else 'met'}: {TARGETS}, each under {SECONDS} s")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
