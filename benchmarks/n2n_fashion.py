"""What is N2N worth against other minds, where students are really trained?

A resnet of 346,318 parameters on Fashion-MNIST at 10x10 pixels is edited (`n2n_search.py`): six
blocks that may go, twelve widths. Every arm trains the same number of students for one epoch each,
none is stopped early, none comes twice. Objectives: accuracy and parameters. n2n_plus is asked for
sizes and traces a front; n2n_paper learns R = C (2 - C) A / A_teacher alone; n2n_plus_r, beside the
five, is n2n_plus where accuracy is the one objective, and its reward R.

Best R is picked by what the search itself read after one epoch, which flatters whoever looks
often: so the best student of each search is trained again for 18 epochs, from its own start. Also
trained so: of each n2n_plus search, the student of its front that reads best among those of at most
a tenth of the teacher's parameters. Hypervolume: of accuracy above 60 % and the natural logarithm
of how many times fewer parameters than the teacher's; one reference for all.

Targets: those students, 10 times smaller, lose at most 1 point of validation accuracy, as a mean
over seeds; and no control is above n2n_plus in mean R, as read and after the whole training.

A broken run goes on where it stopped, if `--out` is kept.

    python benchmarks/n2n_fashion.py DATA_ROOT --out DIR [--seeds 3] [--trials 200]
        [--train 8000] [--show]
"""

from __future__ import annotations

import argparse
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from n2n_search import (
    ARMS,
    IMAGES,
    Search,
    best_so_far,
    is_done,
    rewards,
    run_search,
    scene,
    students,
)
from n2n_whole import OURS, SMALLER, Trained, train_whole, trained, wholes

from kdsearch.data import Batches
from kdsearch.results.pareto import hypervolume
from kdsearch.schemes import evaluate

CONTROLS = ("n2n_paper", "tpe", "random", "evolution")
WINDOW, SHOWN = 25, (50, 100, 200)
POINTS, LEAST = 0.01, 0.6


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--train", type=int, choices=IMAGES, default=2_000, help="images")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="what is there, and train nothing")
    args = parser.parse_args()
    out, root = args.out.resolve(), str(Path(args.root).resolve())
    pairs = [(arm, seed) for seed in range(args.seeds) for arm in args.arms]
    searches = [Search(*pair, root, args.trials, train=args.train) for pair in pairs]
    torch.set_num_threads(1)
    scene(searches[0], out)  # its teacher, before two processes want it
    if not args.show:
        with get_context("spawn").Pool(args.processes, torch.set_num_threads, (1,)) as pool:
            pool.starmap(run_search, [(search, out) for search in searches], chunksize=1)
            pool.map(train_whole, list(wholes(searches, out)), chunksize=1)
    return show([search for search in searches if is_done(search, out)], out)


def volume(search: Search, out: Path, count: int) -> float:
    """Hypervolume of the first so many students."""
    trials = students(search, out).iloc[:count]
    smaller = np.log(scene(search, out).parameters / trials["parameters"])
    points = np.stack([-trials["validation_accuracy"], -smaller], 1)
    return hypervolume(points, np.array([-LEAST, 0.0]))


def show(searches: list[Search], out: Path) -> int:
    on = scene(searches[0], out)
    teacher = on.record.validation_accuracy
    taught, _ = evaluate(on.teacher, Batches(on.data, 1000).evaluation("test"))
    print(f"teacher: {on.parameters:,} parameters, validation {100 * teacher:.2f} %, "
          f"test {100 * taught:.2f} %")  # fmt: skip
    print(f"{'arm':12}{'seeds':>6}{'students':>9}" + "".join(f"{f'R {n}':>8}" for n in SHOWN)
          + f"{'best R':>16}{'R, last 25':>16}{'volume':>16}")  # fmt: skip
    arms = dict.fromkeys(search.arm for search in searches)
    for arm in arms:
        own = [search for search in searches if search.arm == arm]
        curves = [rewards(search, out) for search in own]
        count = min(map(len, curves))
        so_far = np.mean([best_so_far(curve[:count]) for curve in curves], 0)
        cells = [
            spread([curve[:count].max() for curve in curves]),
            spread([curve[max(0, count - WINDOW) : count].mean() for curve in curves]),
            spread([volume(search, out, count) for search in own]),
        ]
        early = "".join(f"{so_far[n - 1]:>8.4f}" if n <= count else f"{'':8}" for n in SHOWN)
        print(f"{arm:12}{len(own):>6}{count:>9}{early}" + "".join(f"{c:>16}" for c in cells))
    rows = [row for search in searches for row in trained(search, out)]
    if not any(row.arm == OURS for row in rows):
        print("nothing was trained to the end yet")
        return 1
    print(f"\n{'arm':12}{'seed':>5}{'picked by':>11}{'parameters':>12}{'times fewer':>13}"
          f"{'R read':>9}{'R':>9}{'read':>8}{'validation':>12}{'test':>8}")  # fmt: skip
    for row in rows:
        print(f"{row.arm:12}{row.seed:>5}{row.picked_by:>11}{row.parameters:>12,}"
              f"{row.fewer:>13.1f}{row.r_read:>9.4f}{row.r:>9.4f}{100 * row.read:>8.2f}"
              f"{100 * row.validation:>12.2f}{100 * row.test:>8.2f}")  # fmt: skip
    return judge(rows, teacher)


def judge(rows: list[Trained], teacher: float) -> int:
    """Say of each target whether it was met."""
    few = [row for row in rows if row.picked_by == "tenth"]
    lost = teacher - float(np.mean([row.validation for row in few]))
    fewer = min(row.fewer for row in few)
    met = lost <= POINTS and fewer >= SMALLER
    print(f"target: {SMALLER} times fewer parameters, at most {100 * POINTS:.0f} point lost: "
          f"{fewer:.1f}, {100 * lost:.2f} points: {'met' if met else 'missed'}")  # fmt: skip
    for name, of in (("as read", lambda row: row.r_read), ("after all epochs", lambda row: row.r)):
        means: dict[str, float] = {}
        for arm in (OURS, *CONTROLS):
            own = [of(row) for row in rows if row.arm == arm and row.picked_by == "R"]
            means[arm] = float(np.mean(own)) if own else -np.inf
        above = [f"{arm} {r:.4f}" for arm, r in means.items() if r > means[OURS]]
        print(f"target: no control above {OURS} in R {name} ({means[OURS]:.4f}): "
              f"{', '.join(above) or 'none'}: {'missed' if above else 'met'}")  # fmt: skip
        met = met and not above
    return int(not met)


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"


if __name__ == "__main__":
    sys.exit(main())
