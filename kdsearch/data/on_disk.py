"""A set too large for memory: decoded once into files that are mapped, and found again.

A folder a set and split holds an array of images and one of labels for each split, and a card. The
system pages in what a batch asks for and drops it when memory is short.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from kdsearch.config import DataConfig, identity
from kdsearch.data.holding import MIB, Parts, Say, decoded_folder
from kdsearch.data.images import CARD, ImageData, Split, files_of, map_splits
from kdsearch.data.reading import in_order
from kdsearch.data.source import Listed
from kdsearch.data.splits import Levels
from kdsearch.errors import UserError
from kdsearch.whole import new_folder, write_bytes

SCHEMA_VERSION = 1
TELL_SECONDS = 20  # between two lines that say how far it is
# What a card or an array raises that is not what was written.
FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def decoded(config: DataConfig, listed: Listed, parts: Parts, place: str, say: Say) -> ImageData:
    """The set, mapped from files: those that are there, else written now.

    What stands there is taken if the set's `Listed.version` is the same and its bytes hash to the
    `ImageData.id` on the card: one pass over the files.

    Parameters
    ----------
    parts : mapping of str to Part
        See `parts_of`.
    place : str
        Where the set comes from: with the config, what its folder is named after.
    say : callable
        Told in one line why it takes long.

    Raises
    ------
    UserError
        An image that cannot be read, or a disk that cannot take them.
    """
    version = _version(listed, parts)
    folder = decoded_folder() / _name(config, place, version)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, say):
            if version is not None and (found := _found(folder, config, version, say)) is not None:
                return found
            total = sum(len(part.rows) for part in parts.values())
            _check_room(folder, total * prod(listed.shape))
            say(f"data: {total:,} images are decoded into {folder}")
            with new_folder(folder) as aside:
                write_bytes(aside / CARD, _write(aside, config, listed, parts, version, say))
            return _opened(folder, config, json.loads((folder / CARD).read_bytes()))
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; "
        fault += "set KDSEARCH_CACHE to another folder"
        raise UserError(str(folder), fault) from None


@contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """One process at a time decodes a set; what one that was killed has left is removed."""
    lock = FileLock(f"{folder}.lock")  # the system frees it when its holder dies
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"data: another process decodes into {folder}; waiting for it")
        lock.acquire()
    try:
        for left in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        lock.release()


def _name(config: DataConfig, place: str, version: str | None) -> str:
    """Of the folder: another state of the same files has another, for searches may read both."""
    sizes = [config.size, config.images, config.validation, config.seed]
    told = identity([config.name, place, *sizes, version])
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', config.name)}-{told}"


def _version(listed: Listed, parts: Parts) -> str | None:
    if listed.version is None:
        return None
    digest = hashlib.sha256(listed.version().encode())
    digest.update(json.dumps([listed.classes, listed.shape]).encode())
    for part in parts.values():
        digest.update(part.rows.tobytes() + part.labels.tobytes())
    return digest.hexdigest()


def _found(folder: Path, config: DataConfig, version: str, say: Say) -> ImageData | None:
    if not folder.is_dir():
        return None
    try:
        card = json.loads((folder / CARD).read_bytes())
        seal = card.pop("seal")
        if card["schema"] != SCHEMA_VERSION or card["version"] != version:
            fault = "holds another state of the set"
        elif seal != identity(card):
            fault = "is damaged"
        elif (data := _opened(folder, config, card, trusted=False)).id == card["id"]:
            return data
        else:
            fault = "is damaged"
    except FAULTS:
        fault = "is not whole"
    say(f"data: {folder} {fault}")
    return None


def _opened(
    folder: Path, config: DataConfig, card: dict[str, Any], *, trusted: bool = True
) -> ImageData:
    splits: dict[str, Split] = map_splits(folder)
    mean, std = (tuple(float(v) for v in card[key]) for key in ("mean", "std"))
    classes = tuple(str(name) for name in card["classes"])
    data = ImageData(config.name, **splits, classes=classes, mean=mean, std=std, folder=folder)
    if trusted:  # its bytes were hashed as they were written
        data.__dict__["id"] = card["id"]
    return data


def _write(
    folder: Path, config: DataConfig, listed: Listed, parts: Parts, version: str | None, say: Say
) -> bytes:
    """Write the arrays; the card, with the hash that `ImageData.id` would find."""
    digest, levels = hashlib.sha256(config.name.encode()), Levels(listed.shape[0])
    progress = _Progress(sum(len(part.rows) for part in parts.values()), say)
    for name, part in parts.items():
        images, labels = files_of(name)
        with (folder / images).open("wb") as file:
            shape = (len(part.rows), *listed.shape)
            head = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            for found in in_order(part.items, part.rows):
                if name == "train":
                    levels.add(found)
                data = found.numpy().data
                digest.update(data)
                file.write(data)
                progress.add(len(found))
        digest.update(part.labels.data)
        np.save(folder / labels, part.labels, allow_pickle=False)
    mean, std = levels.statistics()
    card = {
        "schema": SCHEMA_VERSION,
        "version": version,
        "id": digest.hexdigest()[:16],
        "classes": listed.classes,
        "mean": mean,
        "std": std,
    }
    return json.dumps({**card, "seal": identity(card)}, indent=1).encode()


class _Progress:
    """Says now and then how much is done."""

    def __init__(self, total: int, say: Say) -> None:
        self.total, self.say, self.done, self.told = total, say, 0, time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.told > TELL_SECONDS:
            self.told = time.monotonic()
            self.say(f"data: {self.done:,} of {self.total:,} images are decoded")


def _check_room(folder: Path, needed: int) -> None:
    there = next(path for path in folder.parents if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        fault = f"{free / MIB:,.0f} MiB are free, and the decoded images take {needed / MIB:,.1f}; "
        remedy = "set KDSEARCH_CACHE to a folder on a larger disk, or lower data.size"
        raise UserError(str(there), fault + remedy)
