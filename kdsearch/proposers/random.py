"""Random search: the control that every other proposer must beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kdsearch.proposers.base import Observation, Proposal
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace


class RandomProposer:
    """Every hole at random, independently (Bergstra & Bengio 2012).

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
        Unused: random search reads no result.
    seed : int
    """

    finite = False

    def __init__(
        self, space: SearchSpace, objectives: Sequence[ObjectiveConfig], seed: int = 0
    ) -> None:
        self.space, self.seed = space, seed
        self._last = ""
        self._asked = 0  # for the last trial, before

    def propose(self, trial_id: str) -> Proposal:
        """A sample; the n-th one for a trial depends on the seed, the trial and n alone."""
        self._asked = self._asked + 1 if trial_id == self._last else 0
        self._last = trial_id
        rng = random.Random(f"{self.seed}:{trial_id}:{self._asked}")
        return Proposal(self.space.sample(rng).assignment)

    def propose_random(self, trial_id: str) -> Proposal:
        """The same as `propose`."""
        return self.propose(trial_id)

    def observe(self, observation: Observation) -> None:
        """Nothing: what follows a break has trials, and so samples, of its own."""
