"""Files and folders that are there whole, or as they were: written aside, then renamed."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, push it to the disk, and rename it into place.

    Raises
    ------
    OSError
        A disk that cannot be written; what stood at `path` still stands.
    """
    aside = _aside(path)
    try:
        write(aside)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """A file of these bytes, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda part: part.write_bytes(data))


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """A folder of these files, in the place of whatever folder stands there.

    Raises
    ------
    OSError
        A disk that cannot be written; what stood there still stands.
    """
    with new_folder(folder) as aside:
        for name, data in files.items():
            write_bytes(aside / name, data)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder aside, to be filled; it takes the place of `folder` when the block ends well.

    Raises
    ------
    OSError
        A disk that cannot be written; what stood there still stands.
    """
    aside = _aside(folder)
    try:
        aside.mkdir(parents=True)
        yield aside
        for path in (path for path in aside.rglob("*") if path.is_file()):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        _put_in_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")


def _put_in_place(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:  # a folder that is not empty cannot be renamed over
        if not folder.is_dir():
            raise
        gone = aside.with_suffix(".old")
        folder.rename(gone)
        aside.rename(folder)
        shutil.rmtree(gone, ignore_errors=True)
