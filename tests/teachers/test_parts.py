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
def test_every_loss_reads_what_it_names_and_nothing_else(name: str) -> None:
    loss = build_loss(cases.LOSS_CASES[name].term)
    loss.prepare(cases.context())
    teacher = cases.outputs(cases.TEACHER, seed=1)
    named = {tap: getattr(teacher, tap) for tap in loss.taps}
    seen = outputs_of(frozenset(loss.taps))(**{"logits": None, **named})
    student = cases.outputs(cases.STUDENT, seed=2)
    for run in (loss, *(stage.loss for stage in loss.stages() if stage.student)):
        assert run(student, seen, cases.batch()).ndim == 0
