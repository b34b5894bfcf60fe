"""Carries a working copy to its address while the search writes it, in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from kdsearch.errors import UserError
from kdsearch.results.remote.objects import UnreachableError
from kdsearch.results.remote.rounds import Rounds


class Mirror:
    """Keeps what is at an address so that at any moment it is a search that can go on.

    Where the address does not answer the search goes on for a while, then starts nothing new, then
    stops; nothing is lost, for all of it is on this machine.

    Parameters
    ----------
    rounds : Rounds
        What is put, and in which order.
    """

    def __init__(self, rounds: Rounds) -> None:
        self.rounds, self.objects = rounds, rounds.objects
        self.fault: BaseException | None = None  # what ends the search
        self._wake, self._closing = threading.Event(), threading.Event()
        self._answered, self._since = time.monotonic(), datetime.now().astimezone()
        self._last, self._told = "", False
        self._thread = threading.Thread(target=self._run, name="kdsearch-mirror", daemon=True)
        rounds.told, rounds.go_on = self._answer, self._go_on

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def start(self, log_end: Callable[[], int]) -> None:
        """Begin; `log_end` gives how far the log is on the disk."""
        self.rounds.log_end = log_end
        self._thread.start()
        self._wake.set()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Around every growth of the log.

        Raises
        ------
        UserError
            The address has not answered for too long, or is another's now.
        """
        self.check()
        with self.rounds.still:
            yield
        self._wake.set()

    def check(self) -> None:
        """Find out that the search may go on.

        Raises
        ------
        UserError
            As `recording`.
        """
        if self.fault is not None:
            raise self.fault
        if self._silent() > self.objects.patience.stop:
            self.fault = self._lost("cannot be reached since")
            raise self.fault

    @property
    def paused(self) -> bool:
        """Whether nothing new is to start: the address has not answered for a while.

        Raises
        ------
        UserError
            As `recording`.
        """
        self.check()
        paused = self._silent() > self.objects.patience.pause
        if paused != self._told:
            self._told = paused
            line = "does not answer: nothing new is started until it does" if paused else "answers"
            logging.getLogger("kdsearch").warning("%s %s", self.objects.address.shown, line)
        return paused

    def close(self, finished: bool) -> None:
        """Put what is missing, and say that nobody writes any more.

        Parameters
        ----------
        finished : bool
            Whether there is time for it; else one call's.

        Raises
        ------
        UserError
            It could not be put; everything is on this machine.
        """
        self._closing.set()
        self._wake.set()
        patience, began = self.objects.patience, time.monotonic()
        quiet = patience.closing if finished else patience.request
        while self._thread.is_alive() and self.fault is None:
            if time.monotonic() - max(began, self._answered) > quiet:
                self.fault = self._lost("does not take the end of the search, and is silent since")
            self._thread.join(0.02)
        if self.fault is not None:
            raise self.fault

    # In the thread

    def _run(self) -> None:
        wait, failed = self.objects.patience.again, time.monotonic()
        while self.fault is None:
            last = self._closing.is_set()
            try:
                self._wake.clear()
                self.rounds.go(last)
                if last:
                    return
                self._rest()
            except (UnreachableError, OSError) as error:  # there, or on this machine
                self._last = str(error)
                if self._answered > failed:  # now and then it does
                    wait = self.objects.patience.again
                failed = time.monotonic()
                time.sleep(wait * (0.75 + random.random() / 2))  # not all of a network at once
                wait = min(2 * wait, self.objects.patience.most)
            except BaseException as error:
                self.fault = self.fault or error

    def _rest(self) -> None:
        """Until there is something to put, or a sign of life is due."""
        patience = self.objects.patience
        if not self._closing.wait(patience.batch):
            self._wake.wait(max(0.0, patience.beat - patience.batch))

    # Inside

    def _answer(self, further: bool) -> None:
        """The address has taken something. A long upload gives a sign of life in its midst."""
        if further:
            self._answered, self._since = time.monotonic(), datetime.now().astimezone()
        if self.rounds.writer.due:
            try:
                with suppress(UnreachableError):
                    self.rounds.writer.beat(self.rounds.sender.end)
            except UserError as error:  # told once the upload is whole
                self.fault = error

    def _go_on(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _silent(self) -> float:
        return time.monotonic() - self._answered

    def _lost(self, what: str) -> UserError:
        shown = f"{self.objects.address.shown}/{self.rounds.search}"
        why = f" ({self._last})" if self._last else ""
        kept = f"every row is kept in {self.rounds.results / self.rounds.search}"
        fault = f"{what} {self._since:%Y-%m-%d %H:%M:%S %Z}{why}; {kept}, and the same command "
        return UserError(shown, f"{fault}goes on and sends what is missing")
