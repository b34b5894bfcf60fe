"""The teacher's outputs for one view after another: a pass of the network each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from kdsearch.allocator import keep_freed_memory
from kdsearch.config import StoreConfig
from kdsearch.data import Batches, ImageData
from kdsearch.teachers.frozen import FrozenTeacher
from kdsearch.teachers.network import network_of
from kdsearch.teachers.record import TeacherRecord
from kdsearch.teachers.store import Arrays, TeacherStore, packed

View = dict[str, Arrays]  # part -> arrays of shape (N, ...)


def compute_views(
    record: TeacherRecord,
    data: ImageData,
    augment: str,
    views: int,
    parts: Sequence[str],
    config: StoreConfig,
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[View]:
    """Every view of the training split as the teacher sees it, in full precision.

    Parameters
    ----------
    parts : sequence of str
        Of `Outputs`.
    config : StoreConfig
        Its `dtype` and `top_k`.

    Raises
    ------
    UserError
        Values beyond the range of the dtype.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    teacher = FrozenTeacher(network_of(record, device))
    batches = Batches(data, 1000, augment, device=device, views=views)
    for view in range(views):
        found: list[View] = []
        for batch in batches.whole_view(view):
            outputs = teacher.outputs(batch)
            found.append({p: packed(outputs, p, config.dtype, config.top_k) for p in parts})
        yield {p: _joined([one[p] for one in found]) for p in parts}


def gathered(views: Iterable[View], classes: int, config: StoreConfig) -> TeacherStore:
    """A store in memory of all views of `compute_views`, under its config."""
    found = list(views)
    arrays = {
        part: tuple(np.stack(each) for each in zip(*(view[part] for view in found), strict=True))
        for part in found[0]
    }
    return TeacherStore(arrays, len(found), classes, config.dtype, config.top_k)


def _joined(found: Sequence[Arrays]) -> Arrays:
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))
