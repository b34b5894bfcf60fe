"""Asynchronous successive halving over all declared objectives. Knows nothing of Ray.

With one objective this is ASHA (Li et al. 2020) in its stopping form; with several it is MO-ASHA
(Schmucker et al. 2021), because stopping on accuracy alone kills the small students.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kdsearch.results.pareto import fronts
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.scheduler import Decision


class Asha:
    """Decides at each rung whether a trial is among the best ``1 / reduction`` so far.

    A rung's trials are sorted into fronts. Earlier fronts go on before later ones; of the front
    that straddles the cut, a well-spread part does: an epsilon-net on scaled objectives, seeded by
    the best accuracy. A trial of the first front is never stopped, whatever
    the cut says.

    Parameters
    ----------
    objectives : sequence of ObjectiveConfig
    grace : int
        Epochs of the first rung.
    reduction : int
        Factor between rungs; one trial in so many goes on.
    """

    def __init__(
        self, objectives: Sequence[ObjectiveConfig], grace: int = 1, reduction: int = 3
    ) -> None:
        self.objectives, self.grace, self.reduction = tuple(objectives), grace, reduction
        names = [o.name for o in objectives]
        accuracy = "validation_accuracy"
        self._seed = names.index(accuracy) if accuracy in names else 0
        self._rungs: dict[int, dict[str, tuple[float, ...]]] = {}

    def report(self, trial_id: str, epoch: int, values: Sequence[float]) -> Decision:
        """What becomes of a trial after an epoch: see `goes_on`."""
        return "continue" if self.goes_on(trial_id, epoch, values) else "stop"

    def promote(self) -> str | None:
        """Nobody waits."""
        return None

    def goes_on(self, trial_id: str, epoch: int, values: Sequence[float]) -> bool:
        """Record the objectives of a trial after an epoch; False means that it should stop.

        The same report twice changes nothing, so that a log can be replayed. A non-finite value
        always stops.

        Parameters
        ----------
        values : sequence of float
            As declared, not yet turned or scaled.
        """
        if not all(math.isfinite(v) for v in values):
            return False
        rung = self._rung(epoch)
        if rung is None or trial_id in self._rungs.get(rung, {}):
            return True
        lowered = tuple(o.lowered(v) for o, v in zip(self.objectives, values, strict=True))
        self._rungs.setdefault(rung, {})[trial_id] = lowered
        return self._goes_on(trial_id, self._rungs[rung])

    def _rung(self, epoch: int) -> int | None:
        """The rung that ends with this epoch."""
        rung = self.grace
        while rung < epoch:
            rung *= self.reduction
        return rung if rung == epoch else None

    def _goes_on(self, trial_id: str, rung: dict[str, tuple[float, ...]]) -> bool:
        if len(rung) < self.reduction:
            return True
        values = np.array(list(rung.values()))
        mine = list(rung).index(trial_id)
        front = fronts(values)
        if front[mine] == 0:
            return True
        keep = math.ceil(len(rung) / self.reduction)
        better = int((front < front[mine]).sum())
        if better >= keep:
            return False
        members = np.flatnonzero(front == front[mine])
        if better + len(members) <= keep:
            return True
        order = epsilon_net(values[members], values.min(0), values.max(0), self._seed)
        return int(np.flatnonzero(members[order] == mine)[0]) < keep - better


def epsilon_net(points: np.ndarray, low: np.ndarray, high: np.ndarray, seed: int = 0) -> np.ndarray:
    """An order of points whose every prefix is well spread (Salinas et al. 2021).

    Parameters
    ----------
    points : array of shape (n, m)
        All objectives minimised.
    low, high : array of shape (m,)
        The range that each objective is scaled by.
    seed : int
        The objective whose best point comes first.

    Returns
    -------
    array of shape (n,)
        Indices: the best of objective `seed`, then always the point farthest from those taken.
    """
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    order = [int(scaled[:, seed].argmin())]
    distance = np.linalg.norm(scaled - scaled[order[0]], axis=1)
    for _ in range(1, len(points)):
        distance[order] = -1.0
        order.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
    return np.array(order)
