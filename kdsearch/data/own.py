"""A user's own images, from a function named as ``module:callable``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data.dataset import MOST_CHANNELS, datasets_of
from kdsearch.data.images import Split
from kdsearch.data.source import Listed, Outline, Raw, Root, check_raw, outline_of
from kdsearch.errors import UserError

KEYS = ("train_images", "train_labels", "test_images", "test_labels", "classes")


def read(config: DataConfig, root: Root, base: Path | None = None) -> Raw | Listed:
    """What the user's function returns, checked: arrays, or datasets (see `datasets_of`).

    The function is called with ``root=`` the resolved root or None. It returns a mapping with the
    keys of `KEYS`, or a tuple in their order; only the first two are needed. Images are uint8
    arrays of shape (N, C, H, W), (N, H, W, C) or (N, H, W) with at most four channels (where both
    readings fit, channels come first); labels are whole numbers from 0.

    Parameters
    ----------
    config : DataConfig
    root : Path or None
    base : Path or None
        The search file's folder: modules beside it are found.

    Raises
    ------
    UserError
        A function that is not there or fails, or returns something else.
    """
    place = f"data.name {config.name!r}"
    function = _function(place, config.name, base)
    try:
        returned = function(root=root)
    except Exception as error:  # the user's code: anything
        raise UserError(place, f"raised {type(error).__name__}: {error}") from error
    if (listed := datasets_of(place, returned)) is not None:
        return listed
    parts = _parts(place, returned)
    train = _split(place, "train", parts["train_images"], parts["train_labels"])
    test = None
    if parts["test_images"] is not None:
        test = _split(place, "test", parts["test_images"], parts["test_labels"])
    return check_raw(place, Raw(train, test, _classes(place, parts["classes"], train)))


def outline(config: DataConfig, root: Root, base: Path | None = None) -> Outline:
    """As the function's images are: nothing is known of them before it is called."""
    raw = read(config, root, base)
    if isinstance(raw, Listed):
        return outline_of(raw)
    _, channels, height, width = raw.train.images.shape
    return Outline(
        (channels, height, width), raw.classes, len(raw.train.labels), raw.test is not None
    )


def _function(place: str, name: str, base: Path | None) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    try:
        with _importable(base):
            function = getattr(importlib.import_module(module_name), attribute, None)
    except Exception as error:  # running a module can raise anything
        raise UserError(
            place,
            f"{module_name!r} cannot be imported ({error}); it must stand beside the search file "
            "or on PYTHONPATH",
        ) from error
    if not callable(function):
        raise UserError(place, f"{module_name} has no function {attribute!r}")
    return function


@contextmanager
def _importable(base: Path | None) -> Iterator[None]:
    """The search file's folder, last on the import path for as long as the import takes."""
    entry = str(base) if base is not None else ""
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _parts(place: str, returned: Any) -> dict[str, Any]:
    if isinstance(returned, Mapping):
        if unknown := sorted(str(key) for key in returned.keys() - set(KEYS)):
            raise UserError(place, f"returned the key {unknown[0]!r}; it knows {', '.join(KEYS)}")
        given = dict(returned)
    elif isinstance(returned, tuple) and 2 <= len(returned) <= len(KEYS):
        given = dict(zip(KEYS, returned, strict=False))
    else:
        kind = type(returned).__name__
        raise UserError(
            place, f"returned a {kind}; it must be a mapping or tuple of {KEYS}, or a dataset"
        )
    parts = {key: given.get(key) for key in KEYS}
    for key in ("train_images", "train_labels"):
        if parts[key] is None:
            raise UserError(place, f"returned no {key}")
    if (parts["test_images"] is None) != (parts["test_labels"] is None):
        raise UserError(place, "returned only one of test_images and test_labels; give both")
    return parts


def _classes(place: str, names: Any, train: Split) -> tuple[str, ...]:
    if names is None:
        names = range(int(train.labels.max()) + 1) if len(train.labels) else ()
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise UserError(place, f"returned classes of {names!r}; give a list of names")
    return tuple(str(name) for name in names)


def _split(place: str, name: str, images: Any, labels: Any) -> Split:
    try:
        pixels, numbers = np.asarray(images), np.asarray(labels)
    except (ValueError, TypeError) as error:  # lists of unequal length, a tensor on a GPU
        raise UserError(place, f"{name} data make no array: {error}") from error
    if pixels.dtype != np.uint8:
        raise UserError(place, f"{name}_images are {pixels.dtype}; give uint8, 0 to 255")
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise UserError(
            place,
            f"{name}_labels are {numbers.dtype} of shape {numbers.shape}; give one whole number "
            "an image",
        )
    pixels = np.ascontiguousarray(_channels_first(place, name, pixels))
    return Split(torch.tensor(pixels), torch.tensor(numbers.astype(np.int64)))


def _channels_first(place: str, name: str, pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 3:
        return pixels[:, None]
    if pixels.ndim == 4 and 1 <= pixels.shape[1] <= MOST_CHANNELS:
        return pixels
    if pixels.ndim == 4 and 1 <= pixels.shape[3] <= MOST_CHANNELS:
        return pixels.transpose(0, 3, 1, 2)
    raise UserError(
        place,
        f"{name}_images have shape {pixels.shape}; give (N, C, H, W), (N, H, W, C) or (N, H, W) "
        f"with at most {MOST_CHANNELS} channels",
    )
