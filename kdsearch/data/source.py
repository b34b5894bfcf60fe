"""What a data source is: a name in the table, and what it gives before anything is split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data.images import Split
from kdsearch.errors import UserError


class Raw(NamedTuple):
    """A set as its files have it.

    Attributes
    ----------
    train : Split
    test : Split or None
        The official test set; None where there is none.
    classes : tuple of str
        Names, in the order of the labels.
    """

    train: Split
    test: Split | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Items:
    """Images that are read one by one, when they are needed.

    Attributes
    ----------
    labels : array of shape (N,), int64
    read : callable
        Pixels of one row, uint8 of shape (C, H, W): the same every time. Raises a `UserError` that
        names the row where it cannot be read.
    forked : bool
        Whether forks of this process may read too, side by side. Not what a user wrote: a file that
        it has opened would have one position for all of them.
    """

    labels: np.ndarray
    read: Callable[[int], np.ndarray]
    forked: bool = False


class Listed(NamedTuple):
    """A set of which the labels are known before any pixel is read.

    Attributes
    ----------
    train : Items
    test : Items or None
        The official test set; None where there is none.
    classes : tuple of str
        Names, in the order of the labels.
    shape : tuple of int
        Channels, height and width of one image.
    version : callable or None
        What tells one state of the set from another, found without decoding. None: nothing does.
    """

    train: Items
    test: Items | None
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    version: Callable[[], str] | None


class Outline(NamedTuple):
    """What can be said of a set without reading its pixels.

    Attributes
    ----------
    shape : tuple of int
        Channels, height and width of one image.
    classes : tuple of str
    images : int
        How many there are outside an official test set; of a published set, how many were
        published.
    has_test : bool
        There is an official test set.
    tests : int
        Images of an official test set, where they were counted.
    listed : bool
        The images can be read one by one: see `Listed`.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    images: int
    has_test: bool
    tests: int = 0
    listed: bool = False


class Description(NamedTuple):
    """What a search wants to know of its data before it reads them.

    Attributes
    ----------
    shape : tuple of int
        Channels, height and width of one image.
    classes : tuple of str
    train_images : int
        Size of the training split.
    held : str
        Where the decoded images will be, in a few words; empty where they are in memory anyway.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train_images: int
    held: str = ""


Root = Path | None


@dataclass(frozen=True, slots=True)
class Source:
    """One row of `SOURCES`: how a set is read, and how it is described without reading it.

    Both functions take the config and its root, already resolved.
    """

    read: Callable[[DataConfig, Root], Raw | Listed]
    outline: Callable[[DataConfig, Root], Outline]


def needed_root(config: DataConfig, root: Root) -> Path:
    """The folder that a source cannot do without.

    Raises
    ------
    UserError
        None is named, or it does not exist and nothing will be downloaded into it.
    """
    if root is None:
        raise UserError("data.root", f"{config.name} is read from a folder; name it here")
    if not root.is_dir() and not config.download:
        raise UserError("data.root", f"there is no folder {root}; {remedy(config)}")
    return root


def remedy(config: DataConfig) -> str:
    """What to do about a published set that is not where it should be."""
    if config.name == "image_folder":
        return "give the folder that holds the classes"
    return f"give the folder that holds {config.name}, or set data.download: true to fetch it"


def check_raw(place: str, raw: Raw) -> Raw:
    """The same set, once its parts are known to fit each other.

    Raises
    ------
    UserError
        Other than as many labels as images, labels outside the classes, an empty split, or a test
        set of another image shape.
    """
    for name, split in (("train", raw.train), ("test", raw.test)):
        if split is not None:
            _check_split(place, name, split, len(raw.classes))
    if raw.test is not None and raw.test.images.shape[1:] != raw.train.images.shape[1:]:
        shapes = [tuple(s.images.shape[1:]) for s in (raw.train, raw.test)]
        raise UserError(place, f"train images are {shapes[0]}, test images {shapes[1]}; make equal")
    return raw


def outline_of(listed: Listed) -> Outline:
    """The outline of a set whose images are read one by one."""
    tests = 0 if listed.test is None else len(listed.test.labels)
    images, has_test = len(listed.train.labels), listed.test is not None
    return Outline(listed.shape, listed.classes, images, has_test, tests, listed=True)


def _check_split(place: str, name: str, split: Split, classes: int) -> None:
    images, labels = split
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise UserError(place, f"{name} images are {images.dtype} {tuple(images.shape)}, not uint8")
    if not len(images) or not images[0].numel():
        raise UserError(place, f"the {name} set is empty; it needs images")
    if len(images) != len(labels):
        raise UserError(
            place, f"{len(images)} {name} images but {len(labels)} labels; there must be one each"
        )
    check_labels(place, name, labels.numpy(), classes)


def check_labels(place: str, name: str, labels: np.ndarray, classes: int) -> None:
    """Refuse labels that are no class.

    Raises
    ------
    UserError
        The lowest and the highest, and what is allowed.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise UserError(
            place,
            f"{name} labels run from {low} to {high}; {classes} classes allow 0 to {classes - 1}",
        )
