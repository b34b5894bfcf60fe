"""The event log: the one truth of a search. Everything else is a view rebuilt from it.

Events are plain mappings, one JSON line each. A line ends with ``check``, the CRC-32 of the line
and all before it: one that was changed, lost or moved is found. The driver writes them:

``search``
    First line: schema version, name, the config tree, the columns of the holes; the hash of the
    policy file that it began with, where it did.
``teacher``
    A teacher that students are edits of: its blocks, those that may go, its parameters.
``trial``
    A trial starts; if one starts again, after a break or because what it rested on was lost (then
    ``again`` says why), its earlier epochs are void. It holds what was measured of the student
    before: ``latency_ms``, ``latency_device``, ``peak_memory_mib``.
``epoch``
    One `EpochReport`.
``rest``
    A trial waits at a rung; its state is on the disk.
``resume``
    It goes on from the epoch named here, as does one whose worker or driver died; epochs after
    that are void.
``end``
    A trial is a row from here on. Its ``peak_memory_mib`` is what the training took on a GPU.
``test``
    Test accuracy of a front student, or of a repeat.
``finish``
    Repeats over seeds are asked for: how many seeds and epochs.
``from``
    What earlier searches gave this one: rows its proposer was told, points it was to try first.
``resources``
    What every trial is to take on machines of the kinds named in `place`, where the search file
    left it open.
``crowd``
    Trials ran out of memory there: no more than `most` run at a time from here on.
``worn``
    The worker that was to take a trial held on to its memory, and was replaced.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.events import event_fault
from kdsearch.results.history import Event, History, fold
from kdsearch.results.records import SCHEMA_VERSION

__all__ = ["Event", "EventLog", "History", "fold", "read_events"]

HEADER = b'{"event":"search"'  # how every log begins
HALF = re.compile(rb"\\u[dD][89a-fA-F]")
CHECK = re.compile(rb',"check":"([0-9a-f]{8})"}$')


class EventLog:
    """Appends to ``log.jsonl``: events are whole and on the disk before `append` returns.

    Parameters
    ----------
    path : Path
        A torn last line, left by a kill, is cut off on opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _whole(_read(path)) if path.exists() else b""
        self._end = len(content)
        self._sum = _stated(content.rstrip(b"\n").rpartition(b"\n")[2])[1] or 0
        # Unbuffered: a buffer would keep a line that failed, and write it before the next one.
        self._file = _guard(path, lambda: path.open("ab", buffering=0))
        _guard(path, self._cut)

    @property
    def end(self) -> int:
        """Bytes that are on the disk, for good."""
        return self._end

    def append(self, *events: Mapping[str, Any]) -> None:
        """Write events, together; non-finite numbers are written as the words nan, inf and -inf.

        Raises
        ------
        UserError
            An event that `read_events` would refuse; a full or read-only disk. The log ends as it
            did before: all of the events, or none.
        """
        lines, total = b"", self._sum
        for event in events:
            line = json.dumps(_spell(event), separators=(",", ":"), allow_nan=False).encode()
            if (wrong := event_fault(json.loads(line))) is not None:  # or nobody could read the log
                raise UserError(str(self.path), f"not written: {wrong}")
            total = zlib.crc32(line, total)
            lines += line[:-1] + b',"check":"%08x"}\n' % total

        def write() -> None:
            self._cut()  # what an earlier failure may have left
            if self._file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())

        try:
            _guard(self.path, write)
        except UserError:
            with contextlib.suppress(OSError):
                self._cut()
            raise
        self._end += len(lines)
        self._sum = total

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # what could not be flushed, `append` has reported
            self._file.close()

    def _cut(self) -> None:
        self._file.truncate(self._end)


def read_events(path: Path) -> list[Event]:
    """All whole events of a log; a torn last line is left out.

    Raises
    ------
    UserError
        A file that is no log, a damaged or missing line, or a log of a later version.
    """
    content = _read(path)
    lines = _whole(content).splitlines()
    if not lines and not HEADER.startswith(content[: len(HEADER)]):
        raise UserError(str(path), "not a log of kdsearch; move this file away")
    events: list[Event] = []
    total: int | None = None  # a log of an earlier version has no sums
    for number, line in enumerate(lines, 1):
        text, stated = _stated(line)
        if total is not None or stated is not None:
            total = zlib.crc32(text, total or 0)
        try:
            event = json.loads(text, parse_constant=_refuse)
            if HALF.search(text):  # halves of characters, which cannot be written or printed
                json.dumps(event, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            event = None
        if number == 1 and isinstance(event, dict):
            _check_header(path, event)
        wrong = event_fault(event) if isinstance(event, dict) else "not an event"
        if wrong is not None or event is None:
            raise UserError(f"{path}:{number}", f"damaged: {wrong}; restore the file")
        if stated != total:
            fault = "damaged: this line, or one before it, is not as it was written"
            raise UserError(f"{path}:{number}", f"{fault}; restore the file")
        events.append(event)
    return events


def damaged_at(content: bytes) -> int | None:
    """Where the first line of a log begins whose sum is not that of what is before; None: nowhere.

    Parameters
    ----------
    content : bytes
        Whole lines; one that a log of an earlier version has no sums for is taken as it is.
    """
    place, total = 0, None
    for line in content.splitlines(keepends=True):
        text, stated = _stated(line.rstrip(b"\n"))
        if total is not None or stated is not None:
            total = zlib.crc32(text, total or 0)
        if stated != total or not line.endswith(b"\n"):
            return place
        place += len(line)
    return None


def legible(value: Any) -> Any:
    """Plain values with text as it can be written: of a path that is no UTF-8, with escapes."""
    return _each(value, str, lambda text: text.encode(errors="backslashreplace").decode())


def _check_header(path: Path, header: Event) -> None:
    if header.get("event") != "search":
        raise UserError(str(path), "does not begin with a search; not a log of kdsearch")
    schema = header.get("schema")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise UserError(
            str(path),
            f"schema {schema!r:.30} is newer than {SCHEMA_VERSION}, which this kdsearch knows; "
            "update kdsearch",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from None


def _stated(line: bytes) -> tuple[bytes, int | None]:
    """A line without its sum, and the sum that it states."""
    found = CHECK.search(line)
    return (line, None) if found is None else (line[: found.start()] + b"}", int(found[1], 16))


def _whole(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _spell(value: Any) -> Any:
    return _each(value, float, lambda number: number if math.isfinite(number) else str(number))


def _each(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """A copy of plain values in which each one of a kind is changed."""
    if isinstance(value, Mapping):
        return {key: _each(item, kind, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(item, kind, change) for item in value]
    return change(value) if isinstance(value, kind) else value


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _guard(path: Path, action: Any) -> Any:
    try:
        return action()
    except OSError as error:
        raise UserError(
            str(path),
            f"cannot be written: {error.strerror}; nothing written before is lost, and the search "
            "goes on once there is room and leave to write",
        ) from None
