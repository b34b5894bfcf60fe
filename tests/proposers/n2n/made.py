"""A teacher with edits that are simple to foresee, and searches of it without training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
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


@dataclass(frozen=True)
class Unit:
    stage: int
    block: int


@dataclass(frozen=True)
class Group:
    kind: str
    stage: int
    block: int | None
    width: int


def units(architecture: Architecture) -> tuple[Unit, ...]:
    """All blocks but the first of each stage."""
    stages = enumerate(architecture.stages)
    return tuple(Unit(s, b) for s, stage in stages for b in range(1, len(stage.blocks)))


def groups(architecture: Architecture) -> tuple[Group, ...]:
    """Of every stage, its stream and the inside of its blocks."""
    found: list[Group] = []
    for s, stage in enumerate(architecture.stages):
        found.append(Group("stage", s, None, stage.out_width))
        found += [Group("inner", s, b, blk.inner or 0) for b, blk in enumerate(stage.blocks)]
    return tuple(found)


def void(architecture: Architecture, keep: Sequence[int]) -> tuple[bool, ...]:
    pairs = zip(units(architecture), keep, strict=True)
    gone = {(u.stage, u.block) for u, stays in pairs if not stays}
    return tuple((g.stage, g.block) in gone for g in groups(architecture))


def edit(
    architecture: Architecture,
    keep: Sequence[int] | None = None,
    ratio: Sequence[float] | None = None,
    step: int = 1,
) -> Architecture:
    student = architecture
    for group, r in zip(groups(architecture), ratio or [], strict=ratio is not None):
        width = max(step, round(r * group.width / step) * step)
        if group.kind == "stage":
            student = student.with_width(group.stage, width)
            if group.stage == 0:  # the stem adds to the first stage's stream
                assert student.stem is not None
                student = replace(student, stem=replace(student.stem, width=width))
        else:
            student = student.with_inner(group.stage, group.block or 0, width)
    pairs = zip(units(architecture), keep or [], strict=keep is not None)
    for unit in reversed([u for u, stays in pairs if not stays]):
        student = student.without_block(unit.stage, unit.block)
    return student


EDITS = SimpleNamespace(units=units, groups=groups, void=void, edit=edit)


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
