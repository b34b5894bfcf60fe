"""Which observations are the best, over all objectives at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kdsearch.proposers.base import Observation
from kdsearch.results.pareto import fronts
from kdsearch.search_sections import ObjectiveConfig


def lowered(
    objectives: Sequence[ObjectiveConfig], observation: Observation
) -> tuple[float, ...] | None:
    """Its values, to be minimised and on the objectives' scales; None without finite ones."""
    if observation.values is None:
        return None
    pairs = zip(objectives, observation.values, strict=True)
    point = tuple(objective.lowered(value) for objective, value in pairs)
    return point if all(map(math.isfinite, point)) else None


def best_first(points: np.ndarray) -> np.ndarray:
    """Indices of points, by front, and in a front by how far its neighbours are.

    The order of NSGA-II (Deb et al. 2002).

    Parameters
    ----------
    points : array of shape (n, m)
        Objectives, all minimised, finite.

    Returns
    -------
    array of shape (n,), int
    """
    points = np.asarray(points, dtype=float)
    front = fronts(points)
    room = np.zeros(len(points))
    for index in np.unique(front):
        room[front == index] = crowding(points[front == index])
    return np.lexsort((-room, front))


def crowding(front: np.ndarray) -> np.ndarray:
    """How far apart the neighbours of each point of a front are; infinity at its ends.

    Parameters
    ----------
    front : array of shape (n, m)

    Returns
    -------
    array of shape (n,)
        Summed over the objectives, each in shares of its range.
    """
    room = np.zeros(len(front))
    for column in front.T:
        order = column.argsort(kind="stable")
        ordered = column[order]
        width = ordered[-1] - ordered[0]
        if width > 0:
            gaps = np.full(len(front), np.inf)
            gaps[1:-1] = (ordered[2:] - ordered[:-2]) / width
            room[order] += gaps
    return room
