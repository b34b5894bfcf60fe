"""Regularised evolution over several objectives."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kdsearch.proposers.base import Observation, Proposal, Stopped
from kdsearch.proposers.learner import Learner
from kdsearch.proposers.mutation import mutate
from kdsearch.proposers.ranking import best_first, lowered
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace

POPULATION = 24  # the first so many trials are random
SAMPLE = 12  # of them, in a tournament
FURTHER = 0.25  # chance that one more hole changes, after the first
REFUSED = 4  # so many refusals in a row change one hole more


class EvolutionProposer(Learner):
    """Children of the winners of tournaments, in a population in which the oldest dies.

    Real et al. (2019) with several objectives: a tournament is won by the earliest front of those
    drawn, and in a front by the one with the most room in the population. Death by age, not by
    rank, keeps a student that was lucky once from being the parent of all.

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
    seed : int
    stopped : str
        How trials that the scheduler stopped enter the population. pruned, constraint: behind all
        that were finished, alike or by their epochs; complete: with their values so far; omitted:
        not at all.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[ObjectiveConfig],
        seed: int = 0,
        *,
        stopped: Stopped = "omitted",
    ) -> None:
        super().__init__(space, objectives, seed, stopped=stopped)
        self.population: deque[Observation] = deque(maxlen=POPULATION)
        self._ran = 0
        self._resting: set[str] = set()
        self._refused = 0  # since a trial was last told

    def propose(self, trial_id: str) -> Proposal:
        """A child of the winner of a tournament; among the first, a random assignment."""
        rng = self._rng(trial_id)
        if self._ran < POPULATION or not self.population:
            return Proposal(self.space.sample(rng).assignment)
        parent = self._winner(rng)
        holes = 1 + self._refused // REFUSED
        while rng.random() < FURTHER:
            holes += 1
        assignment = mutate(self.space, parent.assignment, holes, rng)
        if any(assignment == living.assignment for living in self.population):  # a copy: go on
            assignment = mutate(self.space, assignment, 1, rng)
        return Proposal(assignment, parent_id=parent.trial_id)

    def propose_random(self, trial_id: str) -> Proposal:
        """A random assignment."""
        return Proposal(self.space.sample(self._rng(trial_id)).assignment)

    def observe(self, observation: Observation) -> None:
        """Let the newest in and the oldest out."""
        self._told += 1
        if observation.fate in ("infeasible", "repeated"):
            self._refused += 1
            return
        self._refused = 0
        if observation.trial_id in self._resting:  # what was known of it makes room
            self._resting.remove(observation.trial_id)
            living = [o for o in self.population if o.trial_id != observation.trial_id]
            self.population = deque(living, maxlen=POPULATION)
        else:
            self._ran += 1
        if observation.fate == "resting":
            self._resting.add(observation.trial_id)
        if self._enters(observation):
            self.population.append(replace(observation, history=observation.history[-1:]))

    def _enters(self, observation: Observation) -> bool:
        wanted = observation.fate == "complete" or (
            observation.fate in ("stopped", "resting") and self.stopped != "omitted"
        )
        return wanted and lowered(self.objectives, observation) is not None

    def _winner(self, rng: random.Random) -> Observation:
        ranked = self._ranked()
        return ranked[min(rng.sample(range(len(ranked)), min(SAMPLE, len(ranked))))]

    def _ranked(self) -> list[Observation]:
        """The population, the best first."""
        groups: dict[tuple[float, ...], list[Observation]] = defaultdict(list)
        for observation in self.population:
            groups[self._behind(observation)].append(observation)
        ranked: list[Observation] = []
        for _, group in sorted(groups.items()):
            points = [lowered(self.objectives, observation) for observation in group]
            ranked += [group[i] for i in best_first(np.array(points, dtype=float))]
        return ranked

    def _behind(self, observation: Observation) -> tuple[float, ...]:
        """What comes before any objective: constraints, and whether it was finished."""
        excess = sum(v for v in observation.violations if v > 0)
        if observation.fate == "complete" or self.stopped == "complete":
            return excess, 0, 0
        return excess, 1, -observation.epochs if self.stopped == "constraint" else 0
