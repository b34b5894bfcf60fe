"""A conditional space, and what may become of a proposal."""

from __future__ import annotations

from kdsearch.proposers import Observation, Proposal, Proposer
from kdsearch.proposers.base import Fate
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace

SPACE = SearchSpace(
    {
        "depth": {"int": [1, 3]},
        "widths": {"each": "depth", "int": [4, 33], "step": 4},
        "lr": {"float": [0.01, 1], "log": True},
        "share": {"float": [0.1, 0.75], "step": 0.1},
        "term": {
            "choice": [
                "none",
                {"method": "kd", "weight": {"float": [0.1, 1]}},
                {
                    "method": "rkd",
                    "stages": {"choice": [1, 2]},
                    "dim": {"int": [1, 9], "log": True},
                },
            ]
        },
    }
)
OBJECTIVES = [
    ObjectiveConfig(name="validation_accuracy", direction="max"),
    ObjectiveConfig(name="parameters", direction="min"),
]
FATES: list[Fate] = ["complete", "stopped", "diverged", "failed", "infeasible", "repeated"]


def seen(trial_id: int, proposal: Proposal, fate: Fate, objectives: int = 2) -> Observation:
    """An observation whose values follow from the assignment."""
    values = (float(proposal.assignment["lr"]), float(proposal.assignment["depth"]))[:objectives]
    has_values = fate in ("complete", "stopped", "diverged")
    history = ((1, values),) if has_values else ()
    return Observation(
        f"{trial_id:05d}", proposal.assignment, fate, values if has_values else None, history
    )


def propose(proposer: Proposer, trial_id: int) -> Proposal:
    proposal = proposer.propose(f"{trial_id:05d}")
    assert isinstance(proposal, Proposal)
    return proposal


def play(proposer: Proposer, trials: int, objectives: int = 2) -> list[Observation]:
    """Propose and observe in turn, every fate once in a while."""
    told = []
    for i in range(trials):
        fate = FATES[i // 2 % len(FATES)] if i % 2 else "complete"
        told.append(seen(i, propose(proposer, i), fate, objectives))
        proposer.observe(told[-1])
    return told
