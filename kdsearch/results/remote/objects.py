"""Files below an address: listed, read, put whole, removed. Every fault is one kind of error."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from pyarrow import fs

from kdsearch.errors import UserError
from kdsearch.results.remote.address import FAULTS, Address
from kdsearch.results.remote.patience import Patience
from kdsearch.whole import write_bytes

PIECE = 2**23  # bytes a call
OBJECT_STORES = ("s3", "gcs", "abfs")  # where a file is put whole or not at all
# What no second try mends, as S3's errors and those of other file systems spell it.
FINAL = (
    "ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_SIGNATURE", "UNRECOGNIZED_CLIENT", "EXPIRED_TOKEN", "HTTP status 401",
    "HTTP status 403", "Permission denied", "Read-only file system",
)  # fmt: skip
PART = re.compile(r"\.[0-9a-f]{8}\.part$")  # how a file is called until it is whole
Outcome = TypeVar("Outcome")
Told = Callable[[bool], None]  # whether more is there than ever before, which an answer is


class UnreachableError(Exception):
    """A call that failed. `final`: trying it again would not mend it."""

    def __init__(self, line: str, final: bool = False) -> None:
        super().__init__(line)
        self.final = final


class WentError(UnreachableError):
    """A file that was listed, and is there no more: a writer has gathered it with others."""


@dataclass(frozen=True)
class Found:
    """A file that stands there."""

    size: int
    changed: datetime | None


class Objects:
    """The files of an address, by their paths below it.

    Parameters
    ----------
    address : Address
    patience : Patience
    trying : float
        Seconds for which a call that fails is tried again.
    """

    def __init__(self, address: Address, patience: Patience, trying: float = 0.0) -> None:
        self.address, self.patience, self.trying = address, patience, trying
        self._fs, self._base = address.filesystem, address.path
        self._reached: dict[str, int] = {}  # pieces of files that are not yet whole
        store = self._fs
        while isinstance(store, fs.SubTreeFileSystem):
            store = store.base_fs
        self._whole = store.type_name in OBJECT_STORES

    @contextmanager
    def opening(self) -> Iterator[Objects]:
        """The same with patience; a call that fails all the same is the user's to know.

        Raises
        ------
        UserError
            It cannot be reached, or refuses.
        """
        objects = Objects(self.address, self.patience, self.patience.opening)
        try:
            objects._check()
            yield objects
        except UnreachableError as error:
            shown = self.address.shown
            if error.final:
                remedy = "is the bucket's name right, and may these credentials do it?"
                raise UserError(shown, f"is refused: {error}; {remedy}") from None
            remedy = "the same command goes on when it can"
            raise UserError(shown, f"cannot be reached: {error}; {remedy}") from None

    def files(self, below: str) -> dict[str, Found]:
        """All files below a folder."""
        selector = fs.FileSelector(f"{self._base}/{below}", allow_not_found=True, recursive=True)
        infos = self._call(lambda: self._fs.get_file_info(selector))
        start = len(self._base) + 1
        return {
            info.path[start:]: Found(info.size or 0, info.mtime)
            for info in infos
            if info.type == fs.FileType.File
        }

    def find(self, key: str) -> Found | None:
        """One file; None where there is none."""
        info = self._call(lambda: self._fs.get_file_info(f"{self._base}/{key}"))
        return Found(info.size or 0, info.mtime) if info.type == fs.FileType.File else None

    def read(self, key: str) -> bytes | None:
        """The content of a file; None where there is none."""

        def read() -> bytes | None:
            try:
                with self._fs.open_input_stream(f"{self._base}/{key}", compression=None) as file:
                    return file.read()
            except FileNotFoundError:
                return None

        return self._call(read)

    def fetch(self, key: str, to: Path) -> None:
        """Write a file to this machine's disk, whole; nothing where there is none.

        Raises
        ------
        UserError
            A disk that cannot be written.
        """
        if (content := self.read(key)) is None:
            return
        with on_disk(to):
            write_bytes(to, content)

    def put(self, key: str, content: bytes | IO[bytes], told: Told | None = None) -> None:
        """Put a file in the place of whatever stands there; `told` is called as it goes on."""
        path, told = f"{self._base}/{key}", told or (lambda further: None)

        def put() -> None:
            target = path if self._whole else f"{path}.{uuid.uuid4().hex[:8]}.part"
            if not self._whole:
                self._fs.create_dir(path.rpartition("/")[0], recursive=True)
            try:
                with self._fs.open_output_stream(target, compression=None) as file:
                    for number, piece in enumerate(_pieces(content)):
                        file.write(piece)
                        # The first only fills a buffer; what an earlier try had put is no news.
                        before = self._reached.get(key, 0)
                        self._reached[key] = max(number, before)
                        told(number > before)
                if not self._whole:
                    self._move(target, path)
            except BaseException:
                with suppress(Exception):  # each try would leave one, where there may be no room
                    if not self._whole:
                        self._fs.delete_file(target)
                raise

        self._call(put)
        self._reached.pop(key, None)
        told(True)

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""

        def remove() -> None:
            with suppress(FileNotFoundError):
                self._fs.delete_file(f"{self._base}/{key}")

        self._call(remove)

    def now(self, key: str) -> datetime:
        """What the clock there says, by the time of a file that is put and removed."""
        self.put(key, b"")
        found = self.find(key)
        self.remove(key)
        return found.changed if found and found.changed else datetime.now(UTC)

    def _move(self, aside: str, path: str) -> None:
        """Rename a file, also where that replaces none (HDFS)."""
        try:
            self._fs.move(aside, path)
        except FAULTS:
            if self._fs.get_file_info(path).type != fs.FileType.File:
                raise
            self._fs.delete_file(path)
            self._fs.move(aside, path)

    def _check(self) -> None:
        """Find out that the bucket is there; where there are folders, make this one."""
        if not self._whole:
            self._call(lambda: self._fs.create_dir(self._base, recursive=True))
            return
        bucket = self._base.partition("/")[0]
        try:
            kind = self._call(lambda: self._fs.get_file_info(bucket)).type
        except UnreachableError as error:
            if error.final:  # who may use a folder need not be told of the bucket
                return
            raise
        if kind == fs.FileType.NotFound:
            raise UnreachableError("NO_SUCH_BUCKET: there is none of this name", final=True)

    def _call(self, action: Callable[[], Outcome]) -> Outcome:
        until, wait = time.monotonic() + self.trying, self.patience.again
        while True:
            try:
                return action()
            except UserError:
                raise
            except FAULTS as error:
                failure = self._failure(error)
            if failure.final or time.monotonic() + wait > until:
                raise failure
            time.sleep(wait)
            wait = min(2 * wait, self.patience.most)

    def _failure(self, error: Exception) -> UnreachableError:
        line = self.address.cleaned(str(error)) or type(error).__name__
        final = isinstance(error, PermissionError) or any(mark in str(error) for mark in FINAL)
        return UnreachableError(line, final)


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Around what is written on this machine.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    try:
        yield
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; make room, or set KDSEARCH_CACHE "
        raise UserError(str(path), f"{fault}and TMPDIR to folders with room") from None


def _pieces(content: bytes | IO[bytes]) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield from (content[i : i + PIECE] for i in range(0, len(content), PIECE))
        return
    content.seek(0)
    while piece := content.read(PIECE):
        yield piece
