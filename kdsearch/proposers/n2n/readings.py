"""Accuracies of trials that ended at different rungs, brought to one scale."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

FINISHED = 64  # trials that ran to their end, the most recent
ENOUGH = 3  # of them, before a stopped trial is read
WIDEST = 3.0  # standard deviations
LEAST = 1e-3  # of a standard deviation, where all are alike


class Readings:
    """What a trial that was stopped would have come to, by its standing at its own rung.

    Its accuracy is standardised among those that finished trials had after the same epoch, and
    carried to their accuracies at the end. Two rungs are never compared with each other.
    """

    def __init__(self) -> None:
        self._finished: deque[dict[int, float]] = deque(maxlen=FINISHED)

    def finish(self, curve: Mapping[int, float]) -> None:
        """Remember a trial that ran to its end.

        Parameters
        ----------
        curve : mapping of int to float
            Accuracy after each epoch, at least one.
        """
        self._finished.append({e: a for e, a in curve.items() if math.isfinite(a)})

    def final(self, epoch: int, accuracy: float) -> float | None:
        """The accuracy at the end that one after an epoch stands for, from 0 to 1.

        None while too few have finished to say.
        """
        passed = [curve for curve in self._finished if epoch in curve]
        if len(passed) < ENOUGH:
            return None
        there, spread = _normal([curve[epoch] for curve in passed])
        end, end_spread = _normal([curve[max(curve)] for curve in passed])
        standing = min(max((accuracy - there) / spread, -WIDEST), WIDEST)
        return min(max(end + standing * end_spread, 0.0), 1.0)


def _normal(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, max(math.sqrt(variance), LEAST)
