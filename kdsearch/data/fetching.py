"""Rows of a split that stays on the host, fetched before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

AHEAD = 2  # batches that are fetched while one is trained on
SHARE = 0.25  # of the GPU's free memory that one split may take: other trials are there too


def stays(images: Tensor, device: torch.device) -> bool:
    """Whether a split may stay on the device: on a CPU always, on a GPU where there is room."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= SHARE * free


def fetched(images: Tensor, order: Sequence[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Some rows of the images after others, on the device: a thread of its own gathers them.

    It waits for the disk where they are mapped from files, and for nothing else: whoever trains
    meanwhile is not held up. For a GPU they lie in pinned memory, from which the copy holds nobody
    up either.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W), uint8, on the host
    order : sequence of Tensor of shape (B,), int64, on the host
    """
    waiting: deque[Future[Tensor]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="fetch")
    try:
        for rows in order:
            waiting.append(pool.submit(_gathered, images, rows, device.type == "cuda"))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result().to(device, non_blocking=True)
        while waiting:
            yield waiting.popleft().result().to(device, non_blocking=True)
    finally:  # also when an epoch is left in the middle
        pool.shutdown(cancel_futures=True)


def _gathered(images: Tensor, rows: Tensor, pinned: bool) -> Tensor:
    shape = (len(rows), *images.shape[1:])
    into = torch.empty(shape, dtype=images.dtype, pin_memory=pinned)
    return torch.index_select(images, 0, rows, out=into)
