"""Photos in one folder a class, resized once and kept in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data.images import Split
from kdsearch.data.source import Outline, Raw, Root, needed_root
from kdsearch.errors import UserError

Listing = list[tuple[str, int]]  # path and label


class Listings(NamedTuple):
    """The files of both sets, sorted, and the classes that the folder names give."""

    train: Listing
    test: Listing | None
    classes: tuple[str, ...]


def read(config: DataConfig, root: Root) -> Raw:
    """Colour images of shape (3, size, size): shorter side resized, centre cropped.

    Two layouts: ``root/train/<class>/…``, with ``root/test/<class>/…`` if there is a test set, or
    ``root/<class>/…``.

    Raises
    ------
    UserError
        No `config.size`, a folder without classes, a class without images, other classes in
        the test set, or a file that is not an image.
    """
    size, listed = _size(config), _listings(config, root)
    test = None if listed.test is None else _split(listed.test, size)
    return Raw(_split(listed.train, size), test, listed.classes)


def outline(config: DataConfig, root: Root) -> Outline:
    """The shape and the classes, from the names of the folders and files alone."""
    size, listed = _size(config), _listings(config, root)
    return Outline((3, size, size), listed.classes, len(listed.train), listed.test is not None)


def _size(config: DataConfig) -> int:
    if config.size is None:
        raise UserError("data.size", "image_folder needs the side of its images in pixels, e.g. 64")
    return config.size


def _listings(config: DataConfig, root: Root) -> Listings:
    folder = needed_root(config, root)
    if not (folder / "train").is_dir():
        listing, classes = _listing(folder)
        return Listings(listing, None, classes)
    train, classes = _listing(folder / "train")
    if not (folder / "test").is_dir():
        return Listings(train, None, classes)
    test, test_classes = _listing(folder / "test")
    if odd := sorted(set(classes) ^ set(test_classes)):
        raise UserError("data.root", f"class {odd[0]!r} is in only one of train and test: {folder}")
    return Listings(train, test, classes)


def _listing(folder: Path) -> tuple[Listing, tuple[str, ...]]:
    from torchvision.datasets import ImageFolder  # 2 s to import: not before it is needed

    try:
        found = ImageFolder(folder)
    except OSError as error:  # no folder of a class in it, or one without a single image
        fault = str(error).split(" Supported")[0]
        raise UserError(
            "data.root", f"{fault} It must hold one folder a class, each with images"
        ) from error
    return found.samples, tuple(found.classes)


def _split(listing: Listing, size: int) -> Split:
    images = np.empty((len(listing), 3, size, size), dtype=np.uint8)
    with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter lock
        for row, pixels in enumerate(pool.map(lambda item: _pixels(item[0], size), listing)):
            images[row] = pixels
    return Split(torch.from_numpy(images), torch.tensor([label for _, label in listing]))


def _pixels(path: str, size: int) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            fitted = ImageOps.fit(file.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            "data.root", f"{path} cannot be read as an image ({error}); replace or remove it"
        ) from error
    return np.asarray(fitted).transpose(2, 0, 1)
