"""A student's folder: written whole, read with every doubt."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.student_folder.card import StudentCard, card_of, own_form
from kdsearch.teachers.weights import write_aside

CARD, CONFIG, WEIGHTS = "student.json", "config.json", "student.safetensors"


def write_student(folder: Path, weights: bytes, card: StudentCard) -> None:
    """Write a student's folder whole; it takes the place of whatever folder stands there.

    Parameters
    ----------
    folder : Path
    weights : bytes
        Of `weights_to_bytes`.
    card : StudentCard
    """
    write_folder(folder, {WEIGHTS: weights, CARD: own_form(card)})


def read_student(folder: str | os.PathLike[str]) -> tuple[StudentCard, bytes]:
    """The card and the weights of a student, kept by a search or exported.

    Raises
    ------
    UserError
        As `read_card`; or no weights beside the card.
    """
    return read_card(folder), _read(Path(folder) / WEIGHTS)


def read_card(path: str | os.PathLike[str]) -> StudentCard:
    """The card of a folder, or of the file itself (``student.json`` or ``config.json``).

    Raises
    ------
    UserError
        No student, one of a later kdsearch, or a card with wrong or inconsistent entries.
    """
    path = Path(path)
    names = [name for name in (CARD, CONFIG) if (path / name).is_file()]
    if not names and not path.is_file():
        fault = f"there is no student here, neither {CARD} nor {CONFIG}; name a student's folder"
        raise UserError(str(path), fault)
    file = path / names[0] if names else path
    try:
        return card_of(_read(file))
    except UserError as error:
        raise within(str(file), error) from error


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder under another name, then rename it: no reader ever sees a part of it."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        for name, data in files.items():
            write_aside(aside / name, data)
        _put_in_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def within(path: str, error: UserError) -> UserError:
    """The same error with the file or folder put before its place."""
    place = error.place
    return (
        error
        if place.startswith(path)
        else UserError(f"{path}: {place}" if place else path, error.fault)
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); copy the student's folder again, whole"
        raise UserError(str(path), fault) from error


def _put_in_place(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:  # a folder that is not empty stands there, and cannot be renamed over
        if not folder.is_dir():
            raise
        gone = aside.with_suffix(".old")
        folder.rename(gone)
        aside.rename(folder)
        shutil.rmtree(gone, ignore_errors=True)
