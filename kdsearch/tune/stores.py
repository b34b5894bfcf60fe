"""The teachers' outputs, found or computed once, before any trial; and how workers get them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from kdsearch.architecture import Architecture
from kdsearch.config import StoreConfig
from kdsearch.data import ImageData
from kdsearch.errors import UserError
from kdsearch.teachers import (
    Stock,
    TeacherRecord,
    TeacherStore,
    compute_views,
    origin_of,
    read_part,
    write_parts,
)
from kdsearch.teachers.views import View
from kdsearch.tune.cluster import device_of
from kdsearch.tune.tasks import streamed

FOLDER = "outputs"  # within the teacher's
LARGEST = 0.25  # share of the object store that one store may take; a larger one stays in files
Say = Callable[[str], None]
Compute = Callable[[TeacherRecord, str, int, Sequence[str], StoreConfig], Iterator[View]]


def prepare_store(
    stock: Stock,
    record: TeacherRecord,
    augment: str,
    data: ImageData,
    data_id: str,
    folder: Path,
    say: Say,
    compute: Compute | None = None,
) -> TeacherStore:
    """What is kept of a teacher under one augmentation: read where it is there, else computed.

    Parameters
    ----------
    stock : Stock
        Of the search.
    folder : Path
        Of all teachers: ``results/teachers``.
    say : callable
        Told in one line what was computed, and why where something else stood there.
    compute : callable, optional
        Where the network runs: `on_cluster` gives one; in this process by default.

    Raises
    ------
    UserError
        A disk that cannot be written, or values beyond the range of the dtype.
    """
    config, views = stock.config, stock.views(augment)
    place = folder / record.identity / FOLDER
    origins = {
        part: origin_of(part, record, data, data_id, augment, config) for part in stock.parts
    }
    found: dict[str, dict[Path, np.ndarray]] = {}
    for part, origin in origins.items():
        if (files := read_part(place, origin, views, say)) is not None:
            found[part] = files
    missing = {part: origin for part, origin in origins.items() if part not in found}
    if missing:
        started = time.perf_counter()
        run = compute or _here(data)
        write_parts(place, missing, run(record, augment, views, [*missing], config), views)
        for part, origin in missing.items():
            if (files := read_part(place, origin, views, say)) is None:
                raise UserError(str(place), "is not what was just written; choose other --results")
            found[part] = files
        seconds = time.perf_counter() - started
        what = f"{', '.join(missing)} of {views} view{'s' * (views != 1)} ({augment})"
        say(f"teacher {record.identity}: {what} computed in {seconds:.1f} s")
    return TeacherStore(
        # Plain arrays: a mapped one would be pickled value by value.
        arrays={
            part: tuple(np.asarray(array[:views]) for array in files.values())
            for part, files in found.items()
        },
        views=views,
        classes=Architecture.from_json(record.architecture).classes,
        dtype=config.dtype,
        top_k=config.top_k,
        files={part: tuple(path.resolve() for path in files) for part, files in found.items()},
    )


def on_cluster(shared_data: Any, taken: dict[str, float]) -> Compute:
    """The passes as one Ray task, where the GPUs are; the views come back one by one.

    Parameters
    ----------
    shared_data : ObjectRef
        The data in the object store.
    taken : dict
        ``cpu`` and ``gpu`` that the task takes.
    """
    device, threads = device_of(taken), max(1, int(taken["cpu"]))
    run = streamed(compute_views, taken, _failed)

    def compute(
        record: TeacherRecord, augment: str, views: int, parts: Sequence[str], config: StoreConfig
    ) -> Iterator[View]:
        return run(record, shared_data, augment, views, list(parts), config, device, threads)

    return compute


def _failed(cause: BaseException, line: str) -> UserError:
    if isinstance(cause, UserError):
        return UserError(cause.place, cause.fault)
    return UserError("store", f"the teacher's outputs cannot be computed: {line}")


def travelling(store: TeacherStore) -> TeacherStore:
    """The store as workers are to get it.

    Through the object store, where it comes to every node once and is mapped by its workers. A
    large one would drive all else out of there: where all workers are on this machine they map
    its files instead. On a cluster Ray itself spills what does not fit.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    least = min(node["Resources"].get("object_store_memory", 0.0) for node in nodes)
    return replace(store, mapped=len(nodes) == 1 and store.nbytes > LARGEST * least)


def _here(data: ImageData) -> Compute:
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def compute(
        record: TeacherRecord, augment: str, views: int, parts: Sequence[str], config: StoreConfig
    ) -> Iterator[View]:
        threads = torch.get_num_threads()
        yield from compute_views(record, data, augment, views, parts, config, device, threads)

    return compute
