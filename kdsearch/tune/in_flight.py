"""Trials that a worker has, and those that wait for one without a proposer being asked."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable

from kdsearch.results.history import Event

MOST_LOSSES = 3  # workers that may die with one trial
# Ends without a failure, after which one trial more may run at a time again: what took the memory
# may have been one student, or another user.
CALM = 20


class InFlight:
    """Who runs, who waits to, and how many may run at a time.

    Parameters
    ----------
    waiting : iterable of dict
        Events of trials that were broken off, with an earlier driver.
    most : float
        Trials at a time that the memory of machines like these has held so far.

    Attributes
    ----------
    running : dict of str to dict
        The event of every trial that a worker has.
    losses : Counter of str
        How many workers died with each trial.
    most : float
        Trials at a time; fewer once one has run out of memory, and more again after a while.
    """

    def __init__(self, waiting: Iterable[Event], most: float = math.inf) -> None:
        self.running: dict[str, Event] = {}
        self.most = max(1, most)
        self._calm = 0
        self._waiting = deque(waiting)
        self.losses: Counter[str] = Counter()

    def __bool__(self) -> bool:
        """Whether anything runs or waits."""
        return bool(self.running or self._waiting)

    @property
    def full(self) -> bool:
        """Whether no more may run at a time."""
        return len(self.running) >= self.most

    def wait(self, *events: Event) -> None:
        """These trials are next, after those that wait already."""
        self._waiting.extend(events)

    def take(self) -> Event | None:
        """The first of those that wait, which waits no more."""
        return self._waiting.popleft() if self._waiting else None

    def lose(self, trial_id: str) -> bool:
        """Its worker died: it waits for another. False where it has lost too many, and stays."""
        self.losses[trial_id] += 1
        if self.losses[trial_id] >= MOST_LOSSES:
            return False
        self.wait(self.running.pop(trial_id))
        return True

    def renew(self, trial_id: str) -> None:
        """Its worker is replaced before it began: it is the next of all that wait."""
        self._waiting.appendleft(self.running.pop(trial_id))

    def crowd(self, running: int) -> bool:
        """The memory was too small for so many at a time: one fewer; whether that is news."""
        before, self.most = self.most, min(self.most, max(1, running - 1))
        self._calm = 0
        return self.most < before

    def eased(self, status: str) -> None:
        """A trial ended: after enough of them the number at a time grows by one."""
        self._calm = 0 if status == "failed" else self._calm + 1
        if self._calm >= CALM:
            self.most, self._calm = self.most + 1, 0
