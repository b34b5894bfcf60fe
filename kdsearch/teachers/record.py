"""A trained teacher at rest: a folder beside the searches that the next search finds."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdsearch.errors import UserError
from kdsearch.whole import write_folder

SCHEMA_VERSION = 1
CARD, WEIGHTS, LOGITS = "teacher.json", "model.safetensors", "logits.npy"


@dataclass(frozen=True, eq=False)
class TeacherRecord:
    """What makes a teacher again, in any process.

    Attributes
    ----------
    identity : str
        Hash of all that decided it: architecture, data, training, seed.
    architecture : str
        JSON of an `Architecture`.
    weights : bytes
        Of `weights_to_bytes`.
    logits : array of shape (N, K), float32, or None
        Of the training split without augmentation, by ``Batch.index``.
    validation_accuracy : float
        Fraction, 0..1, at the last epoch.
    seconds : float
        Wall time of its training.
    data_id : str
        `ImageData.id` of what it was trained on; the logits belong to it.
    """

    identity: str
    architecture: str
    weights: bytes
    logits: np.ndarray | None
    validation_accuracy: float
    seconds: float
    data_id: str = ""


def write_teacher(folder: Path, record: TeacherRecord, details: Mapping[str, Any]) -> None:
    """Write a teacher's folder whole: aside, then renamed into place.

    Parameters
    ----------
    folder : Path
        Takes the place of whatever stands there.
    record : TeacherRecord
    details : mapping
        More for a reader of ``teacher.json`` (data, training, versions); plain JSON values.
    """
    files = {WEIGHTS: record.weights}
    if record.logits is not None:
        files[LOGITS] = _array_to_bytes(record.logits)
    card = json.dumps(_card(record, files, details), indent=1, sort_keys=True)
    write_folder(folder, {**files, CARD: card.encode()})


def read_teacher(folder: Path) -> TeacherRecord | None:
    """The teacher of a folder; None where there is none, or one that is not whole.

    Every file is held against the size and hash in ``teacher.json``: a teacher that was cut short
    or damaged is as good as absent, and is trained again.

    Raises
    ------
    UserError
        A folder of a later version of kdsearch.
    """
    try:
        card = json.loads((folder / CARD).read_bytes())
        if card["schema"] > SCHEMA_VERSION:
            fault = f"was written by a later kdsearch (schema {card['schema']}, known: up to "
            raise UserError(str(folder), f"{fault}{SCHEMA_VERSION}); update, or use another folder")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", card["identity"]):
            return None  # it names a folder
        sealed = {name: card["files"][name] for name in (WEIGHTS, LOGITS) if name in card["files"]}
        files = {name: _checked(folder / name, seal) for name, seal in sealed.items()}
        return TeacherRecord(
            identity=card["identity"],
            architecture=card["architecture"],
            weights=files[WEIGHTS],
            logits=_array_from_bytes(files[LOGITS]) if LOGITS in files else None,
            validation_accuracy=float(card["validation_accuracy"]),
            seconds=float(card["seconds"]),
            data_id=card["data_id"],
        )
    except UserError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return None
    except RecursionError:  # a card of a thousand brackets
        return None


def _card(
    record: TeacherRecord, files: Mapping[str, bytes], details: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "identity": record.identity,
        "architecture": record.architecture,
        "validation_accuracy": record.validation_accuracy,
        "seconds": record.seconds,
        "data_id": record.data_id,
        "files": {name: _seal(data) for name, data in files.items()},
        "details": dict(details),
    }


def _seal(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _checked(path: Path, seal: Mapping[str, Any]) -> bytes:
    data = path.read_bytes()
    if _seal(data) != seal:
        raise ValueError(f"{path} is not what was written")
    return data


def _array_to_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def _array_from_bytes(data: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy fails in a dozen ways on a head that is not its own
        raise ValueError("no array") from error
