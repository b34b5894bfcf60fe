"""How many students must a policy see before it beats random search? On a problem without networks.

The 45 leaves of a CIFAR ResNet-18 that no shortcut holds (convolution, batch norm, ReLU each on its
own), with its true parameter counts; the first convolution, the strided ones, the pooling and the
head stay. s_i is 0.012, 0.008 or 0.004 (convolution, norm, ReLU; else 0) times a lognormal(0, 1),
pair_ij 0.0006 times the size of a normal number. With r the leaves that go and C their share of all
parameters: d = s r + r' pair r / 2, R = C (2 - C) (0.1 + 0.9 exp(-d)), and -1 where nothing goes.
Observed is R with normal noise of 0.01. Ten seeds, 500 evaluations each. Synthetic: what it says is
about estimators, not about any network.

random: one keep-probability a rollout, of 0.3 to 0.7. n2n_code: the published code's estimator.
n2n_paper: the paper's. Both with the paper's policy and raw rows. n2n_plus: the joint policy, PPO.
Best so far is picked by what was observed; its true R is shown, and the mean true R of the last 25.

Target: n2n_plus at 120 evaluations has passed random's best at 500.

The settings of n2n_plus were chosen on problems 1000 to 1009; `--first 2000` shows others.

    python benchmarks/n2n_synthetic.py [--seeds 10] [--first 1000]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdsearch.proposers.n2n.learning import PROFILES, Learner, Sample
from kdsearch.proposers.n2n.policy import JointPolicy, RemovalPolicy, Steps
from kdsearch.proposers.n2n.states import FEATURES, LEGACY, Row, encode, legacy

EVALUATIONS, SHOWN, WINDOW, TARGET_AT = 500, (50, 100, 120, 200, 500), 25, 120
SENSITIVITY = {"conv": 0.012, "norm": 0.008, "relu": 0.004}
WIDTHS = (64, 128, 256, 512)
Run = Callable[["Problem", int], tuple[list[float], list[float]]]


@dataclass(frozen=True)
class Leaf:
    """A layer that may go, or must stay."""

    row: Row
    parameters: int
    forced: bool = False


def leaves() -> Iterator[Leaf]:
    """The 45 leaves, in the order in which the network was written."""

    def conv(inputs: int, outputs: int, stride: int, place: tuple[int, int]) -> Iterator[Leaf]:
        count = 9 * inputs * outputs
        row = Row("conv", 3, stride, inputs, outputs, count / TOTAL, **skips(place))
        yield Leaf(row, count, forced=stride > 1 or inputs == 3)
        start, end = place[0] + 1, place[1] - 1
        norm = Row("norm", 0, 0, outputs, outputs, 2 * outputs / TOTAL, **skips((start, end)))
        yield Leaf(norm, 2 * outputs)

    def skips(place: tuple[int, int]) -> dict[str, Any]:
        return {"residual": place[1] > 0, "skip_start": place[0], "skip_end": max(place[1], 0)}

    yield from conv(3, 64, 1, (0, 0))
    yield Leaf(Row("relu"), 0)
    inputs = 64
    for stage, width in enumerate(WIDTHS):
        for block in range(2):
            stride = 2 if stage and not block else 1
            yield from conv(inputs, width, stride, (0, 4))
            yield Leaf(Row("relu", residual=True, skip_start=2, skip_end=2), 0)
            yield from conv(width, width, 1, (3, 1))
            inputs = width
    yield Leaf(Row("pool", 4, 1), 0, forced=True)
    yield Leaf(Row("linear", inputs=512, outputs=10, parameters=5130 / TOTAL), 5130, forced=True)


TOTAL = 11_173_962  # shortcuts included
LEAVES = list(leaves())


class Problem:
    """One draw of the sensitivities."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        base = [SENSITIVITY.get(leaf.row.kind, 0.0) for leaf in LEAVES]
        self.single = np.array(base) * rng.lognormal(0, 1, len(LEAVES))
        self.pair = np.abs(rng.normal(size=(len(LEAVES), len(LEAVES)))) * 0.0006
        self.weights = np.array([leaf.parameters for leaf in LEAVES]) / TOTAL
        self.noise = rng

    def true(self, kept: np.ndarray) -> float:
        """R of a student, 1 where a leaf stays."""
        gone = 1.0 - kept
        if not gone.any():
            return -1.0
        share = float(self.weights @ gone)
        harm = self.single @ gone + gone @ self.pair @ gone / 2
        return share * (2 - share) * (0.1 + 0.9 * float(np.exp(-harm)))

    def observe(self, kept: np.ndarray) -> tuple[float, float]:
        """True and observed R."""
        true = self.true(kept)
        return true, true + 0.01 * float(self.noise.normal())

    @cached_property
    def forced(self) -> np.ndarray:
        return np.array([leaf.forced for leaf in LEAVES])


