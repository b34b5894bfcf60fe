"""A bounded set of observations: what a model needs of a search, however long it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kdsearch.proposers.base import Observation
from kdsearch.proposers.ranking import best_first, lowered
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import Assignment


class Memory:
    """The best of what is known, and the most recent.

    Half of it are the best fronts among finished trials, so that nothing on the front is forgotten
    as long as it fits; the rest is the most recent, of which at most half never ran.

    Parameters
    ----------
    objectives : sequence of ObjectiveConfig
    bound : int
        How many observations `kept` gives at most, 4 or more; twice as many are held.
    """

    def __init__(self, objectives: Sequence[ObjectiveConfig], bound: int) -> None:
        self.objectives, self.bound = objectives, bound
        self._known: list[Observation] = []

    def __len__(self) -> int:
        return len(self._known)

    def holds(self, assignment: Assignment) -> bool:
        """Whether a trial of this assignment is remembered."""
        return any(known.assignment == assignment for known in self._known)

    def add(self, observation: Observation) -> None:
        """Remember an observation, without the epochs before its last."""
        self._known.append(replace(observation, history=observation.history[-1:]))
        if len(self._known) > 2 * self.bound:
            self._known = self.kept()

    def forget(self, trial_id: str) -> None:
        """Drop what is remembered of a trial: there is news of it."""
        self._known = [known for known in self._known if known.trial_id != trial_id]

    def kept(self) -> list[Observation]:
        """At most `bound` observations, in the order in which they came."""
        ran = [i for i, o in enumerate(self._known) if o.fate != "infeasible"]
        never_ran = [i for i, o in enumerate(self._known) if o.fate == "infeasible"]
        never_ran = never_ran[-(self.bound // 4) :]
        if len(ran) + len(never_ran) > self.bound:
            best = self._best(self.bound // 2)
            room = self.bound - len(best) - len(never_ran)
            recent = [i for i in ran if i not in best]
            ran = [*best, *recent[-room:]]
        return [self._known[i] for i in sorted([*ran, *never_ran])]

    def _best(self, number: int) -> set[int]:
        points = {
            i: point
            for i, o in enumerate(self._known)
            if o.fate == "complete" and o.feasible and (point := lowered(self.objectives, o))
        }
        if not points:
            return set()
        indices = list(points)
        order = best_first(np.array(list(points.values())))
        return {indices[k] for k in order[:number]}
