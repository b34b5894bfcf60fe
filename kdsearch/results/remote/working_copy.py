"""A search at an address, opened to be written: brought to this machine, and mirrored from it."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.results.log import EventLog, damaged_at
from kdsearch.results.remote import patience as times
from kdsearch.results.remote.address import Address, read_address
from kdsearch.results.remote.carrying import CARDS, GONE, Stamp, before_log, files_of, kind_of
from kdsearch.results.remote.mirror import Mirror
from kdsearch.results.remote.objects import PART, Found, Objects, UnreachableError, on_disk
from kdsearch.results.remote.reconcile import (
    Ahead,
    Note,
    RemoteLog,
    compare,
    read_note,
    read_remote,
    write_note,
)
from kdsearch.results.remote.rounds import Rounds
from kdsearch.results.remote.segments import FAN, Segment
from kdsearch.results.remote.sending import LogSender, segments_there
from kdsearch.results.remote.writer import (
    Claim,
    Writer,
    claim_of,
    claim_place,
)
from kdsearch.whole import write_bytes


class WorkingCopy:
    """The folder of this machine that a search at an address runs in.

    Attributes
    ----------
    folder : Path
        Of the search; teachers stand beside it.
    shown : str
        The address of the search, without secrets.
    """

    def __init__(self, address: Address, search: str) -> None:
        self.address, self.search = address, search
        self.folder, self.shown = address.folder / search, f"{address.shown}/{search}"
        self.objects = Objects(address, times.USUAL, trying=3 * times.USUAL.again)
        self._mirror: Mirror | None = None
        self._note = Note("")

    @classmethod
    def at(cls, uri: str, search: str | None = None) -> WorkingCopy:
        """That of a results folder and a search in it; or of a search's own address.

        Raises
        ------
        UserError
            No address that pyarrow reads.
        """
        address, name = read_address(uri, times.USUAL, last=search is None)
        return cls(address, name if search is None else search)

    def find(self) -> None:
        """Find out that there is a search already.

        Raises
        ------
        UserError
            There is none, or it cannot be reached.
        """
        with self.objects.opening() as objects:
            claim_of(objects, self.search)

    @contextmanager
    def brought(self) -> Iterator[None]:
        """Claim the address, and bring this machine's folder up to what is there.

        The caller holds the folder's lock.

        Raises
        ------
        UserError
            It cannot be reached, another writer lives, or what is there is not this search.
        """
        self._note = read_note(self.folder) or Note(uuid.uuid4().hex)
        self._write_note()
        with self.objects.opening() as objects:
            before, claim = claim_place(objects, self.search, self._note.copy)
        writer = Writer(self.objects, self.search, claim)
        try:
            with self.objects.opening() as objects:
                self._mirror = self._brought(objects, writer, before)
            self._write_note()
            yield
        finally:
            if self._mirror is None or not self._mirror.started:
                with suppress(Exception):  # the fault that is under way is the one to tell
                    writer.beat(claim.end, still=False)

    @contextmanager
    def mirrored(self, log: EventLog) -> Iterator[Mirror]:
        """Carry to the address what is written here, until the block ends.

        Raises
        ------
        UserError
            Not all of it could be: this machine has the rest.
        """
        assert self._mirror is not None
        mirror = self._mirror
        mirror.start(lambda: log.end)
        try:
            yield mirror
        except BaseException:
            with suppress(Exception):  # as above
                mirror.close(finished=False)
            raise
        else:
            mirror.close(finished=True)
        finally:
            self._note = replace(self._note, sent=max(self._note.sent, mirror.rounds.sender.end))
            with suppress(UserError):
                self._write_note()

    def fetch_teacher(self, identity: str) -> None:
        """Bring a teacher that an earlier search has put there, if this machine has it not."""
        place = f"teachers/{identity}"
        if kind_of(f"{place}/{CARDS[0]}", self.search) is None:
            return  # a name that is none
        if (self.address.folder / place / CARDS[0]).exists():
            return
        with self.objects.opening() as objects:
            for key in before_log(objects.files(place), self.search):
                objects.fetch(key, self.address.folder / key)

    # Inside

    def _brought(self, objects: Objects, writer: Writer, before: Claim | None) -> Mirror:
        claim, results = writer.claim, self.address.folder
        there = objects.files(self.search)
        segments = segments_there(objects, self.search)
        log = self.folder / "log.jsonl"
        local = _whole(_read(log))
        remote, ahead = self._compared(objects, segments, before, local)
        end = len(remote.content)
        if ahead == "remote":
            for name in ("states", "students"):  # of an earlier time
                shutil.rmtree(self.folder / name, ignore_errors=True)
        for key in there:
            if PART.search(key):  # of a writer that was killed
                objects.remove(key)
            carried = kind_of(key, self.search) in ("state", "student")
            if carried and not (results / key).exists():
                objects.fetch(key, results / key)
            if writer.due:
                with suppress(UnreachableError):
                    writer.beat(claim.end)
        if ahead == "remote":  # last: it says that all else is here
            with on_disk(log):
                write_bytes(log, remote.content)
        latest = max((segment.generation for segment in segments.values()), default=-1)
        writer.claim = replace(claim, generation=max(claim.generation, latest + 1))
        self._note = replace(self._note, sent=max(self._note.sent, end))
        sender = LogSender(
            self.objects,
            self.search,
            log,
            writer.claim.generation,
            claim.nonce,
            end,
            scattered=len(remote.parts) > FAN,
        )
        sent = _known(results, self.search, there | objects.files("teachers"))
        return Mirror(Rounds(self.objects, results, self.search, writer, sender, sent))

    def _compared(
        self,
        objects: Objects,
        segments: dict[str, Segment],
        before: Claim | None,
        local: bytes,
    ) -> tuple[RemoteLog, Ahead]:
        """The log there, and which one is ahead; where it is damaged and all from here, none."""
        try:
            remote = read_remote(objects, self.search, segments, before)
        except UserError as error:
            if before is None or before.copy != self._note.copy or damaged_at(local) is not None:
                raise
            if len(local) < max(self._note.sent, before.end):
                raise  # it would replace more than it holds
            logging.getLogger("kdsearch").warning("%s; it is sent again from here", error)
            self._note = replace(self._note, sent=0)
            return RemoteLog(b"", []), "local"
        return remote, compare(local, remote.content, self._note, self.folder, self.shown)

    def _write_note(self) -> None:
        with on_disk(self.folder):
            write_note(self.folder, self._note)


def _known(results: Path, search: str, there: dict[str, Found]) -> dict[str, Stamp | None]:
    """What need not be put again: files that never change, where they are as long as here."""
    try:
        here = files_of(results, search)
    except OSError as error:
        place, fault = error.filename or results, error.strerror or error
        raise UserError(str(place), f"cannot be listed: {fault}; mend it and run again") from None
    known: dict[str, Stamp | None] = {}
    for key, found in there.items():
        kind = kind_of(key, search)
        same = key in here and here[key][1] == found.size
        if kind in ("state", "student", "teacher") and (key in here or kind != "teacher"):
            known[key] = here[key] if same else None
        elif key.rpartition("/")[2] in GONE:
            known[key] = None
    return known


def _read(log: Path) -> bytes:
    try:
        return log.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        fault = f"cannot be read: {error.strerror or error}; it may hold rows that are not yet sent"
        raise UserError(str(log), f"{fault}: make it a file that can be") from None


def _whole(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
