"""A user's own map-style dataset: images that are read one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from kdsearch.data.source import Items, Listed, check_labels
from kdsearch.errors import UserError, line_of

KEYS = ("train", "test", "classes", "version")
MOST_CHANNELS = 4


def datasets_of(place: str, returned: Any) -> Listed | None:
    """The set, if a user's function returns a dataset, or a mapping of `KEYS`; None: it does not.

    A dataset has a length, gives ``(image, label)`` for a number from 0, the image uint8 of shape
    (C, H, W) and the same every time, and has ``targets``: the labels of all, known without reading
    an image. ``classes`` may stand in the mapping or be the dataset's own; otherwise labels are
    names. A ``version``, any text that is another one when images change, lets decoded images be
    found again; without one they are decoded anew in every run.

    Raises
    ------
    UserError
        Something of this is missing or does not fit.
    """
    if isinstance(returned, Mapping) and "train" in returned:
        given = dict(returned)
        if unknown := sorted(str(key) for key in given.keys() - set(KEYS)):
            raise UserError(place, f"returned the key {unknown[0]!r}; it knows {', '.join(KEYS)}")
    elif isinstance(returned, Dataset):
        given = {"train": returned}
    else:
        return None
    train, test = given["train"], given.get("test")
    labels = _labels(place, "train", train)
    shape = _shape(place, train)
    items = Items(labels, _Reader(f"{place} train", train, labels, shape))
    held = None
    if test is not None:
        labels = _labels(place, "test", test)
        held = Items(labels, _Reader(f"{place} test", test, labels, shape))
    classes = _classes(place, given.get("classes", getattr(train, "classes", None)), items)
    for name, one in (("train", items), ("test", held)):
        if one is not None:
            check_labels(place, name, one.labels, len(classes))
    version = given.get("version")
    if version is not None and not isinstance(version, str):
        raise UserError(place, f"returned the version {version!r:.80}; give a text")
    return Listed(items, held, classes, shape, None if version is None else lambda: version)


@dataclass(frozen=True)
class _Reader:
    """One image, held against what the first one and the targets promise."""

    place: str
    dataset: Any
    labels: np.ndarray
    shape: tuple[int, ...]

    def __call__(self, row: int) -> np.ndarray:
        pixels, label = _item(self.place, self.dataset, row)
        if pixels.shape != self.shape:
            fault = f"[{row}] has the shape {pixels.shape}, and train[0] {self.shape}; make equal"
            raise UserError(self.place, fault)
        if label != self.labels[row]:
            fault = f"[{row}] has the label {label}, and targets say {self.labels[row]}; make equal"
            raise UserError(self.place, fault)
        return pixels


def _labels(place: str, name: str, dataset: Any) -> np.ndarray:
    if not (images := _length(place, dataset)):
        raise UserError(place, f"the {name} set is empty; it needs images")
    try:
        targets = np.asarray(dataset.targets)
    except AttributeError:
        fault = f"{name} has no targets; give it the labels of all its images, in order"
        raise UserError(place, fault) from None
    except Exception as error:  # the user's code: anything
        raise UserError(place, f"the targets of {name} raised {line_of(error, 200)}") from error
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        kind = f"{targets.dtype} of shape {targets.shape}"
        raise UserError(place, f"the targets of {name} are {kind}; give one whole number an image")
    if len(targets) != images:
        fault = f"{name} has {images} images and {len(targets)} targets; there must be one each"
        raise UserError(place, fault)
    return targets.astype(np.int64)


def _shape(place: str, dataset: Any) -> tuple[int, int, int]:
    pixels, _ = _item(f"{place} train", dataset, 0)
    channels, height, width = pixels.shape
    if not (1 <= channels <= MOST_CHANNELS and height and width):
        fault = f"train[0] has the shape {pixels.shape}; give (C, H, W) with at most "
        raise UserError(place, f"{fault}{MOST_CHANNELS} channels")
    return channels, height, width


def _length(place: str, dataset: Any) -> int:
    try:
        return len(dataset)
    except TypeError:
        fault = f"returned a {type(dataset).__name__} without a length; give a map-style dataset"
        raise UserError(place, fault) from None


def _item(place: str, dataset: Any, row: int) -> tuple[np.ndarray, int]:
    try:
        image, label = dataset[row]
        pixels, number = np.asarray(image), int(label)
    except UserError:
        raise
    except Exception as error:  # the user's code: anything
        fault = f"[{row}] gives no (image, label): {line_of(error, 200)}; mend or leave it out"
        raise UserError(place, fault) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        fault = f"[{row}] is {pixels.dtype} of shape {pixels.shape}; give uint8 of shape (C, H, W)"
        raise UserError(place, fault)
    return pixels, number


def _classes(place: str, names: Any, train: Items) -> tuple[str, ...]:
    if names is None:
        names = range(int(train.labels.max()) + 1)
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise UserError(place, f"returned classes of {names!r:.80}; give a list of names")
    return tuple(str(name) for name in names)
