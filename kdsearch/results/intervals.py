"""Means over seeds, and how far the seeds leave them open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of values that differ by their seeds alone.

    Attributes
    ----------
    value : float
        NaN of no values.
    half : float
        Half the width of its 95 % interval; NaN where the values are too few to tell.
    count : int
        How many values there are.
    """

    value: float
    half: float
    count: int

    @property
    def open(self) -> bool:
        """Whether the values leave open on which side of 0 the mean is."""
        return not abs(self.value) > self.half


def mean_over(values: Sequence[float]) -> Mean:
    """The mean, with the interval of Student's t (1908).

    Equal values say nothing of their spread, on a split of few images least of all: the interval is
    unknown then, as that of a single value is.
    """
    count = len(values)
    if count < 2 or len(set(values)) == 1:
        return Mean(values[0] if count else math.nan, math.nan, count)
    spread = float(np.std(values, ddof=1)) / math.sqrt(count)
    return Mean(float(np.mean(values)), _quantile(count - 1) * spread, count)


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Mean:
    """The mean difference, seed by seed: what both owe to the seed falls out.

    Where fewer than two seeds have both values, `unpaired` says what can be said.

    Parameters
    ----------
    values, others : mapping of int to float
        By seed.
    """
    both = [seed for seed in values if seed in others]
    if len(both) < 2 and len(values) > 1 and len(others) > 1:
        return unpaired(list(values.values()), list(others.values()))
    return mean_over([values[seed] - others[seed] for seed in both])


def unpaired(values: Sequence[float], others: Sequence[float]) -> Mean:
    """The difference of two means, the two spreads unlike (Welch 1947)."""
    count = min(len(values), len(others))
    if not count:
        return Mean(math.nan, math.nan, 0)
    difference = float(np.mean(values) - np.mean(others))
    if count < 2:
        return Mean(difference, math.nan, count)
    parts = [float(np.var(v, ddof=1)) / len(v) for v in (values, others)]
    total = sum(parts)
    if len(set(values)) == len(set(others)) == 1:  # see `mean_over`
        return Mean(difference, math.nan, count)
    squares = sum(p**2 / (len(v) - 1) for p, v in zip(parts, (values, others), strict=True))
    return Mean(difference, _quantile(total**2 / squares) * math.sqrt(total), count)


def _quantile(freedom: float) -> float:
    """Of Student's t, for an interval on both sides."""
    from scipy.special import stdtrit  # here: a front without repeats does not wait for it

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