def random_search(problem: Problem, seed: int) -> tuple[list[float], list[float]]:
    """True and observed R of every evaluation."""
    rng = np.random.default_rng(seed)
    told = []
    for _ in range(EVALUATIONS):
        kept = rng.random(len(LEAVES)) < rng.choice([0.3, 0.4, 0.5, 0.6, 0.7])
        told.append(problem.observe((kept | problem.forced).astype(float)))
    return [t for t, _ in told], [o for _, o in told]


def learned(profile: str) -> Run:
    """A search by a policy that learns."""

    def run(problem: Problem, seed: int) -> tuple[list[float], list[float]]:
        learner, draws = made(profile, seed), np.random.default_rng(seed)
        told: list[tuple[float, float]] = []
        free = torch.tensor(~problem.forced)
        while len(told) < EVALUATIONS:
            count = min(learner.batch, EVALUATIONS - len(told))
            uniform = torch.tensor(draws.random((count, len(LEAVES))), dtype=torch.float32)
            rollout = learner.policy.sample(
                learner.steps, uniform, lambda before: free[before.shape[1]].expand(len(before))
            )
            results = [problem.observe(row) for row in rollout.actions.double().numpy()]
            told += results
            learner.add(*samples(rollout.actions, rollout.free, rollout.log_p, learner, results))
        return [t for t, _ in told], [o for _, o in told]

    return run


def samples(
    actions: Tensor,
    free: Tensor,
    log_p: Tensor,
    learner: Learner,
    results: list[tuple[float, float]],
) -> list[Sample]:
    rows = zip(actions.tolist(), free.tolist(), log_p.tolist(), results, strict=True)
    return [
        Sample(tuple(a), tuple(f), tuple(p), learner.version, observed)
        for a, f, p, (_, observed) in rows
    ]


def made(profile: str, seed: int) -> Learner:
    """Policy and learner of a profile, their weights by the seed."""
    rows = [leaf.row for leaf in LEAVES]
    options = torch.full((len(rows),), 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if profile == "n2n_plus":
            policy, states, lr = JointPolicy(FEATURES, 2), encode(placed(rows)), 0.01
        else:
            policy, states, lr = RemovalPolicy(LEGACY), legacy(rows), 0.003
    learner = PROFILES[profile](policy, Steps(states, options), lr)  # type: ignore[index]
    return learner


def placed(rows: list[Row]) -> list[Row]:
    """The rows with how deep each stands."""
    return [replace(row, depth=i / (len(rows) - 1)) for i, row in enumerate(rows)]


ARMS: dict[str, Run] = {
    "random": random_search,
    "n2n_code": learned("n2n_code"),
    "n2n_paper": learned("n2n_paper"),
    "n2n_plus": learned("n2n_plus"),
}


def best_so_far(true: list[float], observed: list[float]) -> np.ndarray:
    """True R of what was observed as the best, after every evaluation."""
    best = [int(np.argmax(observed[: i + 1])) for i in range(len(observed))]
    return np.array(true)[best]


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many problems")
    parser.add_argument("--first", type=int, default=1000, help="seed of the first problem")
    args = parser.parse_args()
    torch.set_num_threads(1)
    last = args.first + args.seeds
    print("best / mean true R" + "".join(f"{n:>15}" for n in SHOWN), flush=True)
    best: dict[str, np.ndarray] = {}
    for name in ARMS:
        runs = [ARMS[name](Problem(s), abs(s - 1000)) for s in range(args.first, last)]
        best[name] = np.mean([best_so_far(*run) for run in runs], 0)
        mean = np.mean([true for true, _ in runs], 0)
        cells = (
            f"{best[name][n - 1]:.3f} / {mean[max(0, n - WINDOW) : n].mean():.2f}" for n in SHOWN
        )
        print(f"{name:18}" + "".join(f"{cell:>15}" for cell in cells), flush=True)
    bar = best["random"][-1]
    passed = next((i + 1 for i, v in enumerate(best["n2n_plus"]) if v >= bar), None)
    print(f"random's best after {EVALUATIONS}: {bar:.3f}; n2n_plus passes it after {passed}")
    met = passed is not None and passed <= TARGET_AT
    print(f"target: by {TARGET_AT}: {'met' if met else 'missed'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
