"""Does a policy that has edited a smaller teacher learn sooner on a larger one?

Searches of `n2n_fashion.py` (those under `--out` serve again), begun with fresh weights of the
policy, and begun with those that as many students of a smaller resnet ([2, 2, 2] blocks of 8, 16
and 32 channels) have left: what `kdsearch policy save` writes and `proposer.policy` reads. The arm
is n2n_plus_r, which learns R: where sizes are asked for, R says which were asked for and little of
the policy.

The final reward is the mean R of the scratch search's last 25 students. It is reached when the mean
of the 25 last so far comes to 95 % of it: after 25 at the soonest. A policy that knows nothing
begins near to that, so more is shown: 95 % of the way from the scratch search's first 25 to its
last, and the student with whom the best R so far comes within 0.001 of the best that the scratch
search ends with.

Target: 95 % of the final reward after half as many students, by medians over seeds.

    python benchmarks/n2n_transfer.py DATA_ROOT --out DIR [--seeds 3] [--trials 100] [--show]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from n2n_search import Search, best_so_far, is_done, rewards, run_search, scene

from kdsearch.tune.policy import save_policy

WINDOW, SHARE, HAIR, TARGET = 25, 0.95, 0.001, 2.0


def searches(first: Search, out: Path) -> tuple[Search, Search, Search]:
    """From scratch, on the small teacher, and with the policy that the small teacher left."""
    small = replace(first, small=True)
    return first, small, replace(first, policy=str(out / f"{small.name}.policy"))


def run(first: Search, out: Path) -> None:
    """The three searches of a seed, or what is left of them."""
    scratch, small, moved = searches(first, out)
    run_search(small, out)
    if not Path(moved.policy).exists():
        save_policy(out / small.name, Path(moved.policy))
    run_search(moved, out)
    run_search(scratch, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arm", choices=("n2n_plus_r", "n2n_plus"), default="n2n_plus_r")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="what is there, and train nothing")
    args = parser.parse_args()
    out, root = args.out.resolve(), str(Path(args.root).resolve())
    firsts = [Search(args.arm, seed, root, args.trials) for seed in range(args.seeds)]
    if not args.show:
        for first in searches(firsts[0], out)[:2]:
            scene(first, out)  # the teachers, before two processes want them
        with get_context("spawn").Pool(args.processes, torch.set_num_threads, (1,)) as pool:
            pool.starmap(run, [(first, out) for first in firsts], chunksize=1)
    return show([f for f in firsts if all(is_done(s, out) for s in searches(f, out))], out)


def show(firsts: list[Search], out: Path) -> int:
    if not firsts:
        print("no seed has all of its three searches yet")
        return 1
    print(f"{'seed':>4}  {'policy':8}{'first 25':>9}{'last 25':>9}{'best':>8}{'95 %':>7}"
          f"{'95 % of the way':>17}{'best reached':>14}")  # fmt: skip
    counts: dict[str, list[list[float]]] = {"scratch": [], "moved": []}
    for first in firsts:
        scratch, _, moved = searches(first, out)
        curves = {"scratch": rewards(scratch, out), "moved": rewards(moved, out)}
        means = {name: running(curve) for name, curve in curves.items()}
        begins, final = means["scratch"][0], means["scratch"][-1]
        bars = SHARE * final, begins + SHARE * (final - begins)
        top = curves["scratch"].max() - HAIR
        for name, curve in curves.items():
            after = [reached(means[name], bar, WINDOW) for bar in bars]
            after.append(reached(best_so_far(curve), top, 1))
            counts[name].append(after)
            said = [f"{n:.0f}" if np.isfinite(n) else f"> {len(curve)}" for n in after]
            print(f"{first.seed:>4}  {name:8}{means[name][0]:>9.4f}{means[name][-1]:>9.4f}"
                  f"{curve.max():>8.4f}{said[0]:>7}{said[1]:>17}{said[2]:>14}")  # fmt: skip
    scratch, moved = (np.median(rows, 0) for rows in counts.values())
    times = [a / b if np.isfinite(b) else 0.0 for a, b in zip(scratch, moved, strict=True)]
    said = ", ".join(f"{t:.2f}" if t else "never reached" for t in times)
    print(f"times fewer, by medians: {said}")
    met = bool(times[0] >= TARGET)
    print(f"target: {TARGET:.0f} times fewer to 95 %: {'met' if met else 'missed'}")
    return int(not met)


def running(curve: np.ndarray) -> np.ndarray:
    """Means of so many in a row: the first is of the first so many."""
    return np.convolve(curve, np.ones(WINDOW) / WINDOW, "valid")


def reached(values: np.ndarray, bar: float, first: int) -> float:
    """Students after which a bar is met, where the first value is of so many; else infinity."""
    met = np.flatnonzero(values >= bar)
    return float(met[0] + first) if len(met) else np.inf


if __name__ == "__main__":
    sys.exit(main())
