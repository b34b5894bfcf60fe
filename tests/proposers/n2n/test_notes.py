"""Notes of a log that may be a stranger's: what this policy cannot have drawn is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kdsearch.errors import UserError
from tests.proposers.n2n.made import propose, proposer, seen

CHANGES: dict[str, Any] = {
    "another stage": {"stage": 1},
    "fewer actions": {"actions": lambda drawn: drawn[:-1]},
    "no such option": {"actions": lambda drawn: [*drawn[:-1], 4]},
    "more log-probabilities": {"log_p": lambda drawn: [*drawn, -0.1]},
    "fewer free": {"free": lambda drawn: drawn[1:]},
    "more taken": {"taken": lambda drawn: [*drawn, 0]},
    "no such edit": {"taken": lambda drawn: [9, *drawn[1:]]},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("where", ["rolled", "refused"])
def test_a_note_that_this_policy_cannot_have_written_is_one_line(change: str, where: str) -> None:
    made = proposer()
    told = seen(0, propose(made, 0), (0.9,))
    note: Any = told.note
    drawn = dict(note["rolled"])
    for key, value in CHANGES[change].items():
        if key == "stage":
            note = {**note, "stage": value}
        else:
            drawn[key] = value(drawn[key])
    note = {**note, where: [drawn] if where == "refused" else drawn}
    with pytest.raises(UserError, match=r"trial 00000: note: is not of this teacher's edits"):
        made.observe(replace(told, note=note))


def test_its_own_notes_are_read() -> None:
    made = proposer()
    told = seen(0, propose(made, 0), (0.9,))
    made.observe(told)
