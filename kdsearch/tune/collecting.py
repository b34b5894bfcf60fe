"""Python's collector of garbage, kept from holding up a driver that remembers a long search."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WHOLE = 2  # the generation of a whole collection
OFTEN = 2  # whole collections: after so many of the middle generation, where Python waits for ten


@contextmanager
def short_collections() -> Iterator[None]:
    """While it holds, what has survived a whole collection is not looked at again.

    The log of a search stays in memory: a million objects that are never garbage, and every whole
    collection goes through all of them. What is given up: a cycle that is dropped after it has
    survived one is garbage that stays until the end.
    """

    def collected(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == WHOLE:
            gc.freeze()

    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()  # of nothing: from here on a whole one comes when there is little to look at,
    gc.set_threshold(*thresholds[:2], OFTEN)
    gc.callbacks.append(collected)
    try:
        yield
    finally:
        gc.callbacks.remove(collected)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
