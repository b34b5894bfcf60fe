"""One round of a mirror: what is new goes to the address, in the order in which it is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from kdsearch.results.remote.carrying import GONE, Stamp, after_log, before_log, files_of, kind_of
from kdsearch.results.remote.objects import Objects, Told
from kdsearch.results.remote.sending import LogSender
from kdsearch.results.remote.writer import Writer

VIEWS_SHARE = 0.1  # of the time, at most, that tables are put
MOST_OPEN = 64  # files at a time


class Rounds:
    """Takes the log as far as it is and the files that are there with it, and puts them.

    Weights and states first, then the log that speaks of them, then its views; last, what that log
    needs no more is removed. A round that fails is begun again; what it has put is not put twice.

    Attributes
    ----------
    still : Lock
        Held by who makes the log grow: while a round holds it, the log does not.
    log_end : callable
        How far the log is on the disk.
    told : callable
        Called after every file that was put or removed, after every round, and in the midst of
        long uploads; raises nothing. That reads answer says nothing: a full store reads well.
    go_on : callable
        Called after every file; what it raises ends the round.

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
        self.still = threading.Lock()
        self.log_end: Callable[[], int] = lambda: sender.end
        self.told: Told = lambda further: None
        self.go_on: Callable[[], None] = lambda: None
        self._next_views = 0.0

    def go(self, last: bool) -> None:
        """Put what is new; with `last`, make the log one file and give the last sign of life.

        Raises
        ------
        UserError
            The address is another's.
        UnreachableError
        """
        self.writer.check()
        self._put_ahead()
        views = last or time.monotonic() >= self._next_views
        with ExitStack() as stack:
            end, files, opened = self._taken(stack, views)
            for key in before_log(opened, self.search):
                self._put(key, files[key], opened[key])
            self.sender.send(end, self.told)
            self.go_on()
            began = time.monotonic()
            for key in after_log(opened, self.search):
                self._put(key, files[key], opened[key])
            if views:
                took, least = time.monotonic() - began, self.objects.patience.views
                self._next_views = began + max(least, took / VIEWS_SHARE)
        self._drop(files, last)
        self._sign(last)

    def _put_ahead(self) -> None:
        """Put some of many weights and states: more than can be held open at a time."""
        while len(new := self._new(files_of(self.results, self.search), views=False)) > MOST_OPEN:
            for key in before_log(new, self.search)[:MOST_OPEN]:
                with suppress(FileNotFoundError), (self.results / key).open("rb") as file:
                    self._put(key, new[key], file)

    def _new(self, files: dict[str, Stamp], views: bool) -> dict[str, Stamp]:
        """The files that are not there as they are here."""
        kinds = ("state", "student", "teacher", "view")[: 4 if views else 3]
        return {
            key: stamp
            for key, stamp in files.items()
            if self.sent.get(key) != stamp and kind_of(key, self.search) in kinds
        }

    def _taken(
        self, stack: ExitStack, views: bool
    ) -> tuple[int, dict[str, Stamp], dict[str, IO[bytes]]]:
        """How far the log is, and what stands beside it at that very moment; what is new, opened.

        An opened file stays what it is, whatever the search removes or replaces meanwhile.
        """
        opened: dict[str, IO[bytes]] = {}
        with self.still:
            end, files = self.log_end(), files_of(self.results, self.search)
            for key in self._new(files, views):
                try:
                    opened[key] = stack.enter_context((self.results / key).open("rb"))
                except FileNotFoundError:  # it has just gone: the log needs it no more
                    if not (self.results / self.search).is_dir():
                        raise
                    del files[key]
        return end, files, opened

    def _put(self, key: str, stamp: Stamp, file: IO[bytes]) -> None:
        self.sent[key] = None  # it may be there though the call fails
        self.objects.put(key, file, self.told)
        self.go_on()
        self.sent[key] = stamp

    def _drop(self, files: dict[str, Stamp], last: bool) -> None:
        """Remove what stood beside an earlier state of the log, and no longer does."""
        gone = [key for key in self.sent if key not in files]
        if not last:  # those of the names of GONE come back when the search closes, or not
            gone = [key for key in gone if key.rpartition("/")[2] not in GONE]
        if gone:
            self._sure()
        for key in gone:
            if kind_of(key, self.search) != "teacher":
                self.objects.remove(key)
                self.told(True)
            del self.sent[key]

    def _sign(self, last: bool) -> None:
        if last:
            self.sender.gather(self.told, self._sure)
            self.writer.beat(self.sender.end, still=False)
        elif self.writer.due:
            self.writer.alone(self.sender.segments())
            self.writer.beat(self.sender.end)
        self.told(True)

    def _sure(self) -> None:
        """Find out that what is there is still ours to remove: a round may have slept."""
        self.writer.check()
        self.writer.alone(self.sender.segments())
