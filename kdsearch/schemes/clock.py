"""Where the time of a training goes: seconds by part, taken only when somebody asks."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

Item = TypeVar("Item")
NOTHING = nullcontext()


class Clock:
    """Takes no time: what a training is given that nobody looks at."""

    def part(self, name: str) -> AbstractContextManager[None]:
        """A block whose time belongs to the part `name`."""
        return NOTHING

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time that making them takes belongs to the part `name`."""
        return iter(items)


class Stopwatch(Clock):
    """Adds up seconds by part; the time of an inner block is not the outer one's.

    On a GPU every border waits for what was asked of it: parts that overlap without a stopwatch
    stand one after another with it, and their sum is more than a training takes.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    seconds : dict of str to float
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._cuda = device.type == "cuda"
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def part(self, name: str) -> AbstractContextManager[None]:
        """A block whose time belongs to the part `name`."""
        return self._timed(name)

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time that making them takes belongs to the part `name`."""
        iterator = iter(items)
        while True:
            with self._timed(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _turn(self) -> None:
        """The time since the last border belongs to the innermost open part."""
        if self._cuda:
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now
