"""Teachers: what a student learns from, how it is kept, and one row a kind in `TEACHERS`."""

from kdsearch.teachers.base import Teacher
from kdsearch.teachers.cached import CachedTeacher, compute_logits
from kdsearch.teachers.frozen import FrozenTeacher
from kdsearch.teachers.record import TeacherRecord, read_teacher, write_teacher
from kdsearch.teachers.weights import (
    load_weights,
    save_weights,
    weights_from_bytes,
    weights_to_bytes,
)

__all__ = [
    "TEACHERS",
    "CachedTeacher",
    "FrozenTeacher",
    "Teacher",
    "TeacherRecord",
    "compute_logits",
    "load_weights",
    "read_teacher",
    "save_weights",
    "weights_from_bytes",
    "weights_to_bytes",
    "write_teacher",
]

# `CachedTeacher` is no row of its own: it is a frozen teacher, faster, where nothing is augmented.
TEACHERS: dict[str, type[Teacher]] = {"frozen": FrozenTeacher}
