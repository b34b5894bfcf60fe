"""What a teacher says of every view of every training image: computed once, read by all trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdsearch.config import StoreConfig
from kdsearch.data.images import Batch, borrowed
from kdsearch.errors import UserError
from kdsearch.students.outputs import Outputs
from kdsearch.teachers.parts import SMALL, outputs_of
from kdsearch.teachers.top_k import Largest, fill_in, keep_largest

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class TeacherStore:
    """Outputs of one teacher under one augmentation.

    Travels as NumPy buffers, which workers map without a copy, or as the names of files that they
    map.

    Attributes
    ----------
    arrays : mapping of str to tuple of array
        Part of `Outputs` -> arrays of shape (V, N, ...): one for logits and pooled, one a stage
        for the others. Logits of which the largest are kept have the three of `Largest`.
    views : int
        V.
    classes : int
        Columns of the logits.
    dtype : str
        Of the arrays; what is read is float32.
    top_k : int or None
        Logits kept of each image.
    files : mapping of str to tuple of Path
        Where the arrays are kept, if they are.
    mapped : bool
        Travel as the names of the files.
    """

    arrays: Mapping[str, Arrays]
    views: int
    classes: int
    dtype: str = "float16"
    top_k: int | None = None
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    mapped: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for arrays in self.arrays.values() for array in arrays)

    def serves(self, config: StoreConfig, views: int | None, taps: frozenset[str]) -> bool:
        """Whether a trial of this config reads these parts here, rather than run the teacher."""
        if views is None or (config.features == "never" and not taps <= SMALL):
            return False
        same = (self.dtype, self.top_k) == (config.dtype, config.top_k)
        return same and views <= self.views and taps <= self.arrays.keys()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "arrays": None if self.mapped else self.arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["arrays"] is None:
            state["arrays"] = {
                part: tuple(np.load(path, mmap_mode="r")[: state["views"]] for path in paths)
                for part, paths in state["files"].items()
            }
        self.__dict__.update(state)


class StoredTeacher:
    """A frozen teacher whose outputs are read from a store, by view and row.

    Parameters
    ----------
    store : TeacherStore
        Of the augmentation that the batches have, and of all views that they show.
    taps : frozenset of str
        The parts that are read, all of them in the store.
    """

    def __init__(self, store: TeacherStore, taps: frozenset[str]) -> None:
        self._store, self._taps = store, taps
        self._outputs = outputs_of(taps)
        self._shown: tuple[int | None, torch.device | None] = None, None
        self._rows: dict[str, tuple[Tensor, ...]] = {}

    def outputs(self, batch: Batch) -> Outputs:
        """The rows of the batch in float32, on its device.

        Raises
        ------
        ValueError
            A batch that is no view of the store.
        """
        if batch.view is None or batch.view >= self._store.views:
            raise ValueError(f"view {batch.view} is none of the store's {self._store.views}")
        if self._shown != (batch.view, batch.index.device):
            self._show(batch.view, batch.index.device)
        read: dict[str, Any] = {}
        for part, rows in self._rows.items():
            found = tuple(row.index_select(0, batch.index) for row in rows)
            read[part] = _unpacked(part, found, self._store.classes)
        return self._outputs(**{"logits": None, **read})

    def observe(self, batch: Batch, student: Outputs, outputs: Outputs) -> None:
        """What is written down learns nothing."""

    def _show(self, view: int, device: torch.device) -> None:
        # On a CPU this copies nothing; a GPU gets a view at a time, once an epoch.
        self._rows = {
            part: tuple(borrowed(array[view]).to(device) for array in self._store.arrays[part])
            for part in sorted(self._taps)
        }
        self._shown = view, device


def packed(outputs: Outputs, part: str, dtype: str, top_k: int | None) -> Arrays:
    """A part of a batch's outputs as a store keeps it.

    Raises
    ------
    UserError
        Values beyond the range of `dtype`.
    """
    logits = outputs.logits
    if part == "logits" and top_k is not None and top_k < logits.shape[1]:
        largest = keep_largest(logits.float(), top_k)
        classes = largest.classes.to(class_dtype(logits.shape[1]))
        return (
            _narrowed(largest.values, part, dtype),
            classes.cpu().numpy(),
            _narrowed(largest.rest, part, dtype),
        )
    value = getattr(outputs, part)
    tensors: Iterable[Tensor] = (value,) if part in SMALL else value
    return tuple(_narrowed(tensor, part, dtype) for tensor in tensors)


def class_dtype(classes: int) -> torch.dtype:
    """The smallest type that holds a class's number."""
    return torch.int16 if classes <= 2**15 else torch.int32


def _narrowed(tensor: Tensor, part: str, dtype: str) -> np.ndarray:
    narrow = tensor.to(getattr(torch, dtype))
    if not narrow.isfinite().all():
        fault = f"the teacher's {part} reach {tensor.abs().max().item():.3g}, more than {dtype} has"
        raise UserError("store.dtype", f"{fault}; write float32, or views: live")
    return narrow.cpu().numpy()


def _unpacked(part: str, found: tuple[Tensor, ...], classes: int) -> Any:
    if part == "logits" and len(found) == 3:
        values, places, rest = found
        return fill_in(Largest(values.float(), places, rest.float()), classes)
    whole = tuple(tensor.float() for tensor in found)
    return whole[0] if part in SMALL else whole
