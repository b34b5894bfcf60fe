"""A teacher and the holes that edit it, as decisions in a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch

from kdsearch.architecture import Architecture
from kdsearch.cost import cost
from kdsearch.domains import Domain, Scalar
from kdsearch.edits import Group, Unit, as_architecture, edit, groups, units, void
from kdsearch.errors import UserError
from kdsearch.proposers.n2n.policy import Steps
from kdsearch.proposers.n2n.states import Row, encode, legacy
from kdsearch.space import Assignment, SearchSpace

HOLE = re.compile(r"student\.(keep|ratio)\[(\d+)\]")
MOST_OPTIONS = 32  # of a decision
REMEMBERED = 10_000  # students by their actions
Kind = Literal["keep", "ratio"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One hole that a policy fills.

    Attributes
    ----------
    name : str
        Of the hole.
    kind : str
        ``keep`` or ``ratio``.
    index : int
        The unit or group that it is of.
    values : tuple of float
        Rising: the last one changes least.
    """

    name: str
    kind: Kind
    index: int
    values: tuple[Scalar, ...]


class Edited:
    """The students that a space makes of a teacher.

    Parameters
    ----------
    space : SearchSpace
    teacher : Architecture or None

    Raises
    ------
    UserError
        No teacher to edit, no hole that edits it, or lists that do not fit it.
    """

    def __init__(self, space: SearchSpace, teacher: Architecture | None) -> None:
        # Each decision after all keeps: which ratios are void is known by then.
        self.decisions = sorted(_decisions(space), key=lambda d: (d.kind != "keep", d.index))
        if teacher is None:
            fault = "n2n edits one teacher, and there is none; add the section teacher"
            raise UserError("proposer.name", f"{fault}, without a choice of architectures")
        self.section = space.fill(lambda _, domain: domain.corners[-1], "student").plain["student"]
        try:
            as_architecture(teacher)
        except UserError as error:
            raise error.inside("teacher.architecture") from None
        self.given = teacher
        self._students: dict[tuple[int, ...], Architecture] = {}
        try:
            self.student(self.unchanged)
        except UserError as error:
            raise error.inside("student") from None

    @cached_property
    def teacher(self) -> Architecture:
        """The teacher in a family of ours."""
        return edit(self.given)

    @cached_property
    def parameters(self) -> int:
        """The teacher's."""
        return cost(self.teacher).parameters

    @cached_property
    def least(self) -> int:
        """Parameters of the smallest student, at most the teacher's."""
        return min(self.size([0] * len(self.decisions)), self.parameters)

    @property
    def unchanged(self) -> tuple[int, ...]:
        """The actions that change least: the last option of every decision."""
        return tuple(len(d.values) - 1 for d in self.decisions)

    def student(self, actions: Sequence[int]) -> Architecture:
        """What actions, one a decision, make of the teacher."""
        key = tuple(actions)
        if key not in self._students:
            if len(self._students) >= REMEMBERED:
                self._students.clear()
            lists = {kind: self._list(kind, key) for kind in ("keep", "ratio")}
            step = self.section.get("step", 1)
            self._students[key] = edit(self.given, lists["keep"], lists["ratio"], step)
        return self._students[key]

    def size(self, actions: Sequence[int]) -> int:
        """Parameters of a student."""
        return cost(self.student(actions)).parameters

    def assignment(self, actions: Sequence[int]) -> Assignment:
        """Actions as values of holes."""
        pairs = zip(self.decisions, actions, strict=True)
        return {d.name: d.values[action] for d, action in pairs}

    def actions(self, assignment: Assignment) -> tuple[int, ...]:
        """The inverse of `assignment`; other holes may stand in it too."""
        return tuple(d.values.index(assignment[d.name]) for d in self.decisions)

    def is_free(self, before: Sequence[int]) -> bool:
        """Whether the decision after these is one: it has options, and what it is about is left."""
        decision = self.decisions[len(before)]
        if len(decision.values) < 2:
            return False
        keep = self._list("keep", before) if decision.kind == "ratio" else None
        return keep is None or not void(self.teacher, keep)[decision.index]

    def within(self, actions: Sequence[int], budget: float) -> tuple[int, ...]:
        """The actions with all ratios moved alike, to the largest student within a budget.

        Parameters
        ----------
        budget : float
            Of parameters; where no common move meets it, all ratios are at their least.
        """
        widest = max((len(d.values) for d in self.decisions if d.kind == "ratio"), default=1)
        low, high = 1 - widest, widest - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.size(self._moved(actions, middle)) <= budget:
                low = middle
            else:
                high = middle - 1
        return self._moved(actions, low)

    def steps(self, picked: Sequence[int], *, raw: bool = False) -> Steps:
        """What a policy of these decisions reads; `raw`: as in the paper."""
        rows = [self.rows[i] for i in picked]
        options = torch.tensor([len(self.decisions[i].values) for i in picked])
        return Steps(legacy(rows) if raw else encode(rows), options)

    @cached_property
    def rows(self) -> list[Row]:
        """A row a decision."""
        return [self._row(number, decision) for number, decision in enumerate(self.decisions)]

    def _row(self, number: int, decision: Decision) -> Row:
        teacher = self.teacher
        listed = units if decision.kind == "keep" else groups
        thing: Unit | Group = listed(teacher)[decision.index]
        stage = teacher.stages[thing.stage]
        place = thing.block or 0
        block, is_stem = stage.blocks[place], isinstance(thing, Group) and thing.kind == "stem"
        if is_stem and teacher.stem is not None:
            block = teacher.stem
        counts = [len(s.blocks) for s in teacher.stages]
        whole, least = self.unchanged, list(self.unchanged)
        least[number] = 0
        full, left = cost(self.student(whole)), cost(self.student(least))
        outputs = thing.width if isinstance(thing, Group) else stage.width_of(place)
        return Row(
            kind=thing.kind if isinstance(thing, Group) else block.kind,
            kernel=block.kernel,
            stride=block.stride,
            inputs=_inputs(teacher, thing.stage, place, is_stem),
            outputs=outputs,
            parameters=(full.parameters - left.parameters) / full.parameters,
            macs=(full.macs - left.macs) / max(full.macs, 1),
            depth=(sum(counts[: thing.stage]) + place) / sum(counts) if not is_stem else 0.0,
            residual=stage.width is not None and not is_stem,
            skip_start=place,
            skip_end=counts[thing.stage] - 1 - place,
        )

    def _list(self, kind: Kind, actions: Sequence[int]) -> list[Any] | None:
        """A keep or ratio list: the fixed values, and what the actions so far say."""
        written = self.section.get(kind)
        if written is None:
            return None
        values = list(written)
        for decision, action in zip(self.decisions, actions, strict=False):
            if decision.kind == kind:
                values[decision.index] = decision.values[action]
        return values

    def _moved(self, actions: Sequence[int], by: int) -> tuple[int, ...]:
        moved = list(actions)
        for number, decision in enumerate(self.decisions):
            if decision.kind == "ratio" and self.is_free(actions[:number]):
                moved[number] = min(max(actions[number] + by, 0), len(decision.values) - 1)
        return tuple(moved)


