"""How much of the front a trial has won, as trials come."""

from __future__ import annotations

import math

import numpy as np

from kdsearch.results.pareto import hypervolume

MARGIN = 0.1  # of the range, by which the reference point lies behind the worst


class HypervolumeGain:
    """The hypervolume that each point adds to those before it.

    Box and reference point come from the points so far and only ever grow: from the best value of
    each objective to a tenth of the range behind the worst. A gain is a share of that box.
    """

    def __init__(self) -> None:
        self.front: np.ndarray | None = None
        self._best = self._worst = np.array(0.0)

    def add(self, values: tuple[float, ...]) -> float:
        """The gain of a point, which joins the front if it has any.

        Parameters
        ----------
        values : tuple of float
            Objectives, all minimised and on their scales, finite.

        Returns
        -------
        float
            From 0 to 1.
        """
        point = np.array(values)
        if self.front is None:
            self.front = np.empty((0, len(point)))
            self._best = self._worst = point
        self._best, self._worst = np.minimum(self._best, point), np.maximum(self._worst, point)
        if (self.front <= point).all(1).any():
            return 0.0
        width = np.where(self._worst > self._best, self._worst - self._best, 1.0)
        reference = self._worst + MARGIN * width
        # What it dominates alone: its own box, less what others reach into it.
        shared = hypervolume(np.maximum(self.front, point), reference)
        won = math.prod(reference - point) - shared
        self.front = np.vstack([self.front[~(point <= self.front).all(1)], point])
        return max(won, 0.0) / math.prod((1 + MARGIN) * width)
