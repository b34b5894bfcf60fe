"""Photos in one folder a class, resized once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdsearch.config import DataConfig
from kdsearch.data.source import Items, Listed, Outline, Root, needed_root, outline_of
from kdsearch.errors import UserError

Listing = list[tuple[str, int]]  # path and label


class Listings(NamedTuple):
    """The files of both sets, sorted, and the classes that the folder names give."""

    train: Listing
    test: Listing | None
    classes: tuple[str, ...]


def read(config: DataConfig, root: Root) -> Listed:
    """Colour images of shape (3, size, size): shorter side resized, centre cropped.

    Two layouts: ``root/train/<class>/…``, with ``root/test/<class>/…`` if there is a test set, or
    ``root/<class>/…``. Names, sizes and times of change of the files tell one state of the set from
    another.

    Raises
    ------
    UserError
        No `config.size`, a folder without classes, a class without images, or other classes in
        the test set; when it is read, a file that is not an image.
    """
    size, listed = _size(config), _listings(config, root)
    test = None if listed.test is None else _items(listed.test, size)
    version = partial(_version, [*listed.train, *(listed.test or [])], str(root), size)
    return Listed(_items(listed.train, size), test, listed.classes, (3, size, size), version)


def outline(config: DataConfig, root: Root) -> Outline:
    """The shape and the classes, from the names of the folders and files alone."""
    return outline_of(read(config, root))


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


def _items(listing: Listing, size: int) -> Items:
    labels = np.array([label for _, label in listing], dtype=np.int64)
    return Items(labels, partial(_pixels, [path for path, _ in listing], size), forked=True)


def _version(listing: Listing, root: str, size: int) -> str:
    import PIL

    digest = hashlib.sha256(f"Pillow {PIL.__version__}, {size}".encode())
    for path, _ in listing:
        try:
            found = os.stat(path)
        except OSError as error:  # a link to nowhere
            fault = f"{path} cannot be read ({error.strerror}); replace or remove it"
            raise UserError("data.root", fault) from None
        name = os.path.relpath(path, root)
        digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _pixels(paths: Sequence[str], size: int, row: int) -> np.ndarray:
    from PIL import Image, ImageOps

    path = paths[row]
    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):  # `convert` would cut everything off at 255
                fault = f"{path} has more than 8 bits a pixel (mode {file.mode}); write it with 8"
                raise UserError("data.root", fault)
            fitted = ImageOps.fit(file.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except UserError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            "data.root", f"{path} cannot be read as an image ({error}); replace or remove it"
        ) from error
    return np.asarray(fitted).transpose(2, 0, 1)
