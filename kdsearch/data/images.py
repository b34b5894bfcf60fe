"""An image set: uint8 tensors, in memory or mapped from files; split once, the same for all."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdsearch.errors import UserError

SPLITS = ("train", "validation", "test")
CARD = "card.json"


class Split(NamedTuple):
    """Images of shape (N, C, H, W), uint8, and their labels of shape (N,), int64."""

    images: Tensor
    labels: Tensor


class Batch(NamedTuple):
    """What a training step reads.

    Attributes
    ----------
    inputs : Tensor of shape (B, C, H, W), float32, normalised
    labels : Tensor of shape (B,), int64
    index : Tensor of shape (B,), int64
        Row of each sample in the training split: stable across epochs, so that a cached teacher
        output or a memory bank finds its sample.
    view : int or None
        Number of the view that the pixels are; None where every epoch is augmented anew.
    """

    inputs: Tensor
    labels: Tensor
    index: Tensor  # pyright: ignore[reportIncompatibleMethodOverride] - tuple.index is not used
    view: int | None = None


@dataclass(frozen=True)
class ImageData:
    """A data set, split by seed.

    Travels through Ray's object store as NumPy buffers, so that workers map it without a copy; or,
    where the images are mapped from files, as the name of their folder.

    Attributes
    ----------
    name : str
    train, validation, test : Split
    classes : tuple of str
        Names, in the order of the labels.
    mean, std : tuple of float
        Per channel, of the training images scaled to 0..1.
    folder : Path or None
        Of the files that the images are mapped from; None: they are in memory.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: Path | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @cached_property
    def id(self) -> str:
        """A hash of pixels, labels and splits: equal data, equal id, wherever it came from."""
        digest = hashlib.sha256(self.name.encode())
        for split in (self.train, self.validation, self.test):
            digest.update(np.ascontiguousarray(split.images.numpy()).data)
            digest.update(np.ascontiguousarray(split.labels.numpy()).data)
        return digest.hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in SPLITS:
            state[name] = None if self.folder else tuple(t.numpy() for t in state[name])
        return {**state, "id": self.id} if self.folder else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if folder := state["folder"]:
            state = {**state, **_mapped_again(folder, state["id"])}
        for name, value in state.items():
            if name in SPLITS and not isinstance(value, Split):
                value = Split(*(borrowed(array) for array in value))
            object.__setattr__(self, name, value)


def map_splits(folder: Path) -> dict[str, Split]:
    """The three splits, mapped from the files of a folder.

    Raises
    ------
    OSError, ValueError
        Files that are not there, or not whole.
    """
    return {name: Split(*(_mapped(folder / file) for file in files_of(name))) for name in SPLITS}


def files_of(split: str) -> tuple[str, str]:
    """Names of the files of a split: its images, and its labels."""
    return f"{split}-images.npy", f"{split}-labels.npy"


def _mapped_again(folder: Path, identity: str) -> dict[str, Split]:
    """The files of a set that another process has opened."""
    try:
        if json.loads((folder / CARD).read_bytes())["id"] == identity:
            return map_splits(folder)
        fault = "holds another state of the set by now; start the search again"
    except (OSError, ValueError, LookupError, TypeError):
        fault = "is not on this machine; set KDSEARCH_CACHE to a folder that all nodes see"
    raise UserError(str(folder), fault)


def _mapped(path: Path) -> Tensor:
    return borrowed(np.load(path, mmap_mode="r", allow_pickle=False))


def borrowed(array: np.ndarray) -> Tensor:
    """A tensor on the array's own memory, which may be read-only."""
    with warnings.catch_warnings():
        # The buffer is the object store's or a file's; nothing here ever writes to it.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)
