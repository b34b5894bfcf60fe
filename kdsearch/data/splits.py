"""From a set as its files have it to train, validation and test: stratified, by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdsearch.config import DataConfig
from kdsearch.data.images import ImageData, Split
from kdsearch.data.source import Raw
from kdsearch.errors import UserError

TEST_SHARE = 0.2  # of a set without an official test set
SMALLEST_STD = 1 / 255  # one grey level: a constant channel must not divide by zero


class Sizes(NamedTuple):
    """How many images a config takes of a set; each split has at least one of every class."""

    test: int
    validation: int
    train: int


def sizes(config: DataConfig, images: int, classes: int, has_test: bool) -> Sizes:
    """The size of each split; ``test`` is 0 where there is an official test set.

    Raises
    ------
    UserError
        More images asked for than there are, a single class, or a split with fewer images than
        classes.
    """
    if classes < 2:
        fault = f"{config.name} has {classes} class; two or more can be told apart"
        fault += " (image_folder: give the folder that holds one folder a class)"
        raise UserError("data", fault)
    test = 0 if has_test else max(classes, round(TEST_SHARE * images))
    there = images - test
    chosen = there if config.images is None else config.images
    if chosen > there:
        held = f", {test} more are held out as test" if test else ""
        raise UserError("data.images", f"{chosen} asked for, {config.name} has {there}{held}")
    if chosen < 2 * classes:
        raise UserError(
            "data.images" if config.images else "data",
            f"{chosen} images are fewer than two of each of the {classes} classes, one to train "
            f"and one to validate; at least {2 * classes} are needed",
        )
    validation = round(config.validation * chosen)
    if not classes <= validation <= chosen - classes:
        low, high = classes / chosen, 1 - classes / chosen
        raise UserError(
            "data.validation",
            f"{config.validation} of {chosen} images leaves a split with fewer images than the "
            f"{classes} classes; give {low:.2g} to {high:.2g}, or more images",
        )
    return Sizes(test, validation, chosen - validation)


class Rows(NamedTuple):
    """Which images of a set are in which split, each in the order of the set.

    Attributes
    ----------
    train, validation : array of shape (N,), int64
    test : array of shape (N,), int64, or None
        None: the official test set is the split.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray | None


def rows_of(config: DataConfig, labels: np.ndarray, classes: Sequence[str], test: bool) -> Rows:
    """Test first (where there is no official one), then the chosen images, then validation.

    Every draw keeps the shares of the classes to within one image wherever that leaves each class
    in each split, and has a random stream of its own: other values of `config.images` or
    `config.validation` leave the test set as it is.

    Parameters
    ----------
    labels : array of shape (N,), int64
        Of all images outside an official test set.
    test : bool
        There is an official test set.

    Raises
    ------
    UserError
        As `sizes`; or a class with too few images to be in every split.
    """
    _check_classes(config, labels, classes, test)
    wanted = sizes(config, len(labels), len(classes), test)
    rows, apart = np.arange(len(labels)), None
    if not test:
        apart, rows = _draw(labels, rows, wanted.test, least=1, keep=2, seed=(config.seed, 0))
    chosen = wanted.train + wanted.validation
    rows, _ = _draw(labels, rows, chosen, least=2, keep=0, seed=(config.seed, 1))
    held, rows = _draw(labels, rows, wanted.validation, least=1, keep=1, seed=(config.seed, 2))
    return Rows(rows, held, apart)


def split(config: DataConfig, raw: Raw) -> ImageData:
    """The set in its three splits: see `rows_of`.

    Raises
    ------
    UserError
        As `rows_of`.
    """
    rows = rows_of(config, raw.train.labels.numpy(), raw.classes, raw.test is not None)
    test = raw.test
    if test is None:
        assert rows.test is not None
        test = _take(raw.train, rows.test)
    train, validation = _take(raw.train, rows.train), _take(raw.train, rows.validation)
    mean, std = channel_statistics(train.images)
    return ImageData(config.name, train, validation, test, raw.classes, mean=mean, std=std)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of pixels scaled to 0..1.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W), uint8
    """
    levels = Levels(images.shape[1])
    for part in images.split(4096):
        levels.add(part)
    return levels.statistics()


class Levels:
    """How often each grey level is met: exact, and ten times as fast as summing squares.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        self._counts = torch.zeros(channels, 256, dtype=torch.int64)

    def add(self, images: Tensor) -> None:
        """Count the pixels of images of shape (N, C, H, W), uint8."""
        for counts, channel in zip(self._counts, images.unbind(1), strict=True):
            counts += torch.bincount(channel.flatten(), minlength=256)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, of pixels scaled to 0..1."""
        values = np.arange(256) / 255
        mean, std = [], []
        for counts in self._counts:
            share = counts.numpy() / int(counts.sum())
            mean.append(float(share @ values))
            std.append(max(float(share @ (values - mean[-1]) ** 2) ** 0.5, SMALLEST_STD))
        return tuple(mean), tuple(std)


def _take(source: Split, rows: np.ndarray) -> Split:
    index = torch.from_numpy(rows)
    return Split(source.images.index_select(0, index), source.labels.index_select(0, index))


def _check_classes(
    config: DataConfig, labels: np.ndarray, classes: Sequence[str], test: bool
) -> None:
    needed = 2 if test else 3
    counts = np.bincount(labels, minlength=len(classes))
    smallest = int(counts.argmin())
    if counts[smallest] < needed:
        raise UserError(
            "data",
            f"class {classes[smallest]!r} of {config.name} has {int(counts[smallest])} images; "
            f"to be in every split it needs {needed}: add images, or leave the class out",
        )


def _draw(
    labels: np.ndarray, rows: np.ndarray, take: int, *, least: int, keep: int, seed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """`take` of the rows, stratified, and the other rows; both in the order of the set.

    At least `least` of each class are drawn and at least `keep` stay.
    """
    # RandomState: its stream is frozen, so that a seed means the same split in any NumPy.
    random = np.random.RandomState([seed[0] % 2**32, seed[1]])
    order = rows[np.argsort(labels[rows], kind="stable")]
    counts = np.bincount(labels[rows])
    groups = np.split(order, np.cumsum(counts)[:-1])
    shares = apportion(counts, take, least, counts - keep)
    drawn = [random.permutation(g)[:s] for g, s in zip(groups, shares, strict=True)]
    taken = np.isin(rows, np.concatenate(drawn), assume_unique=True)
    return rows[taken], rows[~taken]


def apportion(counts: np.ndarray, take: int, least: int, most: np.ndarray) -> np.ndarray:
    """Whole shares in proportion to the counts, by largest remainder, within bounds.

    Parameters
    ----------
    counts : array of shape (K,), int
    take : int
        The sum of the shares: from ``K * least`` to ``most.sum()``.
    least, most : int, array of shape (K,), int
        Bounds of each share.
    """
    exact = take * counts / counts.sum()
    shares = np.clip(np.floor(exact).astype(np.int64), least, most)
    while gap := take - int(shares.sum()):
        step = 1 if gap > 0 else -1
        free = shares < most if step > 0 else shares > least
        shares[np.argmax(np.where(free, step * (exact - shares), -np.inf))] += step
    return shares
