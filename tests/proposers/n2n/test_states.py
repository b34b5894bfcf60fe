"""Rows of a teacher: what a policy reads means the same for every teacher."""

from __future__ import annotations

import pytest
import torch

from kdsearch.proposers.n2n.edited import Edited
from kdsearch.proposers.n2n.states import FEATURES, KINDS, LEGACY, NUMBERS, Row, encode, legacy
from tests.proposers.n2n.made import TEACHER, space

ROWS = [
    Row("conv", 3, 1, 3, 16, 0.1, 0.2, 0.0),
    Row("basic", 3, 2, 16, 32, 0.7, 0.5, 0.5, residual=True, skip_start=1, skip_end=2),
    Row("linear", 0, 0, 32, 10, 0.2, 0.3, 1.0),
]


def test_numbers_are_scored_over_the_rows_and_kinds_are_not() -> None:
    states = encode(ROWS)
    assert states.shape == (3, FEATURES) and len(KINDS) + NUMBERS == FEATURES
    assert states[:, : len(KINDS)].sum(1).tolist() == [1, 1, 1]
    numbers = states[:, len(KINDS) :]
    torch.testing.assert_close(numbers.mean(0), torch.zeros(NUMBERS), atol=1e-6, rtol=0)
    torch.testing.assert_close(numbers.std(0, correction=0), torch.ones(NUMBERS))


def test_what_is_the_same_in_all_rows_is_zero() -> None:
    states = encode([ROWS[0], ROWS[0]])
    assert (states[:, len(KINDS) :] == 0).all() and torch.isfinite(encode(ROWS[:1])).all()


def test_the_papers_rows_are_raw() -> None:
    states = legacy(ROWS)
    assert states.shape == (3, LEGACY)
    assert states[1].tolist() == [1 + KINDS.index("basic"), 3, 2, 1, 32, 1, 2]
    assert states[0, 5:].tolist() == [0, 0]  # no skip goes around it


def test_rows_of_a_teacher_say_what_goes_with_an_edit() -> None:
    edited = Edited(space(), TEACHER)
    rows = edited.rows
    assert [row.kind for row in rows] == ["basic"] * 4 + (["stage"] + ["inner"] * 3) * 2
    whole = edited.size(edited.unchanged)
    for number, row in enumerate(rows):
        least = list(edited.unchanged)
        least[number] = 0
        assert row.parameters == pytest.approx(1 - edited.size(least) / whole)
        assert 0 < row.parameters < 1 and 0 < row.macs < 1
    keeps = [row.depth for row in rows[:4]]
    assert keeps == pytest.approx([0, 1 / 6, 4 / 6, 5 / 6])
    assert all(row.residual for row in rows)
    assert (rows[3].skip_start, rows[3].skip_end) == (2, 0)
    assert (rows[2].inputs, rows[2].outputs) == (16, 16)
