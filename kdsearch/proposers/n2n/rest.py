"""The holes that edit no teacher: filled by another proposer, in a space of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from kdsearch.proposers.base import Done, Observation, Proposal, Proposer, Wait
from kdsearch.proposers.random import RandomProposer
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import Assignment, SearchSpace

EDITS = ("keep", "ratio")


class Rest:
    """What fills the holes beside the edits; nothing where there are none.

    Parameters
    ----------
    space : SearchSpace
        The whole one.
    edits : collection of str
        Holes that are filled elsewhere.
    objectives : sequence of ObjectiveConfig
    seed : int
    inner : callable, optional
        ``(space, objectives, seed) -> Proposer``; random search by default.
    """

    def __init__(
        self,
        space: SearchSpace,
        edits: Collection[str],
        objectives: Sequence[ObjectiveConfig],
        seed: int,
        inner: Callable[..., Proposer] | None = None,
    ) -> None:
        student = {k: v for k, v in space.tree["student"].items() if k not in EDITS}
        self.space = SearchSpace({**space.tree, "student": student})
        self._edits = edits
        self._seed = seed
        self._given: tuple[str, Assignment] | None = None
        self._drawn: tuple[str, int] | None = None  # at random for a trial, so many times
        self.inner: Proposer | None = None
        if self.space.holes:
            own = random.Random(f"{seed}:rest").getrandbits(31)
            self.inner = (inner or RandomProposer)(self.space, objectives, own)

    def propose(self, trial_id: str) -> Assignment | Wait | Done:
        """Values for a trial: the same while only its edits are drawn again."""
        if self.inner is None:
            return {}
        if self._given is None or self._given[0] != trial_id:
            proposal = self.inner.propose(trial_id)
            if not isinstance(proposal, Proposal):
                return proposal
            self._given = trial_id, proposal.assignment
        return self._given[1]

    def propose_random(self, trial_id: str) -> Assignment:
        """Values at random. The inner one does not hear of them: most will never run."""
        count = self._drawn[1] + 1 if self._drawn and self._drawn[0] == trial_id else 0
        self._drawn = trial_id, count
        rng = random.Random(f"{self._seed}:rest:{trial_id}:{count}")
        return self.space.sample(rng).assignment

    def observe(self, observation: Observation) -> None:
        """Tell the inner one, unless it was the edits that were refused."""
        if self.inner is None:
            return
        edits_alone = observation.fate == "repeated" or (
            observation.fate == "infeasible" and any(v > 0 for v in observation.violations)
        )
        if edits_alone:
            return
        if self._given is not None and self._given[0] == observation.trial_id:
            self._given = None
        own = {k: v for k, v in observation.assignment.items() if k not in self._edits}
        self.inner.observe(replace(observation, assignment=own))
