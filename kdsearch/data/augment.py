"""Augmentation of a whole batch at once, replayable sample by sample."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.data.counter import bits


class Augmentation(Protocol):
    """A row of `AUGMENTATIONS`.

    What a sample gets depends on its number, the seed and the epoch alone: not on its company, the
    order or the device.
    """

    def __call__(
        self, images: Tensor, index: Tensor, seed: int, epoch: int, fill: Tensor | None = None
    ) -> Tensor:
        """Images of shape (B, C, H, W), uint8 both ways, on one device.

        Parameters
        ----------
        images : Tensor of shape (B, C, H, W), uint8
        index : Tensor of shape (B,), int64
            Number of each sample.
        seed, epoch : int
        fill : Tensor of shape (C,), uint8, or None
            What stands where something is cut out: the mean of each channel. None: black.
        """
        ...


def none(
    images: Tensor, index: Tensor, seed: int, epoch: int, fill: Tensor | None = None
) -> Tensor:
    """The images as they are."""
    return images


def crop(
    images: Tensor, index: Tensor, seed: int, epoch: int, fill: Tensor | None = None
) -> Tensor:
    """Each image shifted by up to an eighth of its height, on a black ground.

    The usual padded random crop: four pixels at 32x32.
    """
    down, right, _ = _draws(images, index, seed, epoch)
    return _shift(images, down, right, None)


def crop_flip(
    images: Tensor, index: Tensor, seed: int, epoch: int, fill: Tensor | None = None
) -> Tensor:
    """As `crop`, and every second image, by chance, mirrored left to right."""
    return _shift(images, *_draws(images, index, seed, epoch))


def cutout(
    images: Tensor, index: Tensor, seed: int, epoch: int, fill: Tensor | None = None
) -> Tensor:
    """One square of each image filled (DeVries & Taylor, 2017, arXiv:1708.04552).

    Its centre is any pixel of the image, so that part of it may lie outside; its side is a quarter
    of the height, eight pixels at 32x32: the paper's for CIFAR-100 (for CIFAR-10 it takes 16).

    Departs: the paper cuts after normalisation, and its zeros are the mean. Here pixels are bytes
    still, so the square takes the mean of each channel, rounded: after normalisation zero to within
    half a grey level.
    """
    height, width = images.shape[2:]
    side = max(1, height // 4)
    row, column = _centres(images, index, seed, epoch)
    rows = torch.arange(height, device=images.device) - (row[:, None] - side // 2)
    columns = torch.arange(width, device=images.device) - (column[:, None] - side // 2)
    inside = ((rows >= 0) & (rows < side))[:, None, :, None]
    inside = inside & ((columns >= 0) & (columns < side))[:, None, None, :]
    ground = images.new_zeros(images.shape[1]) if fill is None else fill
    return torch.where(inside, ground[:, None, None], images)


def crop_flip_cutout(
    images: Tensor, index: Tensor, seed: int, epoch: int, fill: Tensor | None = None
) -> Tensor:
    """As `crop_flip`, and then as `cutout`."""
    return cutout(crop_flip(images, index, seed, epoch), index, seed, epoch, fill)


AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": crop,
    "crop_flip": crop_flip,
    "crop_flip_cutout": crop_flip_cutout,
    "cutout": cutout,
    "none": none,
}


def padding(images: Tensor) -> int:
    """Black pixels added to each side before a crop: an eighth of the height, at least one."""
    return max(1, images.shape[2] // 8)


def _draws(images: Tensor, index: Tensor, seed: int, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
    """First row and column of each crop, 0 to twice the padding, and whether it is mirrored."""
    word, places = bits(seed, epoch, index), 2 * padding(images) + 1
    row = ((word & 0xFFFF) * places) >> 16
    column = (((word >> 16) & 0xFFFF) * places) >> 16
    return row, column, (word >> 32) & 1 == 1


def _centres(images: Tensor, index: Tensor, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """Row and column of the middle of each cut, any of the image; from bits no crop reads."""
    word, (height, width) = bits(seed, epoch, index), images.shape[2:]
    return ((word >> 33) & 0x7FFF) * height >> 15, (word >> 48) * width >> 15


def _shift(images: Tensor, row: Tensor, column: Tensor, mirrored: Tensor | None) -> Tensor:
    batch, channels, height, width = images.shape
    pad = padding(images)
    # One gather over flat pixels: four times as fast as indexing rows and columns apart.
    ground = F.pad(images, (pad, pad, pad, pad)).flatten(2)
    rows = torch.arange(height, device=images.device) + row[:, None]
    columns = torch.arange(width, device=images.device)
    if mirrored is not None:
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    columns = columns + column[:, None]
    pixel = rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]
    index = pixel.view(batch, 1, -1).expand(-1, channels, -1)
    return ground.gather(2, index).view(batch, channels, height, width)
