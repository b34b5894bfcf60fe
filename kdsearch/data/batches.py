"""Batches of whole tensors: no worker processes, no loop over samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kdsearch.data.augment import AUGMENTATIONS
from kdsearch.data.counter import stream_seed
from kdsearch.data.fetching import fetched, stays
from kdsearch.data.images import Batch, ImageData
from kdsearch.data.normalise import Normalise

# Of the views, whatever the search's seed. Negative: no training has it, so that a teacher has seen
# none of them in its own.
VIEW_SEED = -1

# Places of a batch in evaluation, for the activations there. On a CPU a map of 32 channels is then
# 32 MiB, up to which memory is used again without a fault a page: twice as fast as a thousand.
LARGE_CPU, LARGE_GPU = 2**18, 2**23
SMALL = 2**17  # pixels of the batches that are augmented at once; more of them leave the cache
PINNED = 4096  # images that are pinned at a time on their way to a GPU

SplitName = Literal["train", "validation", "test"]


class _Placed(NamedTuple):
    """A split, its labels on the device, and its images if they are `resident`."""

    images: Tensor
    labels: Tensor
    resident: bool


class Batches:
    """The batches of one trial.

    A split is copied to the device when it is first asked for, as uint8, and stays. One that is
    mapped from files, or for which a GPU has no room, stays on the host: its rows are fetched two
    batches ahead, and everything else is the same to the last bit. Pixels become floats batch by
    batch: on a CPU that takes no longer than fetching four times as many bytes from a set
    normalised in advance, and a quarter of the memory.

    Parameters
    ----------
    data : ImageData
    batch_size : int
    augment : str
        A row of `AUGMENTATIONS`.
    seed : int
        With the number of the epoch, all that order and augmentation depend on; the device is not
        part of it.
    device : torch.device or str
    views : int or None
        How many augmented versions of each image the epochs take in turn; None: every epoch is
        augmented anew.

    Raises
    ------
    ValueError
        A batch size or a number of views below 1, or an unknown augmentation.
    """

    def __init__(
        self,
        data: ImageData,
        batch_size: int,
        augment: str = "none",
        seed: int = 0,
        device: torch.device | str = "cpu",
        views: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if views is not None and views < 1:
            raise ValueError(f"views must be at least 1, got {views}")
        if augment not in AUGMENTATIONS:
            raise ValueError(f"augment is {augment!r}; it must be one of {sorted(AUGMENTATIONS)}")
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.views = views
        self.device = torch.device(device)
        self.normalise = Normalise(data.mean, data.std).to(self.device)
        self._augment = AUGMENTATIONS[augment]
        means = [round(255 * mean) for mean in data.mean]
        self._fill = torch.tensor(means, dtype=torch.uint8, device=self.device)
        self._placed: dict[SplitName, _Placed] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Batches that `epoch` yields.

        An incomplete last batch counts if it has at least two samples and half a batch, or is the
        only one. A smaller one is left out: batch normalisation would take its statistics from a
        few samples and, with a single one, fail. The order changes from epoch to epoch, so no
        sample is left out for good.
        """
        full, rest = divmod(len(self.data.train.labels), self.batch_size)
        return full + (full == 0 or (rest >= 2 and 2 * rest >= self.batch_size))

    @property
    def large(self) -> int:
        """Images of a batch that nobody learns from: a thousand, or fewer where they are large."""
        _, height, width = self.data.shape
        places = LARGE_GPU if self.device.type == "cuda" else LARGE_CPU
        return max(1, min(1000, places // (height * width)))

    def epoch(self, number: int) -> Iterator[Batch]:
        """The training split, shuffled and augmented by the seed and the epoch's number."""
        random = torch.Generator().manual_seed(stream_seed(self.seed, number))
        order = torch.randperm(len(self.data.train.labels), generator=random)
        view = None if self.views is None else view_of(self.seed, number, self.views)
        shown = (number, self.seed) if view is None else (view, VIEW_SEED)
        order = order[: self.steps_per_epoch * self.batch_size]
        yield from self._batches(order, self.batch_size, *shown, view)

    def augmented(self, index: Tensor, number: int, seed: int) -> Batch:
        """Rows of the training split as the epoch of this number and seed shows them."""
        placed = self._on_device("train")
        rows = index if placed.resident else index.cpu()
        images = placed.images.index_select(0, rows).to(self.device)
        return self._shown(placed, images, index, number, seed)

    def seen(self, index: Tensor, view: int) -> Batch:
        """Rows of the training split as a view shows them, to all trials of all searches."""
        return self.augmented(index, view, VIEW_SEED)._replace(view=view)

    def whole_view(self, view: int, batch_size: int | None = None) -> Iterator[Batch]:
        """One view of the training split, in order."""
        rows = torch.arange(len(self.data.train.labels))
        yield from self._batches(rows, batch_size or self.large, view, VIEW_SEED, view)

    def validation(self, batch_size: int | None = None) -> Iterator[Batch]:
        """The validation split; see `evaluation`."""
        return self.evaluation("validation", batch_size)

    def evaluation(self, split: SplitName, batch_size: int | None = None) -> Iterator[Batch]:
        """All samples of one split, in order, as they are; `index` is the row in that split."""
        placed = self._on_device(split)
        batch_size = batch_size or self.large
        rows = torch.arange(len(placed.labels))
        numbers = rows.to(self.device).split(batch_size)
        if placed.resident:
            images: Iterable[Tensor] = placed.images.split(batch_size)
        else:
            images = fetched(placed.images, rows.split(batch_size), self.device)
        labels = placed.labels.split(batch_size)
        for some, own, index in zip(images, labels, numbers, strict=True):
            yield Batch(self.normalise(some), own, index)

    def _batches(
        self, order: Tensor, size: int, number: int, seed: int, view: int | None
    ) -> Iterator[Batch]:
        """Rows of the training split in this order, augmented."""
        placed = self._on_device("train")
        # Of tiny images several batches at once: else it is calls that take the time, not pixels.
        several = size * max(1, SMALL // (size * prod(self.data.shape)))
        numbers = order.to(self.device).split(several)
        if placed.resident:
            images = (placed.images.index_select(0, index) for index in numbers)
        else:
            images = fetched(placed.images, order.split(several), self.device)
        for index, some in zip(numbers, images, strict=True):
            shown = self._shown(placed, some, index, number, seed, view)
            inputs, labels, rows = (tensor.split(size) for tensor in shown[:3])
            for parts in zip(inputs, labels, rows, strict=True):
                yield Batch(*parts, view)

    def _shown(
        self,
        placed: _Placed,
        images: Tensor,
        index: Tensor,
        number: int,
        seed: int,
        view: int | None = None,
    ) -> Batch:
        pixels = self._augment(images, index, seed, number, self._fill)
        return Batch(self.normalise(pixels), placed.labels.index_select(0, index), index, view)

    def _on_device(self, name: SplitName) -> _Placed:
        if name not in self._placed:
            images, labels = getattr(self.data, name)
            mapped = self.data.folder is not None and self.device.type != "cuda"
            resident = not mapped and stays(images, self.device)
            images = self._moved(images) if resident else images
            self._placed[name] = _Placed(images, self._moved(labels), resident)
        return self._placed[name]

    def _moved(self, tensor: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return tensor.to(self.device)
        moved = torch.empty_like(tensor, device=self.device)
        # Pinned, or the copy would hold up this thread; some at a time, for a set may be large.
        for part, target in zip(tensor.split(PINNED), moved.split(PINNED), strict=True):
            target.copy_(part.pin_memory(), non_blocking=True)
        return moved


def view_of(seed: int, epoch: int, views: int) -> int:
    """The view that an epoch shows: each one once in every `views` epochs, from the first on.

    Their order is drawn anew each time round, from the trial's seed.
    """
    turn, place = divmod(epoch - 1, views)
    # Negative: the order of samples has the streams of the epochs themselves.
    random = torch.Generator().manual_seed(stream_seed(seed, -1 - turn))
    return int(torch.randperm(views, generator=random)[place])
