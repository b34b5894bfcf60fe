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

    def __init__(
        self, space: SearchSpace, objectives: Sequence[ObjectiveConfig], seed: int = 0
    ) -> None:
        self.space, self.seed = space, seed
        self._made = 0

    def propose(self, trial_id: str) -> Proposal:
        """A sample; the n-th one depends on the seed and on n alone."""
        rng = random.Random(f"{self.seed}:{self._made}")
        self._made += 1
        return Proposal(self.space.sample(rng).assignment)

    def propose_random(self, trial_id: str) -> Proposal:
        """The same as `propose`."""
        return self.propose(trial_id)

    def observe(self, observation: Observation) -> None:
        """Count what was proposed before a break, so that the sequence goes on behind it."""
        self._made = max(self._made, int(observation.trial_id) + 1)
