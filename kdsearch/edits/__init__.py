"""Edits of a teacher: blocks removed, widths shrunk. The words of `family: edited`, and N2N's."""

from kdsearch.edits.coupling import Group, Member, groups, void
from kdsearch.edits.editing import edit
from kdsearch.edits.foreign import as_architecture, as_network
from kdsearch.edits.matching import keep_of, kept_spots, widths_in
from kdsearch.edits.section import EDITED, describe_edited
from kdsearch.edits.units import Unit, blocks, units

__all__ = [
    "EDITED",
    "Group",
    "Member",
    "Unit",
    "as_architecture",
    "as_network",
    "blocks",
    "describe_edited",
    "edit",
    "groups",
    "keep_of",
    "kept_spots",
    "units",
    "void",
    "widths_in",
]
