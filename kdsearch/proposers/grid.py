"""Every assignment of a space without real numbers, one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kdsearch.errors import UserError
from kdsearch.proposers.base import Done, Observation, Proposal
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace
from kdsearch.space.filling import Filled


class GridProposer:
    """The whole of a finite space: what a tabular benchmark is made of.

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
        Unused: a grid reads no result.
    seed : int
        Unused: there is one order.

    Raises
    ------
    UserError
        A hole with endlessly many values.
    """

    finite = True

    def __init__(
        self, space: SearchSpace, objectives: Sequence[ObjectiveConfig], seed: int = 0
    ) -> None:
        endless = [name for name, domain in space.holes.items() if math.isinf(domain.count)]
        if endless:
            fault = "a grid needs finitely many values; give a step, or a choice of values"
            raise UserError(endless[0], fault)
        self._left: Iterator[Filled] = space.every()
        self._given = 0
        self._ran: set[str] = set()

    def propose(self, trial_id: str) -> Proposal | Done:
        """The next assignment; the n-th one depends on n alone."""
        self._given += 1
        filled = next(self._left, None)
        return Done() if filled is None else Proposal(filled.assignment)

    def propose_random(self, trial_id: str) -> Proposal | Done:
        """The same as `propose`."""
        return self.propose(trial_id)

    def observe(self, observation: Observation) -> None:
        """Pass over what was proposed before a break; of ids, other trials take some too.

        What was refused before it may be proposed again, and is refused again.
        """
        if observation.fate in ("infeasible", "repeated"):
            return
        self._ran.add(observation.trial_id)
        while self._given < len(self._ran):
            self.propose(observation.trial_id)
