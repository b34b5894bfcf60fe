"""A small teacher, the space of its edits, and searches of it without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.cost import cost
from kdsearch.proposers import Observation, Proposal, Proposer
from kdsearch.proposers.base import Fate
from kdsearch.proposers.n2n import N2NProposer
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace
from kdsearch.students import describe

TEACHER = describe({"family": "resnet", "blocks": [3, 3], "widths": [8, 16]}, (1, 8, 8), 10)
KEEP, RATIO = (
    {"each": 4, "choice": [1, 0]},
    {"each": 8, "choice": [0.25, 0.5, 0.75, 1]},
)
ACCURACY = ObjectiveConfig(name="validation_accuracy", direction="max")
BOTH = [ACCURACY, ObjectiveConfig(name="parameters", direction="min", scale="log")]


def space(**student: Any) -> SearchSpace:
    """All edits of the teacher, and nothing else, by default."""
    given = student or {"keep": KEEP, "ratio": RATIO}
    return SearchSpace({"student": {"family": "edited", **given}})


def proposer(seed: int = 0, **changes: Any) -> N2NProposer:
    given: dict[str, Any] = {"space": space(), "objectives": [ACCURACY], "teacher": TEACHER}
    return N2NProposer(seed=seed, **{**given, **changes})


def student_of(made: N2NProposer, proposal: Proposal) -> Architecture:
    return made.edited.student(made.edited.actions(proposal.assignment))


def accuracy(student: Architecture) -> float:
    """Every block and every channel helps,."""
    blocks = sum(len(stage.blocks) for stage in student.stages)
    return min(0.5 + 0.02 * blocks + 0.03 * cost(student).parameters / 18_000, 1.0)


def seen(
    trial_id: int,
    proposal: Proposal,
    values: tuple[float, ...] = (),
    fate: Fate = "complete",
    epochs: int = 3,
) -> Observation:
    """What becomes of a proposal, its note read back from JSON as from a log."""
    note = json.loads(json.dumps(proposal.note))
    history = tuple((epoch, values) for epoch in range(1, epochs + 1)) if values else ()
    last = values or None
    return Observation(
        f"{trial_id:05d}", proposal.assignment, fate, last, history, proposer="n2n", note=note
    )


def propose(made: Proposer, trial_id: int) -> Proposal:
    found = made.propose(f"{trial_id:05d}")
    assert isinstance(found, Proposal)
    return found


def play(
    made: N2NProposer,
    trials: int,
    value: Callable[[Architecture], float] = accuracy,
    first: int = 0,
    objectives: int = 1,
) -> list[Observation]:
    """Propose and observe in turn."""
    told: list[Observation] = []
    for i in range(first, first + trials):
        proposal = propose(made, i)
        student = student_of(made, proposal)
        values = (value(student), float(cost(student).parameters))[:objectives]
        told.append(seen(i, proposal, values))
        made.observe(told[-1])
    return told
