"""From a card and weights to a network."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.cost import cost
from kdsearch.data.normalise import Normalise
from kdsearch.errors import UserError
from kdsearch.own_code import permit_code
from kdsearch.results.remote import reading_student
from kdsearch.student_folder.card import StudentCard
from kdsearch.student_folder.folder import read_student, within
from kdsearch.students import build_student
from kdsearch.teachers.weights import weights_from_bytes

NARROWEST_BITS = 8  # of a stored weight; float32 is 32


def load_student(
    folder: str | os.PathLike[str],
    *,
    raw: bool = False,
    code: str | os.PathLike[str] | None = None,
) -> nn.Module:
    """A trained student in eval mode, on the CPU: ``student(images).logits`` is (B, K).

    A student of a user's own factory is built by that factory: say in `code` where its module
    stands, and only if you would run it. All others are data.

    Parameters
    ----------
    folder : path
        ``results/<search>/students/<trial_id>``, its address, or an exported folder.
    raw : bool
        Take pixels of 0..255, uint8 or float, and normalise them inside; otherwise the inputs are
        float32 and normalised already. Both have the shape (B, C, H, W).
    code : path, optional
        The folder of the module that the student names as ``module:callable``; without it none is
        imported.

    Returns
    -------
    nn.Module
        Gives `Outputs`.

    Raises
    ------
    UserError
        No student, a damaged one, one of a later kdsearch, the weights of another network, or one
        that names a module which does not stand in `code`.
    """
    with reading_student(folder) as place:
        card, weights = read_student(place)
        permit_student(card, str(place), code)
        return student_of(card, weights, str(place), raw=raw)


def permit_student(
    card: StudentCard, place: str, code: str | os.PathLike[str] | None = None
) -> None:
    """Refuse a student of a module that does not stand in the folder `code`."""
    content = {"architecture": card.architecture}
    permit_code(content, place, None if code is None else Path(code))


def student_of(card: StudentCard, weights: bytes, place: str, *, raw: bool = False) -> nn.Module:
    """The trained network, as `load_student` gives it, whoever's code it names."""
    _check_size(card, weights, place)
    student = untrained(card, place)
    weights_from_bytes(student, weights, place)
    student.eval()
    return nn.Sequential(Normalise(card.mean, card.std), student).eval() if raw else student


def untrained(card: StudentCard, place: str, seed: int = 0) -> nn.Module:
    """The network of a card with fresh weights.

    Raises
    ------
    UserError
        An architecture that cannot be built; the message names `place`.
    """
    try:
        return build_student(Architecture.from_json(card.architecture), seed=seed)
    except UserError as error:
        raise within(place, error) from error
    except Exception as error:  # a damaged architecture fails in as many ways as it has numbers
        raise _unbuildable(place, error) from error


def _check_size(card: StudentCard, weights: bytes, place: str) -> None:
    """Refuse an architecture that is far larger than its weights before memory is taken for it."""
    try:
        architecture = Architecture.from_json(card.architecture)
        if ":" in architecture.family:
            return  # its size is known only once it is built
        needed = cost(architecture, NARROWEST_BITS).size_bytes
    except UserError as error:
        raise within(place, error) from error
    except Exception as error:  # as in `untrained`
        raise _unbuildable(place, error) from error
    if needed > len(weights):
        fault = f"the architecture takes {needed} bytes at least, its weights have {len(weights)}"
        raise UserError(place, f"{fault}; copy the folder again, whole")


def _unbuildable(place: str, error: Exception) -> UserError:
    reason = f"{type(error).__name__}: {error}"
    return UserError(place, f"the architecture cannot be built ({reason}); copy the folder again")
