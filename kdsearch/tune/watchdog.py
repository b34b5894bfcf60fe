"""Ends a worker whose training hangs: another one goes on with the trial."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

FIRST_SECONDS = 3600.0  # for the first epoch of a worker, of which nothing is known
LEAST_SECONDS = 300.0  # for any other: a disk or a network may well stand still for a while
TIMES = 20.0  # as long as the longest epoch so far
EXIT_CODE = 97


def _die() -> None:
    os._exit(EXIT_CODE)  # what hangs can be ended in no other way


class Watchdog:
    """Barks when an epoch takes much longer than those before it.

    It is a thread of the worker itself, so it needs nobody who reaches the worker from outside. A
    call that never gives the interpreter back cannot be seen from here.

    Parameters
    ----------
    bark : callable
        Called once, from another thread; by default it ends this process.
    """

    def __init__(self, bark: Callable[[], None] = _die) -> None:
        self.bark = bark
        self.longest: float | None = None
        self._until: float | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def limit(self) -> float:
        """Seconds that the next epoch may take."""
        if self.longest is None:
            return FIRST_SECONDS
        return max(LEAST_SECONDS, TIMES * self.longest)

    def begin(self) -> None:
        """An epoch begins now."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        self._set(time.monotonic() + self.limit)

    def end(self, seconds: float) -> None:
        """The epoch took so long."""
        self.longest = max(seconds, self.longest or 0.0)
        self.rest()

    def rest(self) -> None:
        """Nothing is watched until the next epoch begins."""
        self._set(None)

    def _set(self, until: float | None) -> None:
        with self._changed:
            self._until = until
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                left = None if self._until is None else self._until - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
        self.bark()
