"""What a smaller student is worth beside its teacher, in one number."""

from __future__ import annotations

import math

INVALID = -1.0  # what no network comes of


def reward(
    parameters: float, teacher: float, accuracy: float, teacher_accuracy: float = 1.0
) -> float:
    """R = C (2 - C) A / A_teacher, with C = 1 - parameters / teacher's (Ashok et al. 2018).

    Parameters
    ----------
    parameters, teacher : float
        Learnable numbers of student and teacher.
    accuracy, teacher_accuracy : float
        On the validation images, from 0 to 1.

    Returns
    -------
    float
        `INVALID` for what is no number.
    """
    compression = 1 - parameters / teacher
    value = compression * (2 - compression) * accuracy / teacher_accuracy
    return value if math.isfinite(value) else INVALID
