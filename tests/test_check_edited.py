"""Checking a search whose students are edits of its teacher."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.check import Summary, check_search
from kdsearch.cost import cost
from kdsearch.edits import edit
from kdsearch.search_config import load_config
from kdsearch.students import describe
from kdsearch.wiring import architecture_of, check_plan
from tests.searches import fault, tree

RESNET = {"family": "resnet", "blocks": [2, 2], "widths": [8, 12]}  # 2 units, 6 groups
TEACHER = describe(RESNET, (1, 8, 8), 10)
KEEP = {"each": 2, "choice": [1, 0]}
RATIO = {"each": 6, "choice": [0.25, 0.5, 1]}
EDITED = {"family": "edited", "keep": KEEP, "ratio": RATIO}
SMALLEST = cost(edit(TEACHER, [0, 0], [0.25] * 6)).parameters


def edited(student: Any = None, **values: Any) -> dict[str, Any]:
    teacher = {"architecture": RESNET, "epochs": 1}
    return tree(**{"teacher": teacher, "student": student or EDITED, **values})


def check(student: Any = None, **values: Any) -> Summary:
    return check_search(load_config(edited(student, **values)))


def test_the_summary_is_that_of_any_space() -> None:
    summary = check(constraints={})
    assert summary.students == 2**2 * 3**6
    assert summary.cheapest[1].parameters == SMALLEST
    assert summary.dearest == (TEACHER, cost(TEACHER))


def test_both_lists_may_be_left_out_or_fixed() -> None:
    assert check({"family": "edited"}).cheapest[0] == TEACHER
    fixed = {"family": "edited", "keep": [0, 1], "ratio": [1, 0.5, 1, 1, 1, 1], "step": 2}
    summary = check(fixed)
    assert summary.students == 1
    assert summary.cheapest[0] == edit(TEACHER, [0, 1], [1, 0.5, 1, 1, 1, 1], 2)


def test_students_are_edits_of_every_teacher_of_a_choice() -> None:
    wide = {**RESNET, "widths": [8, 24]}
    sections = [{"architecture": a, "epochs": 1} for a in (RESNET, wide)]
    summary = check(teacher={"choice": sections})
    dear = describe(wide, (1, 8, 8), 10)
    assert (summary.cheapest[1].parameters, summary.dearest[0]) == (SMALLEST, dear)
    other = {**RESNET, "blocks": [3, 2]}
    line = fault(edited(teacher={"choice": [sections[0], {"architecture": other, "epochs": 1}]}))
    assert line.startswith("student.keep: has 2 entries; the teacher has 3 removable blocks")


def test_a_plan_alone_is_an_edit_of_its_own_teacher() -> None:
    config = load_config(edited(start={"name": "inherit"}))
    outline = check_search(config).outline
    for filled, plan in config.plans():
        lists = plan.student["keep"], plan.student["ratio"]
        wanted = edit(TEACHER, *lists)
        assert architecture_of(plan, outline) == wanted
        assert check_plan(plan, outline, filled).student == wanted


def test_the_only_student_under_a_bound_is_found() -> None:
    summary = check(constraints={"parameters": SMALLEST})
    assert summary.cheapest == summary.dearest
    line = fault(edited(constraints={"parameters": SMALLEST - 1}))
    assert line.startswith("constraints: no student of this space meets them (the closest one's")
    assert f"{SMALLEST:,}" in line


@pytest.mark.parametrize(
    ("student", "line"),
    [
        (
            {**EDITED, "keep": {"each": 3, "choice": [1, 0]}},
            "student.keep: has 3 entries; the teacher has 2 removable blocks: "
            "write keep: {each: 2, choice: [1, 0]}",
        ),
        ({**EDITED, "keep": {"each": 2, "choice": [1, 2]}}, "student.keep.choice[1]: 2 is neither"),
        (
            {**EDITED, "ratio": [0.5]},
            "student.ratio: has 1 entries; the teacher has 6 coupling groups",
        ),
        ({**EDITED, "ratio": {"each": 6, "float": [0, 1]}}, "student.ratio: 0.0 is not a number"),
        ({**EDITED, "ratio": 0.5}, "student.ratio: 0.5 is not a list"),
        ({**EDITED, "step": 0}, "student.step: 0 is not a whole number"),
        ({**EDITED, "widths": [4]}, "student.widths: edited takes no such key; it takes "),
    ],
)
def test_a_fault_is_named_as_written(student: dict[str, Any], line: str) -> None:
    assert fault(edited(student)).startswith(line)


@pytest.mark.parametrize(
    ("teacher", "line"),
    [
        ("none", "student.family: edited is the plan's teacher with edits, and there is none"),
        (
            {"architecture": {"family": "torchvision", "model": "resnet50"}},
            "teacher.architecture.model: resnet50 cannot be edited: layer1.0 is a bottleneck",
        ),
        (
            {"architecture": {"family": "tests.test_check_edited:make"}},
            "teacher.architecture.family: tests.test_check_edited:make shows no blocks",
        ),
        (
            {"architecture": {"family": "edited"}},
            "teacher.architecture.family: edited is the plan's teacher",
        ),
        (
            {"architecture": {"family": "resnet", "blocks": [1, 1], "widths": [4, 8]}},
            "student.keep: has 2 entries, and the teacher has no removable block: leave keep out",
        ),
    ],
)
def test_a_teacher_that_cannot_be_edited_is_a_fault(teacher: Any, line: str) -> None:
    unasked = {"losses": [], "training__label_weight": 1}  # the teacher is there for the edit alone
    assert fault(edited(teacher=teacher, **unasked)).startswith(line)


def make(input: tuple[int, int, int], classes: int) -> Any:
    """A factory of a user's own."""
    import torch

    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(classes))
