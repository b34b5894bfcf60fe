"""Outputs that hold some parts, and what losses may read of them."""

from __future__ import annotations

import pytest
import torch

from kdsearch.errors import UserError
from kdsearch.losses import build_loss
from kdsearch.students import Outputs
from kdsearch.teachers.parts import PARTS, outputs_of
from tests import cases


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_there_or_is_asked_for_by_name(part: str) -> None:
    alone = outputs_of(frozenset({part}))(**{"logits": None, part: (torch.zeros(2),)})
    assert isinstance(alone, Outputs) and torch.equal(getattr(alone, part)[0], torch.zeros(2))
    for other in set(PARTS) - {part}:
        with pytest.raises(
            UserError, match=f"method: a loss reads the teacher's {other} .* `taps`"
        ):
            getattr(alone, other)


@pytest.mark.parametrize("name", cases.LOSS_CASES)
@pytest.mark.parametrize("foreign", [False, True])
def test_every_loss_reads_what_it_names_and_nothing_else(name: str, foreign: bool) -> None:
    loss = build_loss(cases.LOSS_CASES[name].term)
    shown = cases.TEACHER
    if foreign and "preactivations" not in loss.taps:  # as torchvision's and a user's own teachers
        shown = shown._replace(preactivations=())
    loss.prepare(cases.context(teacher=shown))
    teacher = cases.outputs(shown, seed=1)
    named = {tap: getattr(teacher, tap) for tap in loss.taps}
    seen = outputs_of(frozenset(loss.taps))(**{"logits": None, **named})
    student = cases.outputs(cases.STUDENT, seed=2)
    for run, read in ((loss, True), *((stage.loss, stage.student) for stage in loss.stages())):
        assert run(student if read else None, seen, cases.batch()).ndim == 0
