"""Where decoded images are held: in memory, or in files where they would take too much of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data.images import SPLITS, ImageData, Split
from kdsearch.data.reading import in_order
from kdsearch.data.source import Items, Listed
from kdsearch.data.splits import channel_statistics, rows_of
from kdsearch.errors import UserError

MIB = 2**20
SHARE = 0.25  # of the free memory: what is read is copied once more to be shared by all workers
Say = Callable[[str], None]


class Part(NamedTuple):
    """One split, before its images are read: rows of a list."""

    items: Items
    rows: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Of its images, in order."""
        return self.items.labels[self.rows]


Parts = dict[str, Part]


@dataclass(frozen=True)
class Holding:
    """What was decided.

    Attributes
    ----------
    streamed : bool
        Decoded once into files, which are mapped; else in memory.
    mib : float
        Of all decoded images.
    reason : str
    """

    streamed: bool
    mib: float
    reason: str

    def __str__(self) -> str:
        where = f"in files under {decoded_folder()}" if self.streamed else "in memory"
        return f"{self.mib:,.1f} MiB decoded, held {where} ({self.reason})"


def choose(config: DataConfig, images: int, shape: tuple[int, int, int]) -> Holding:
    """Where so many images of a set that is read one by one are to be held."""
    mib = images * prod(shape) / MIB
    if config.stream != "auto":
        return Holding(config.stream, mib, f"data.stream: {str(config.stream).lower()}")
    if config.memory_mib is not None:
        most, bound = config.memory_mib, f"data.memory_mib: {config.memory_mib:g}"
    else:
        most = SHARE * free_memory() / MIB
        bound = f"a quarter of what is free is {most:,.0f}"
    return Holding(mib > most, mib, bound)


def check_whole(config: DataConfig) -> None:
    """Refuse to stream what is read whole.

    Raises
    ------
    UserError
    """
    if config.stream is True:
        fault = f"true, and {config.name} is read whole into memory; leave it out: image_folder "
        raise UserError("data.stream", f"{fault}and datasets of your own can be streamed")


def decoded_folder() -> Path:
    """Of decoded sets: within ``$KDSEARCH_CACHE``, or ``~/.cache/kdsearch``."""
    place = os.environ.get("KDSEARCH_CACHE") or "~/.cache/kdsearch"
    return Path(os.path.expanduser(place)).absolute() / "data"


def parts_of(config: DataConfig, listed: Listed) -> Parts:
    """The splits of a set, in the order of `SPLITS`; no image is read.

    Raises
    ------
    UserError
        A split that cannot be made.
    """
    rows = rows_of(config, listed.train.labels, listed.classes, listed.test is not None)
    if listed.test is not None:
        test = Part(listed.test, np.arange(len(listed.test.labels)))
    else:
        assert rows.test is not None
        test = Part(listed.train, rows.test)
    return dict(
        zip(SPLITS, (Part(listed.train, rows.train), Part(listed.train, rows.validation), test),
            strict=True)
    )  # fmt: skip


def in_memory(config: DataConfig, listed: Listed, parts: Parts) -> ImageData:
    """The set, its images read into memory.

    Raises
    ------
    UserError
        An image that cannot be read.
    """
    made: dict[str, Split] = {}
    for name, part in parts.items():
        images, at = torch.empty((len(part.rows), *listed.shape), dtype=torch.uint8), 0
        for found in in_order(part.items, part.rows):
            images[at : at + len(found)] = found
            at += len(found)
        made[name] = Split(images, torch.from_numpy(part.labels))
    mean, std = channel_statistics(made["train"].images)
    train, validation, test = (made[name] for name in SPLITS)
    return ImageData(config.name, train, validation, test, listed.classes, mean, std)


def free_memory() -> float:
    """Bytes that may still be taken, as far as the system says; infinite where it does not."""
    found = [float("inf")]
    with suppress(OSError, ValueError, LookupError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")))
    with suppress(OSError, ValueError, LookupError):  # a container's own bound
        group = Path("/sys/fs/cgroup")
        most, taken = ((group / f"memory.{word}").read_text() for word in ("max", "current"))
        told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = int(told["active_file"]) + int(told["inactive_file"])  # given back when asked for
        found.append(int(most) - int(taken) + cached)
    return min(found)
