"""A kept teacher as a network again."""

from __future__ import annotations

from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.students import build_student
from kdsearch.teachers.record import TeacherRecord
from kdsearch.teachers.weights import weights_from_bytes


def network_of(record: TeacherRecord, device: str, seed: int | None = 0) -> nn.Module:
    """The network of a record, with its weights.

    Parameters
    ----------
    seed : int or None
        Of weights that those of the record replace. None: they are drawn from the global generator,
        which is then another one for the training that it belongs to.

    Raises
    ------
    UserError
        Damaged weights, or those of another network.
    """
    module = build_student(Architecture.from_json(record.architecture), seed, device)
    weights_from_bytes(module, record.weights, f"teacher {record.identity}")
    return module
