"""A rung: the trials that one bracket compares after one epoch, and the order among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist


class Rung:
    """What trials had reached when they came to an epoch.

    Parameters
    ----------
    objectives : int
        How many numbers a trial is compared by.

    Attributes
    ----------
    trials : list of str
        Ids, in the order of their arrival.
    values : array of shape (trials, objectives)
        All minimised.
    passed : set of str
        Those that went on from here.
    ended : set of str
        Those that will not, whatever their place.
    """

    def __init__(self, objectives: int) -> None:
        self.trials: list[str] = []
        self._held = np.empty((8, objectives))  # with room for those to come
        self.passed: set[str] = set()
        self.ended: set[str] = set()
        self._known: set[str] = set()

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._known

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def values(self) -> np.ndarray:
        """What each trial had reached, in the order of `trials`."""
        return self._held[: len(self)]

    def add(self, trial_id: str, values: Sequence[float]) -> None:
        """Record an arrival."""
        if len(self) == len(self._held):  # twice the room: seldom copied, however many come
            self._held = np.concatenate([self._held, np.empty_like(self._held)])
        self._held[len(self)] = values
        self.trials.append(trial_id)
        self._known.add(trial_id)

    def waiting(self) -> np.ndarray:
        """Which of the trials may still go on: array of bool."""
        return np.array([t not in self.passed and t not in self.ended for t in self.trials], bool)

    def net(
        self, places: np.ndarray, seed: int, count: int, taken: np.ndarray | None = None
    ) -> np.ndarray:
        """The first `count` of an epsilon-net over the trials at these places, as places.

        Objectives are scaled by their range over the whole rung. Of equally far points the one of
        the lower id comes first, so that the order of arrival decides nothing.
        """
        by_id = sorted(range(len(places)), key=lambda i: _in_order(self.trials[places[i]]))
        ordered = places[by_id]
        done = None if taken is None else taken[by_id]
        low, high = self.values.min(0), self.values.max(0)
        return ordered[epsilon_net(self.values[ordered], low, high, seed, count, done)]


def epsilon_net(
    points: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    seed: int = 0,
    count: int | None = None,
    taken: np.ndarray | None = None,
) -> np.ndarray:
    """An order of points whose every prefix is well spread (Salinas et al. 2021).

    Parameters
    ----------
    points : array of shape (n, m)
        All objectives minimised.
    low, high : array of shape (m,)
        The range that each objective is scaled by.
    seed : int
        The objective whose best point comes first.
    count : int, optional
        How many are wanted; all by default.
    taken : array of shape (n,), bool, optional
        Points that were chosen before: the net goes on from them and does not name them.

    Returns
    -------
    array of shape (count,), or fewer where fewer are left
        Indices: the best of objective `seed` where none is taken, then always the point farthest
        from those taken; of equally far ones the first.
    """
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    taken = np.zeros(len(points), dtype=bool) if taken is None else taken
    left = int((~taken).sum())
    order: list[int] = []
    gaps = np.full(len(points), np.inf)  # squared; of a point that was taken -1
    if begun := bool(taken.any()):
        gaps = cdist(scaled, scaled[taken], "sqeuclidean").min(1)
        gaps[taken] = -1.0
    for _ in range(left if count is None else min(count, left)):
        chosen = int(gaps.argmax() if begun or order else scaled[:, seed].argmin())
        order.append(chosen)
        away = scaled - scaled[chosen]
        gaps = np.minimum(gaps, np.einsum("ij,ij->i", away, away))
        gaps[chosen] = -1.0
    return np.array(order, dtype=int)


def _in_order(trial_id: str) -> tuple[int, str]:
    return len(trial_id), trial_id  # of numbers with and without leading zeros
