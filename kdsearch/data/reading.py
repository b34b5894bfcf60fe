"""Images read one by one, by as many processes as pay, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kdsearch.data.source import Items
from kdsearch.errors import UserError, line_of

ALONE = 500  # images that one process reads sooner than others have started
MOST = 16  # processes: a disk gives no more
MESSAGE = 2**20  # bytes of images that travel together: containers have little shared memory


def in_order(items: Items, rows: np.ndarray, processes: int | None = None) -> Iterator[Tensor]:
    """The images of these rows, some at a time: the same for any number of processes.

    Parameters
    ----------
    items : Items
    rows : array of shape (N,), int64
    processes : int, optional
        That read; 0: this one alone. By default what pays.

    Yields
    ------
    Tensor of shape (n, C, H, W), uint8

    Raises
    ------
    UserError
        An image that cannot be read, or a process that died.
    """
    if not len(rows):
        return
    if processes is None:
        alone = len(rows) < ALONE or not items.forked
        processes = 0 if alone else min(MOST, _cpus())
    first = items.read(int(rows[0]))
    loader = DataLoader(
        _Chosen(items, rows),
        batch_size=max(1, MESSAGE // first.nbytes),
        num_workers=processes,
        collate_fn=_stacked,
        generator=torch.Generator(),  # or it draws from the global one
    )
    try:
        for found in loader:
            if isinstance(found, UserError):
                raise found
            yield found
    except UserError:
        raise
    except RuntimeError as error:  # what torch says of a process that was killed
        fault = f"a process that reads images died ({line_of(error, 200)}); free some memory"
        raise UserError("data", fault) from None


def _cpus() -> int:
    """CPUs that this process may use, where the system says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Chosen(Dataset[Tensor | UserError]):
    """Some rows. A fault is handed over, for an exception would come out as another one."""

    def __init__(self, items: Items, rows: np.ndarray) -> None:
        self.items, self.rows = items, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Tensor | UserError:
        try:
            return torch.from_numpy(np.array(self.items.read(int(self.rows[number]))))
        except UserError as error:
            return error


def _stacked(found: Sequence[Tensor | UserError]) -> Tensor | UserError:
    fault = next((one for one in found if isinstance(one, UserError)), None)
    return fault or torch.stack([one for one in found if isinstance(one, Tensor)])
