"""What proposes trials, and what it is told about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kdsearch.space import Assignment

Fate = Literal["complete", "stopped", "diverged", "failed", "infeasible", "repeated", "resting"]
# What a model is told of a trial that the scheduler stopped. pruned: that it is worse than any that
# was finished, and no value. constraint: its values so far, behind all that was finished. complete:
# its values so far, as if it had been finished. omitted: nothing.
Stopped = Literal["pruned", "constraint", "complete", "omitted"]


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Attributes
    ----------
    assignment : dict
        A value for every hole that the choices lead to.
    parent_id : str or None
        The trial or teacher that it was derived from.
    proposer : str or None
        Whose idea it was; None: the search's one proposer.
    note : dict or None
        JSON that its proposer wants to be told again with what becomes of it, after a break too.
    """

    assignment: Assignment
    parent_id: str | None = None
    proposer: str | None = None
    note: dict[str, Any] | None = None


class Wait:
    """No proposal now: results of running trials are awaited."""


class Done:
    """No proposal any more."""


@dataclass(frozen=True)
class Observation:
    """What became of a proposal.

    Attributes
    ----------
    trial_id : str
    assignment : dict
    fate : str
        A status of ``trials.parquet``; or ``infeasible`` (a constraint, or a network that cannot
        be built) and ``repeated`` (an architecture seen before), which cost no epoch; or
        ``resting`` (it waits at a rung, and may go on): to be taken for a stopped one until the
        trial is told of again, which replaces it.
    values : tuple of float or None
        The objectives at the last epoch, in the order and direction of the config; None where no
        epoch ended.
    history : tuple of (int, tuple of float)
        Epoch and objectives, of every epoch.
    violations : tuple of float
        By how much each constraint is broken, in the config's order, as ``value / bound - 1``: at
        most 0 where it is met. Empty where there is none, or no network to be priced.
    proposer : str or None
        Whose idea it was, as its `Proposal` said; None where it did not.
    note : dict or None
        Of its `Proposal`.
    """

    trial_id: str
    assignment: Assignment
    fate: Fate
    values: tuple[float, ...] | None = None
    history: tuple[tuple[int, tuple[float, ...]], ...] = ()
    violations: tuple[float, ...] = ()
    proposer: str | None = None
    note: dict[str, Any] | None = None

    @property
    def feasible(self) -> bool:
        """Whether it breaks no constraint that is known of."""
        return self.fate != "infeasible" and all(v <= 0 for v in self.violations)

    @property
    def epochs(self) -> int:
        """The last epoch that ended; 0 where none did."""
        return self.history[-1][0] if self.history else 0


class Proposer(Protocol):
    """Proposes assignments and learns from what became of them.

    Sees the space and the observations alone: no Ray, no search, no disk. A search that goes on
    after a break tells its proposer every past observation again, in the order in which they came.

    Attributes
    ----------
    finite : bool
        Whether it goes through a list and says by itself when there is no more: it is asked on,
        however many of its proposals are refused.
    """

    finite: bool

    def propose(self, trial_id: str) -> Proposal | Wait | Done:
        """The next trial."""
        ...

    def propose_random(self, trial_id: str) -> Proposal | Done:
        """A trial off the model, at random: asked for when the model keeps repeating itself."""
        ...

    def observe(self, observation: Observation) -> None:
        """Take notice of what became of a proposal, made now or before a break."""
        ...
