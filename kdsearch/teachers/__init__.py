"""Teachers: what a student learns from, how it is kept, and one row a kind in `TEACHERS`."""

from kdsearch.teachers.base import Teacher
from kdsearch.teachers.cached import CachedTeacher, compute_logits
from kdsearch.teachers.frozen import FrozenTeacher
from kdsearch.teachers.network import network_of
from kdsearch.teachers.record import TeacherRecord, read_teacher, write_teacher
from kdsearch.teachers.shelf import Origin, origin_of, read_part, write_parts
from kdsearch.teachers.stock import Need, Stock, stock_up
from kdsearch.teachers.store import StoredTeacher, TeacherStore
from kdsearch.teachers.views import compute_views, gathered
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
    "Need",
    "Origin",
    "Stock",
    "StoredTeacher",
    "Teacher",
    "TeacherRecord",
    "TeacherStore",
    "compute_logits",
    "compute_views",
    "gathered",
    "load_weights",
    "network_of",
    "origin_of",
    "read_part",
    "read_teacher",
    "save_weights",
    "stock_up",
    "weights_from_bytes",
    "weights_to_bytes",
    "write_parts",
    "write_teacher",
]

# `CachedTeacher` and `StoredTeacher` are no rows of their own: each is a frozen teacher, faster.
TEACHERS: dict[str, type[Teacher]] = {"frozen": FrozenTeacher}
