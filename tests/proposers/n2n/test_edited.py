"""Actions and edits: one is of one, in both directions, and what means nothing is no decision."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.architecture import Architecture
from kdsearch.edits import groups, units
from kdsearch.errors import UserError
from kdsearch.proposers.n2n.edited import Edited
from tests.proposers.n2n.made import KEEP, RATIO, TEACHER, space


def test_action_i_changes_exactly_unit_or_group_i() -> None:
    edited = Edited(space(), TEACHER)
    assert edited.student(edited.unchanged) == TEACHER
    for number, unit in enumerate(units(TEACHER)):
        actions = list(edited.unchanged)
        actions[number] = 0
        assert edited.student(actions) == TEACHER.without_block(unit.stage, unit.block)
    for number, group in enumerate(groups(TEACHER), 4):
        actions = list(edited.unchanged)
        actions[number] = 1  # of 0.25, 0.5, 0.75, 1
        before, after = _widths(TEACHER), _widths(edited.student(actions))
        changed = {name for name in before if before[name] != after[name]}
        expected = {(group.kind, group.stage, group.block)}
        assert changed == expected
        assert after[group.kind, group.stage, group.block] == group.width // 2


def _widths(architecture: Architecture) -> dict[tuple[str, int, int | None], int | None]:
    found: dict[tuple[str, int, int | None], int | None] = {}
    for s, stage in enumerate(architecture.stages):
        found["stage", s, None] = stage.width
        found |= {("inner", s, b): block.inner for b, block in enumerate(stage.blocks)}
    return found


def test_actions_and_assignments_are_inverse() -> None:
    edited = Edited(space(), TEACHER)
    actions = (0, 1, 1, 0, 3, 0, 1, 2, 3, 2, 1, 0)
    assignment = edited.assignment(actions)
    assert assignment["student.keep[0]"] == 0 and assignment["student.ratio[1]"] == 0.25
    assert edited.actions({**assignment, "training.lr": 0.1}) == actions


def test_the_order_of_a_choice_does_not_matter() -> None:
    turned = Edited(
        space(keep={"each": 4, "choice": [0, 1]}, ratio={"each": 8, "choice": [1, 0.5]}), TEACHER
    )
    assert turned.student(turned.unchanged) == TEACHER


def test_ratios_of_what_is_gone_and_single_options_are_no_decisions() -> None:
    edited = Edited(space(), TEACHER)
    without = [0, 1, 1, 1]  # the first block goes, and with it its inside, which is group 1
    free = [edited.is_free(([*without] + [3] * 8)[:t]) for t in range(12)]
    assert [t for t, is_free in enumerate(free) if not is_free] == [5]
    forced = Edited(space(keep=[1, 1, 1, {"choice": [1]}], ratio=RATIO), TEACHER)
    assert [d.name for d in forced.decisions][:2] == ["student.keep[3]", "student.ratio[0]"]
    assert not forced.is_free([]) and forced.is_free([0])


def test_fixed_entries_of_a_list_stay() -> None:
    edited = Edited(space(keep=[0, 1, 1, {"choice": [1, 0]}]), TEACHER)
    assert edited.student([1]) == TEACHER.without_block(0, 1)
    assert edited.student([0]) == TEACHER.without_block(1, 2).without_block(0, 1)


def test_within_a_budget_all_ratios_move_alike() -> None:
    edited = Edited(space(), TEACHER)
    whole = edited.unchanged
    assert edited.within(whole, edited.parameters) == whole
    budget = edited.parameters / 1.5
    smaller = edited.within(whole, budget)
    assert edited.size(smaller) <= budget and set(smaller[4:]) == {2}
    grown = edited.within((1, 1, 1, 1, *[0] * 8), edited.parameters)
    assert grown == whole
    least = edited.within(whole, 1)
    assert set(least[4:]) == {0} and least[:4] == whole[:4]  # no move meets it


@pytest.mark.parametrize(
    "student, teacher, place, fault",
    [
        ({"widths": {"each": 2, "int": [1, 9]}}, TEACHER, "proposer.name", "no such hole"),
        ({"keep": KEEP}, None, "proposer.name", "add the section teacher"),
        ({"ratio": {"each": 8, "float": [0.1, 1]}}, TEACHER, "student.ratio[0]", "write a choice"),
    ],
)
def test_a_space_that_n2n_cannot_fill(
    student: dict[str, Any], teacher: Architecture | None, place: str, fault: str
) -> None:
    with pytest.raises(UserError, match=fault) as caught:
        Edited(space(**student), teacher)
    assert caught.value.place == place
