"""What a student is worth to the policy that proposed it."""

from __future__ import annotations

import math
import random
from collections import deque

from kdsearch.compression import INVALID, reward

__all__ = [
    "INVALID",
    "SizeBaseline",
    "draw_kappa",
    "leniency",
    "reward",
    "sized_reward",
    "softened",
]

LENIENT = 15  # policy updates in which a broken constraint is forgiven ever less
KAPPA = (2.0, 30.0)  # times smaller than the teacher: the sizes that are asked for
OVER = 0.2  # accuracy that a student loses for being e times larger than asked for
NEAR = 0.5  # how far in the log of kappa a result says something about another
REMEMBERED = 64


def leniency(updates: int) -> float:
    """How far a broken constraint is forgiven: 1 at first, 0 after `LENIENT` updates."""
    return max(1 - updates / LENIENT, 0.0) ** 4


def softened(value: float, updates: int) -> float:
    """The reward of a student that breaks a constraint: ever nearer to -1.

    Parameters
    ----------
    value : float
        Its reward without the constraint; 0 where it was not trained.
    updates : int
        Of the policy, so far.
    """
    forgiven = leniency(updates)
    return forgiven * value + forgiven - 1


def draw_kappa(rng: random.Random, most: float) -> float:
    """How many times smaller than the teacher the next student is to be, evenly in the log.

    Parameters
    ----------
    rng : Random
    most : float
        What the smallest student of the space comes to, above 1.
    """
    high = min(KAPPA[1], most)
    low = KAPPA[0] if high > KAPPA[0] else 1.0
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def sized_reward(parameters: float, teacher: float, accuracy: float, kappa: float) -> float:
    """Accuracy at a size: what is larger than asked for loses, what is smaller wins nothing."""
    return accuracy - OVER * max(0.0, math.log(parameters * kappa / teacher))


class SizeBaseline:
    """What students of about a size came to of late: a running mean over the log of kappa.

    One reward for all sizes would teach the policy one size; less this, a reward says how good a
    student is among its like.
    """

    def __init__(self) -> None:
        self._known: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)

    def at(self, kappa: float) -> float:
        """The mean of rewards near a size; 0 before any is known."""
        weights = [
            math.exp(-0.5 * ((math.log(kappa) - where) / NEAR) ** 2) for where, _ in self._known
        ]
        total = sum(weights)
        pairs = zip(weights, self._known, strict=True)
        return sum(w * value for w, (_, value) in pairs) / total if total > 1e-9 else 0.0

    def add(self, kappa: float, value: float) -> None:
        """Remember a reward."""
        self._known.append((math.log(kappa), value))
