"""Edits of any architecture of ours: valid, never larger, each action one module."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.cost import cost
from kdsearch.edits import blocks, edit, groups, keep_of, units, void, widths_in
from kdsearch.errors import UserError
from kdsearch.students import build_student, describe, output_shapes
from tests.students.cases import OURS, drawn

RESNET = describe({"family": "resnet", "blocks": [3, 2], "widths": [8, 12]}, (1, 8, 8), 10)
RATIOS = (0.25, 0.5, 0.6, 1)

teachers = st.builds(drawn, st.sampled_from(OURS), st.integers(0, 10_000))
steps = st.integers(1, 9)


@st.composite
def edited(draw: st.DrawFn) -> tuple[Architecture, list[int], list[float], int]:
    """A teacher, which may be an edit itself, and an edit of it."""
    teacher = draw(teachers)
    if draw(st.booleans()):
        teacher = edit(teacher, *_lists(draw, teacher), draw(steps))
    return teacher, *_lists(draw, teacher), draw(steps)


def _lists(draw: st.DrawFn, teacher: Architecture) -> tuple[list[int], list[float]]:
    removable, coupled = len(units(teacher)), len(groups(teacher))
    keep = draw(st.lists(st.integers(0, 1), min_size=removable, max_size=removable))
    ratios: st.SearchStrategy[float] = st.sampled_from(RATIOS)
    ratio = draw(st.lists(ratios, min_size=coupled, max_size=coupled))
    return keep, ratio


@given(edited())
@settings(max_examples=150, deadline=None)
def test_an_edit_is_a_network_that_costs_no_more(
    case: tuple[Architecture, list[int], list[float], int],
) -> None:
    teacher, keep, ratio, step = case
    student = edit(teacher, keep, ratio, step)
    assert (student.family, student.input, student.classes) == (
        teacher.family,
        teacher.input,
        teacher.classes,
    )
    output_shapes(student, 2)
    price, before = cost(student), cost(teacher)
    assert price.parameters <= before.parameters and price.macs <= before.macs
    made = build_student(student, device="meta")
    assert sum(p.numel() for p in made.parameters()) == price.parameters
    assert Architecture.from_json(student.to_json()) == student


@given(teachers, steps)
@settings(max_examples=60, deadline=None)
def test_to_keep_all_is_the_identity(teacher: Architecture, step: int) -> None:
    ones = [1] * len(units(teacher))
    assert edit(teacher, ones, [1.0] * len(groups(teacher)), step) == edit(teacher) == teacher
    assert not any(void(teacher, ones))


@given(teachers)
@settings(max_examples=60, deadline=None)
def test_a_removal_takes_its_own_block_and_no_other(teacher: Architecture) -> None:
    found = units(teacher)
    for i, unit in enumerate(found):
        student = edit(teacher, [int(j != i) for j in range(len(found))])
        left = [b for stage in teacher.stages for b in stage.blocks]
        place = sum(len(s.blocks) for s in teacher.stages[: unit.stage]) + unit.block
        assert [b for stage in student.stages for b in stage.blocks] == left[:place] + left[
            place + 1 :
        ]
        assert student.stem == teacher.stem


@given(teachers)
@settings(max_examples=60, deadline=None)
def test_a_ratio_changes_the_widths_of_its_own_group_and_no_other(teacher: Architecture) -> None:
    count = len(groups(teacher))
    for j, group in enumerate(groups(teacher)):
        small = edit(teacher, None, [0.25 if i == j else 1 for i in range(count)])
        wanted = max(1, round(0.25 * group.width))
        expected = teacher
        for kind, stage, block in group.members:
            if kind == "stem":
                assert expected.stem is not None
                expected = replace(expected, stem=replace(expected.stem, width=wanted))
            elif kind == "inner":
                assert block is not None
                expected = expected.with_inner(stage, block, wanted)
            else:
                expected = expected.with_width(stage, wanted, block)
        assert small == expected and (small == teacher) == (wanted == group.width)


@given(edited())
@settings(max_examples=100, deadline=None)
def test_what_is_void_changes_nothing_and_all_else_does(
    case: tuple[Architecture, list[int], list[float], int],
) -> None:
    teacher, keep, _, _ = case
    widths = [group.width for group in groups(teacher)]
    whole = edit(teacher, keep)
    for j, empty in enumerate(void(teacher, keep)):
        small = edit(teacher, keep, [0.25 if i == j else 1 for i in range(len(widths))])
        assert (small == whole) == (empty or max(1, round(0.25 * widths[j])) == widths[j])


@given(edited())
@settings(max_examples=100, deadline=None)
def test_every_edit_is_recognised(
    case: tuple[Architecture, list[int], list[float], int],
) -> None:
    teacher, keep, ratio, step = case
    student = edit(teacher, keep, ratio, step)
    found = keep_of(student, teacher)
    assert found is not None and sum(found) == sum(keep)
    assert student == teacher or keep_of(teacher, student) is None


@given(teachers, st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_shrunk_widths_are_whole_steps_or_the_old_ones(teacher: Architecture, step: int) -> None:
    small = edit(teacher, None, [0.6] * len(groups(teacher)), step)
    for group, width in widths_in(small, teacher, None).items():
        assert width == group.width or (width < group.width and width % step == 0)


def test_a_residual_network_is_removed_by_branch_and_shrunk_by_stream() -> None:
    reasons = {(u.stage, u.block): u.why for u in blocks(RESNET) if not u.removable}
    assert reasons == {
        (0, 2): "the last of its stage",
        (1, 0): "it changes the shape of its stream",
    }
    named = [(g.kind, g.stage, g.block, g.width) for g in groups(RESNET)]
    assert named == [
        ("stage", 0, None, 8),  # and the stem, which the first block adds to
        ("inner", 0, 0, 8),
        ("inner", 0, 1, 8),
        ("inner", 0, 2, 8),
        ("stage", 1, None, 12),
        ("inner", 1, 0, 12),
        ("inner", 1, 1, 12),
    ]
    small = edit(RESNET, [0, 1, 0], [0.5, 1, 1, 0.25, 1, 0.5, 1])
    inner = [[b.inner for b in stage.blocks] for stage in small.stages]
    assert small.stem is not None and small.stem.width == small.stages[0].width == 4
    assert inner == [[8, 2], [6]] and small.stages[1].width == 12
    assert void(RESNET, [0, 1, 0]) == (False, True, False, False, False, False, True)


def test_a_stem_of_its_own_width_is_a_group() -> None:
    wide = describe({"family": "resnet", "blocks": [2], "widths": [8], "stem": 6}, (1, 8, 8), 10)
    assert [(g.kind, g.width) for g in groups(wide)][:2] == [("stem", 6), ("stage", 8)]
    assert [(u.stage, u.block) for u in units(wide)] == [(0, 1)]


def test_in_a_chain_what_would_widen_the_next_layer_stays() -> None:
    widths = (4, 4, 2, 6, 6)
    chain = Architecture(
        "convnet", (1, 8, 8), 10, stages=(Stage(tuple(Block("conv", w) for w in widths)),)
    )
    reasons = [unit.why for unit in blocks(chain)]
    assert reasons == ["it reads the image", "", "what follows would grow", "", ""]
    net = describe({"family": "mlp", "widths": [8, 8, 6, 6]}, (1, 8, 8), 10)
    assert [u.stage for u in units(net)] == [1, 3]
    assert [s.out_width for s in edit(net, [0, 0]).stages] == [8, 6]


def test_depthwise_on_the_stream_itself_shrinks_with_it() -> None:
    section = {"family": "mobilenet", "blocks": [2], "widths": [8], "stem": 8, "expansion": 1}
    plain = describe(section, (1, 8, 8), 10)
    assert [(g.kind, len(g.members)) for g in groups(plain)] == [("stage", 4)]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"keep": [1]},
            "keep: has 1 entries; the teacher has 3 removable blocks: "
            "write keep: {each: 3, choice: [1, 0]}",
        ),
        ({"keep": [1, 2, 0]}, "keep[1]: 2 is neither 1, the block stays, nor 0, it goes"),
        ({"keep": [1, True, 0]}, "keep[1]: True is neither 1"),
        (
            {"ratio": [1.0]},
            "ratio: has 1 entries; the teacher has 7 coupling groups: "
            "write ratio: {each: 7, choice: [0.25, 0.5, 0.75, 1]}",
        ),
        ({"ratio": [0, 1, 1, 1, 1, 1, 1]}, "ratio[0]: 0 is not a number above 0 and up to 1"),
        ({"ratio": [1, 1.5, 1, 1, 1, 1, 1]}, "ratio[1]: 1.5 is not a number"),
        ({"step": 0}, "step: 0 is not a whole number of at least 1"),
    ],
)
def test_a_list_that_does_not_fit_names_the_right_one(
    values: dict[str, list[int]], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        edit(RESNET, **values)  # pyright: ignore[reportArgumentType]
    assert str(caught.value).startswith(line)


def test_an_edited_network_runs() -> None:
    small = edit(RESNET, [0, 0, 0], [0.25] * 7)
    assert build_student(small, seed=0)(torch.zeros(2, 1, 8, 8)).logits.shape == (2, 10)