def _decisions(space: SearchSpace) -> list[Decision]:
    found = [
        Decision(name, match[1], int(match[2]), _values(name, domain))  # type: ignore[arg-type]
        for name, domain in space.holes.items()
        if (match := HOLE.fullmatch(name))
    ]
    if not found:
        raise UserError(
            "proposer.name",
            "n2n fills student.keep and student.ratio, and this space has no such hole; write "
            "student: {family: edited, keep: {each: 6, choice: [1, 0]}}, or take tpe",
        )
    return found


def _values(name: str, domain: Domain) -> tuple[Scalar, ...]:
    if domain.count > MOST_OPTIONS or any(isinstance(v, str) for v in domain.corners):
        fault = f"n2n takes at most {MOST_OPTIONS} numbers here; write a choice of them"
        raise UserError(name, fault)
    return tuple(sorted(domain.grid, key=float))


def _inputs(teacher: Architecture, stage: int, block: int, is_stem: bool) -> int:
    """Channels that a block reads."""
    if is_stem:
        return teacher.input[0]
    if block > 0:
        return teacher.stages[stage].width_of(block - 1)
    if stage > 0:
        return teacher.stages[stage - 1].out_width
    stem = teacher.stem
    return teacher.input[0] if stem is None or stem.width is None else stem.width
