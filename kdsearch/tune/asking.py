"""A proposer asked until it names a trial that may run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from kdsearch.proposers import Done, Observation, Proposer, Wait
from kdsearch.tune.gate import Ground, gate, keys_of

MODEL_TRIES = 5  # proposals asked of the model before it is asked for random ones
RANDOM_TRIES = 500


@dataclass(frozen=True)
class Exhausted:
    """Nothing that was proposed may run; why not."""

    why: str


def ask(
    proposer: Proposer, ground: Ground, seen: set[str], trial_id: str
) -> dict[str, Any] | Wait | Exhausted:
    """The event of the first proposal that may run, or what the proposer said instead of one.

    It is told of every proposal that is refused, and that costs no epoch and no row.

    Parameters
    ----------
    seen : set of str
        What `keys_of` gives of the trials so far; this one's are added.
    """
    why = ""
    for attempt in count() if proposer.finite else range(MODEL_TRIES + RANDOM_TRIES):
        propose = proposer.propose if attempt < MODEL_TRIES else proposer.propose_random
        proposal = propose(trial_id)
        if isinstance(proposal, Done):
            return Exhausted("the proposer has named all that it has")
        if isinstance(proposal, Wait):
            return proposal
        event, refusal = gate(ground, seen, trial_id, proposal)
        if event is not None:
            seen.update(keys_of(event))
            return event
        assert refusal is not None
        why, broken = refusal.why, refusal.violations
        proposer.observe(
            Observation(trial_id, proposal.assignment, refusal.fate, violations=broken)
        )
    return Exhausted(
        f"{MODEL_TRIES + RANDOM_TRIES} proposals in a row were known or broke a constraint (the "
        f"last: {why}); widen the student section, or set proposer.repeats: true"
    )
