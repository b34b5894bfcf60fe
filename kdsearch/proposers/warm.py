"""A proposer that begins with what earlier searches know."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from kdsearch.proposers.base import Done, Observation, Proposal, Proposer, Wait
from kdsearch.space import Assignment

SOURCE = "from"  # the proposer's name on rows that were tried because an earlier search said so


class WarmProposer:
    """Another proposer, told of an earlier search's rows; points to try come before its own.

    Parameters
    ----------
    inner : Proposer
    told : iterable of Observation
        Trainings that would be the same here, in the order in which they ended. Their ids are not
        ids of this search: they begin with a minus.
    queue : iterable of dict
        Assignments to propose first.
    most : int
        So many of them may run; those that are refused, and cost nothing, do not count.
    """

    finite = False

    def __init__(
        self, inner: Proposer, told: Iterable[Observation], queue: Iterable[Assignment], most: int
    ) -> None:
        self.inner, self._queue, self._most = inner, deque(queue), most
        self._given: set[str] = set()
        for observation in told:
            inner.observe(observation)

    def propose(self, trial_id: str) -> Proposal | Wait | Done:
        """The next point of the queue; after the last, what the inner one proposes."""
        if (queued := self._queued(trial_id)) is not None:
            return queued
        proposal = self.inner.propose(trial_id)
        return _orphan(proposal) if isinstance(proposal, Proposal) else proposal

    def propose_random(self, trial_id: str) -> Proposal | Done:
        """The next point of the queue too, for refused ones cost nothing; then off the model."""
        if (queued := self._queued(trial_id)) is not None:
            return queued
        proposal = self.inner.propose_random(trial_id)
        return _orphan(proposal) if isinstance(proposal, Proposal) else proposal

    def observe(self, observation: Observation) -> None:
        """Tell the inner one, of the queue's trials too."""
        if observation.fate in ("infeasible", "repeated"):
            self._given.discard(observation.trial_id)
        self.inner.observe(observation)

    def _queued(self, trial_id: str) -> Proposal | None:
        if not self._queue or len(self._given) >= self._most:
            return None
        self._given.add(trial_id)
        return Proposal(self._queue.popleft(), proposer=SOURCE)


def _orphan(proposal: Proposal) -> Proposal:
    """Without a parent that is a row of another search."""
    foreign = (proposal.parent_id or "").startswith("-")
    return replace(proposal, parent_id=None) if foreign else proposal
