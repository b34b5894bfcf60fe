"""What proposers that learn from single trials begin with."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kdsearch.proposers.base import Stopped
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace


class Learner:
    """A space, objectives, a seed, and what is made of trials that were stopped.

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
    seed : int
    stopped : str
        What a model is told of trials that the scheduler stopped.
    """

    finite = False

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[ObjectiveConfig],
        seed: int = 0,
        *,
        stopped: Stopped,
    ) -> None:
        self.space, self.objectives, self.seed = space, objectives, seed
        self.stopped: Stopped = stopped
        self._told = 0

    def _rng(self, trial_id: str) -> random.Random:
        """A stream for this proposal alone: after a break none comes again."""
        return random.Random(f"{self.seed}:{trial_id}:{self._told}")
