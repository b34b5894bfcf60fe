"""A proposer asked until it names a trial that may run."""

from __future__ import annotations

from typing import Any

from kdsearch.proposers import Done, Observation, Proposal, Proposer, Wait
from kdsearch.tune.gate import Ground, gate

MODEL_TRIES = 20  # proposals asked of the model before it is asked for random ones
RANDOM_TRIES = 500
EXHAUSTED = (
    f"{MODEL_TRIES + RANDOM_TRIES} proposals in a row were known architectures or broke a "
    "constraint; widen the student section, or set proposer.repeats: true"
)


def ask(
    proposer: Proposer, ground: Ground, seen: set[str], trial_id: str
) -> dict[str, Any] | Wait | Done | None:
    """The event of the first proposal that may run, or what the proposer said instead of one.

    It is told of every proposal that is refused, and that costs no epoch and no row.

    Parameters
    ----------
    seen : set of str
        Keys of the architectures that have been proposed; this one's is added.

    Returns
    -------
    dict, Wait, Done or None
        None: nothing that was proposed may run.
    """
    for attempt in range(MODEL_TRIES + RANDOM_TRIES):
        propose = proposer.propose if attempt < MODEL_TRIES else proposer.propose_random
        proposal = propose(trial_id)
        if not isinstance(proposal, Proposal):
            return proposal
        event, refusal = gate(ground, seen, trial_id, proposal)
        if event is not None:
            seen.add(event["architecture_key"])
            return event
        proposer.observe(Observation(trial_id, proposal.assignment, refusal or "infeasible"))
    return None
