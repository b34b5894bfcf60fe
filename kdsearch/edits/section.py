"""The student section `family: edited`: the plan's own teacher with edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.edits.editing import edit
from kdsearch.errors import UserError
from kdsearch.students.family import listed, nearest_first

EDITED = "edited"
KEYS = ("keep", "ratio", "step")


def describe_edited(section: Mapping[str, Any], teacher: Architecture | None) -> Architecture:
    """The architecture that ``{family: edited, keep: ..., ratio: ..., step: ...}`` means.

    It is of the teacher's own family, so that cost, building and export are the ordinary ones.

    Raises
    ------
    UserError
        No teacher; an unknown key; lists that do not fit the teacher. The place is the key.
    """
    given = {key: value for key, value in section.items() if key != "family"}
    for key in given:
        if key not in KEYS:
            raise UserError(key, f"edited takes no such key; it takes {nearest_first(key, KEYS)}")
    if teacher is None:
        fault = "edited is the plan's teacher with edits, and there is none: add the section"
        raise UserError("family", f"{fault} teacher, or take another family")
    lists = {key: listed(key, given[key]) for key in ("keep", "ratio") if key in given}
    return edit(teacher, lists.get("keep"), lists.get("ratio"), given.get("step", 1))
