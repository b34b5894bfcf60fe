"""A student at rest: its weights and a card that says what it is. Needs no Ray.

The same reader serves the folder that a search keeps (``students/<trial_id>``, with
``student.json``) and one that was exported from it (with ``config.json``).
"""

from kdsearch.student_folder.card import StudentCard
from kdsearch.student_folder.folder import (
    CARD,
    CONFIG,
    WEIGHTS,
    read_card,
    read_student,
    write_student,
)
from kdsearch.student_folder.network import load_student, permit_student, student_of, untrained

__all__ = [
    "CARD",
    "CONFIG",
    "WEIGHTS",
    "StudentCard",
    "load_student",
    "permit_student",
    "read_card",
    "read_student",
    "student_of",
    "untrained",
    "write_student",
]
