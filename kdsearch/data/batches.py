"""Batches from a set that stays on the device: no worker processes, no loop over samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from kdsearch.data.augment import AUGMENTATIONS
from kdsearch.data.counter import stream_seed
from kdsearch.data.images import Batch, ImageData, Split
from kdsearch.data.normalise import Normalise

# Of the views, whatever the search's seed. Negative: no training has it, so that a teacher has seen
# none of them in its own.
VIEW_SEED = -1

SplitName = Literal["train", "validation", "test"]


class Batches:
    """The batches of one trial.

    A split is copied to the device when it is first asked for, as uint8, and stays. Pixels become
    floats batch by batch: on a CPU that takes no longer than fetching four times as many bytes
    from a set normalised in advance, and a quarter of the memory.

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
        self._resident: dict[SplitName, Split] = {}

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

    def epoch(self, number: int) -> Iterator[Batch]:
        """The training split, shuffled and augmented by the seed and the epoch's number."""
        _, labels = self._on_device("train")
        random = torch.Generator().manual_seed(stream_seed(self.seed, number))
        order = torch.randperm(len(labels), generator=random).to(self.device)
        view = None if self.views is None else view_of(self.seed, number, self.views)
        for index in order.split(self.batch_size)[: self.steps_per_epoch]:
            if view is None:
                yield self.augmented(index, number, self.seed)
            else:
                yield self.seen(index, view)

    def augmented(self, index: Tensor, number: int, seed: int) -> Batch:
        """Rows of the training split as the epoch of this number and seed shows them."""
        images, labels = self._on_device("train")
        pixels = self._augment(images.index_select(0, index), index, seed, number)
        return Batch(self.normalise(pixels), labels.index_select(0, index), index)

    def seen(self, index: Tensor, view: int) -> Batch:
        """Rows of the training split as a view shows them, to all trials of all searches."""
        return self.augmented(index, view, VIEW_SEED)._replace(view=view)

    def whole_view(self, view: int, batch_size: int = 1000) -> Iterator[Batch]:
        """One view of the training split, in order."""
        rows = torch.arange(len(self.data.train.labels), device=self.device)
        for index in rows.split(batch_size):
            yield self.seen(index, view)

    def validation(self, batch_size: int = 1000) -> Iterator[Batch]:
        """The validation split; see `evaluation`."""
        return self.evaluation("validation", batch_size)

    def evaluation(self, split: SplitName, batch_size: int = 1000) -> Iterator[Batch]:
        """All samples of one split, in order, as they are; `index` is the row in that split."""
        images, labels = self._on_device(split)
        index = torch.arange(len(labels), device=self.device)
        for start in range(0, len(labels), batch_size):
            part = slice(start, start + batch_size)
            yield Batch(self.normalise(images[part]), labels[part], index[part])

    def _on_device(self, name: SplitName) -> Split:
        if name not in self._resident:
            split: Split = getattr(self.data, name)
            self._resident[name] = Split(*(self._moved(tensor) for tensor in split))
        return self._resident[name]

    def _moved(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()  # or the copy would hold up this thread
        return tensor.to(self.device, non_blocking=True)


def view_of(seed: int, epoch: int, views: int) -> int:
    """The view that an epoch shows: each one once in every `views` epochs, from the first on.

    Their order is drawn anew each time round, from the trial's seed.
    """
    turn, place = divmod(epoch - 1, views)
    # Negative: the order of samples has the streams of the epochs themselves.
    random = torch.Generator().manual_seed(stream_seed(seed, -1 - turn))
    return int(torch.randperm(views, generator=random)[place])
