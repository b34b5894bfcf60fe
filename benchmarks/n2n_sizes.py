"""Does one search that is asked for all sizes find as good a front as four, each asked for one?

The product's own parts: edits of a CIFAR ResNet-18 (4 removable blocks, 12 coupled widths with four
ratios), the joint policy, the rewards at a size, the move to a size by bisection, PPO. The networks
are not trained: each decision has a sensitivity, base 0.03 times a lognormal(0, 1), and with d the
sum over removed blocks of theirs and over shrunk groups of theirs times -log2(ratio), accuracy is
0.1 + 0.9 exp(-d); observed with normal noise of 0.005. Synthetic: what it says is about the rewards
and the policy, not about any network.

all sizes: one search, its size drawn anew for every evaluation. four sizes: four searches of a
quarter of the evaluations each, every one asked for one size of the same range. random: all sizes,
the edits drawn evenly and moved to the size alike. Hypervolume: accuracy above 0.1, over the log of
how many times smaller than the teacher, up to the smallest that is asked for, as a share of the
whole; of what was true, of all evaluations of an arm together.

Target: all sizes >= four sizes in the mean over seeds.

    python benchmarks/n2n_sizes.py [--seeds 10] [--evaluations 240]
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable

import numpy as np
import torch

from kdsearch.proposers.n2n.edited import Edited
from kdsearch.proposers.n2n.minds import make_minds
from kdsearch.proposers.n2n.reward import KAPPA, SizeBaseline, draw_kappa, sized_reward
from kdsearch.space import SearchSpace
from kdsearch.students import describe

TEACHER = describe(
    {"family": "resnet", "blocks": [2, 2, 2, 2], "widths": [64, 128, 256, 512]}, (3, 32, 32), 10
)
SPACE = {
    "student": {
        "family": "edited",
        "keep": {"each": 4, "choice": [1, 0]},
        "ratio": {"each": 12, "choice": [0.25, 0.5, 0.75, 1]},
    }
}
EDITED = Edited(SearchSpace(SPACE), TEACHER)
BASE, NOISE, RUNS = 0.03, 0.005, 4
Point = tuple[float, float]  # times smaller than the teacher, true accuracy


class Problem:
    """One draw of the sensitivities."""

    def __init__(self, seed: int) -> None:
        draws = np.random.default_rng(seed)
        self.harm = BASE * draws.lognormal(0, 1, len(EDITED.decisions))
        self.noise = draws

    def accuracy(self, actions: tuple[int, ...]) -> float:
        lost = 0.0
        for number, (decision, action) in enumerate(zip(EDITED.decisions, actions, strict=True)):
            if EDITED.is_free(actions[:number]):
                value = float(str(decision.values[action]))
                taken = 1 - value if decision.kind == "keep" else -math.log2(value)
                lost += taken * float(self.harm[number])
        return 0.1 + 0.9 * math.exp(-lost)


def search(
    problem: Problem, seed: int, count: int, size: Callable[[random.Random], float], share: float
) -> list[Point]:
    """What a search of so many evaluations finds, asked for sizes that `size` draws."""
    rng, baseline = random.Random(seed), SizeBaseline()
    (mind,) = make_minds(EDITED, "n2n_plus", seed)
    found: list[Point] = []
    for _ in range(count):
        kappa = size(rng)
        rolled = mind.roll(EDITED, EDITED.unchanged, rng, math.log(kappa), share)
        taken = EDITED.within(rolled.taken, EDITED.parameters / kappa)
        parameters, true = EDITED.size(taken), problem.accuracy(taken)
        observed = true + NOISE * float(problem.noise.normal())
        value = sized_reward(parameters, EDITED.parameters, observed, kappa)
        mind.learner.add(rolled.rewarded(value - baseline.at(kappa)))
        baseline.add(kappa, value)
        found.append((EDITED.parameters / parameters, true))
    return found


def anything(rng: random.Random) -> float:
    return draw_kappa(rng, KAPPA[1])


def fixed_sizes() -> list[float]:
    """The middles of four equal parts of the range, in the log."""
    low, high = map(math.log, KAPPA)
    return [math.exp(low + (high - low) * (i + 0.5) / RUNS) for i in range(RUNS)]


def all_sizes(problem: Problem, seed: int, count: int) -> list[list[Point]]:
    return [search(problem, seed, count, anything, 0.0)]


def four_sizes(problem: Problem, seed: int, count: int) -> list[list[Point]]:
    return [
        search(problem, 100 * seed + i, count // RUNS, lambda _, k=kappa: k, 0.0)
        for i, kappa in enumerate(fixed_sizes())
    ]


def at_random(problem: Problem, seed: int, count: int) -> list[list[Point]]:
    return [search(problem, seed, count, anything, 1.0)]


ARMS = {"all sizes": all_sizes, "four sizes": four_sizes, "random": at_random}


def hypervolume(points: list[Point]) -> float:
    """Share of the box from chance to 1 and from the teacher to the smallest size asked for."""
    volume, before = 0.0, 0.0
    for smaller, accuracy in sorted(points, key=lambda p: -p[1]):
        reach = min(math.log(smaller) / math.log(KAPPA[1]), 1.0)
        if reach > before:
            volume += (reach - before) * (accuracy - 0.1) / 0.9
            before = reach
    return volume


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=240)
    args = parser.parse_args()
    torch.set_num_threads(1)
    shown = [args.evaluations // 4, args.evaluations // 2, args.evaluations]
    print(f"{'hypervolume after':18}" + "".join(f"{n:>16}" for n in shown), flush=True)
    last: dict[str, np.ndarray] = {}
    for name, arm in ARMS.items():
        seeds = [arm(Problem(1000 + k), k, args.evaluations) for k in range(args.seeds)]
        cells: list[str] = []
        for count in shown:
            begun = [[p for run in runs for p in run[: count // len(runs)]] for runs in seeds]
            last[name] = np.array([hypervolume(points) for points in begun])
            cells.append(f"{last[name].mean():.4f} +- {last[name].std():.3f}")
        print(f"{name:18}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    gain = last["all sizes"] - last["four sizes"]
    print(f"all sizes - four sizes, by seed: {', '.join(f'{g:+.4f}' for g in gain)}")
    met = bool(gain.mean() >= 0)
    print(f"target: mean at least 0: {gain.mean():+.4f}, {'met' if met else 'missed'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
