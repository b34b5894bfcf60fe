"""Carries a working copy to its address while the search writes it, in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from kdsearch.errors import UserError
from kdsearch.results.remote.carrying import GONE, Stamp, after_log, before_log, files_of, kind_of
from kdsearch.results.remote.objects import Objects, UnreachableError
from kdsearch.results.remote.sending import LogSender
from kdsearch.results.remote.writer import Writer

VIEWS_SHARE = 0.1  # of the time, at most, that tables are put


class Mirror:
    """What is at the address is at any moment a search that can go on.

    A round takes the log as far as it is and the files that are there with it. Weights and states
    are put first, then the log that speaks of them, then its views; last, what that log needs no
    more is removed. A round that fails is tried again; what it has put is not put twice.

    Parameters
    ----------
    objects : Objects
    results : Path
        The working copy of the address.
    search : str
    writer : Writer
    sender : LogSender
    sent : dict of str to Stamp or None
        The files there; None: of another time, or one that is no more.
    """

    def __init__(
        self,
        objects: Objects,
        results: Path,
        search: str,
        writer: Writer,
        sender: LogSender,
        sent: dict[str, Stamp | None],
    ) -> None:
        self.objects, self.results, self.search = objects, results, search
        self.writer, self.sender, self.sent = writer, sender, sent
        self.fault: BaseException | None = None  # what ends the search
        self._still = threading.Lock()  # held, the log does not grow
        self._log_end: Callable[[], int] = lambda: sender.end
        self._wake, self._closing = threading.Event(), threading.Event()
        self._answered, self._since = time.monotonic(), datetime.now().astimezone()
        self._last, self._told, self._next_views = "", False, 0.0
        self._thread = threading.Thread(target=self._run, name="kdsearch-mirror", daemon=True)

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def start(self, log_end: Callable[[], int]) -> None:
        """Begin; `log_end` gives how far the log is on the disk."""
        self._log_end = log_end
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
        with self._still:
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
        wait = self.objects.patience.again
        while self.fault is None:
            last = self._closing.is_set()
            try:
                self._round(last)
                if last:
                    return
                wait = self.objects.patience.again
                self._rest()
            except UnreachableError as error:
                self._last = str(error)
                time.sleep(wait * (0.75 + random.random() / 2))  # not all of a network at once
                wait = min(2 * wait, self.objects.patience.most)
            except BaseException as error:
                self.fault = self.fault or error

    def _rest(self) -> None:
        """Until there is something to put, or a sign of life is due."""
        patience = self.objects.patience
        self._closing.wait(patience.batch)
        self._wake.wait(max(0.0, patience.beat - patience.batch))

    def _round(self, last: bool) -> None:
        self._wake.clear()
        views = last or time.monotonic() >= self._next_views
        with ExitStack() as stack:
            end, files, opened = self._taken(stack, views)
            self.writer.check()
            self._answer()
            for key in before_log(opened, self.search):
                self._put(key, files[key], opened[key])
            self.sender.send(end, self._answer)
            self._go_on()
            began = time.monotonic()
            for key in after_log(opened, self.search):
                self._put(key, files[key], opened[key])
            if views:
                took, least = time.monotonic() - began, self.objects.patience.views
                self._next_views = began + max(least, took / VIEWS_SHARE)
        self._drop(files, last)
        self._sign(last)

    def _taken(
        self, stack: ExitStack, views: bool
    ) -> tuple[int, dict[str, Stamp], dict[str, IO[bytes]]]:
        """How far the log is, and what stands beside it at that very moment; what is new, opened.

        An opened file stays what it is, whatever the search removes or replaces meanwhile.
        """
        opened: dict[str, IO[bytes]] = {}
        with self._still:
            end, files = self._log_end(), files_of(self.results, self.search)
            for key, stamp in list(files.items()):
                waits = not views and kind_of(key, self.search) == "view"
                if waits or self.sent.get(key) == stamp:
                    continue
                try:
                    opened[key] = stack.enter_context((self.results / key).open("rb"))
                except OSError:  # it has just gone: the log needs it no more
                    del files[key]
        return end, files, opened

    def _put(self, key: str, stamp: Stamp, file: IO[bytes]) -> None:
        self.sent[key] = None  # it may be there though the call fails
        self.objects.put(key, file, self._answer)
        self._go_on()
        self.sent[key] = stamp

    def _drop(self, files: dict[str, Stamp], last: bool) -> None:
        """Remove what stood beside an earlier state of the log, and no longer does."""
        for key in [key for key in self.sent if key not in files]:
            if key.rpartition("/")[2] in GONE and not last:
                continue  # it comes back when the search closes, or not
            if kind_of(key, self.search) != "teacher":
                self.objects.remove(key)
                self._answer()
            del self.sent[key]

    def _sign(self, last: bool) -> None:
        if last:
            self.sender.gather()
            self.writer.beat(self.sender.end, still=False)
        elif self.writer.due:
            self.writer.alone(self.sender.segments())
            self.writer.beat(self.sender.end)
        self._answer()

    # Inside

    def _answer(self) -> None:
        """The address has answered. A long upload gives a sign of life in its midst."""
        self._answered, self._since = time.monotonic(), datetime.now().astimezone()
        if self.writer.due and not self._closing.is_set():
            try:
                self.writer.beat(self.sender.end)
            except UnreachableError:
                pass
            except UserError as error:  # told once the upload is whole
                self.fault = error

    def _go_on(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _silent(self) -> float:
        return time.monotonic() - self._answered

    def _lost(self, what: str) -> UserError:
        shown = f"{self.objects.address.shown}/{self.search}"
        why = f" ({self._last})" if self._last else ""
        kept = f"every row is kept in {self.results / self.search}"
        fault = f"{what} {self._since:%Y-%m-%d %H:%M:%S %Z}{why}; {kept}, and the same command "
        return UserError(shown, f"{fault}goes on and sends what is missing")
