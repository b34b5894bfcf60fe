"""Reads a search at an address as if its folder were here; what a reader writes goes back there."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.results.remote import patience as times
from kdsearch.results.remote.address import is_address, read_address
from kdsearch.results.remote.carrying import files_of, kind_of
from kdsearch.results.remote.objects import Objects, WentError, on_disk
from kdsearch.results.remote.reconcile import MissingError, read_remote
from kdsearch.results.remote.sending import segments_there
from kdsearch.results.remote.writer import claim_of
from kdsearch.whole import write_bytes

TABLES = ("trials.parquet", "epochs.parquet")


STUDENT = re.compile(r"(?P<before>[^?]+)/students/(?P<trial>[0-9]{1,12})/?(?P<after>\?.*)?")


@contextmanager
def reading(
    results: str | os.PathLike[str],
    tables: Sequence[str] = TABLES,
    log: bool = True,
    student: str | None = None,
) -> Iterator[Path]:
    """The folder of a search, to be read; one at an address is brought into a passing folder.

    Files that are written into that folder, but for those that were brought, go to the address.

    Parameters
    ----------
    results : path or str
        A folder, which is given back as it is; or the address of one.
    tables : sequence of str
        Which ones are brought, where they are there.
    log : bool
        Whether the log is, and the names of the students that are kept.
    student : str, optional
        Whose weights are.

    Raises
    ------
    UserError
        No search there, or it cannot be reached.
    """
    if not is_address(results):
        yield Path(results)
        return
    address, search = read_address(str(results), times.USUAL, last=True)
    objects = Objects(address, times.USUAL)
    with _passing() as made:
        root = Path(made, address.folder.name.rpartition("-")[0])
        folder = root / search

        def bring(objects: Objects) -> None:
            claim = claim_of(objects, search)
            with on_disk(folder):
                folder.mkdir(parents=True, exist_ok=True)
            for name in tables:
                objects.fetch(f"{search}/{name}", folder / name)
            if log:
                segments = segments_there(objects, search)
                remote = read_remote(objects, search, segments, claim)
                with on_disk(folder):
                    write_bytes(folder / "log.jsonl", remote.content)
            if log or student:
                _bring_students(objects, root, search, student)

        with objects.opening() as patient:
            _again(lambda: bring(patient))
        before = files_of(root, search)
        try:
            yield folder
        except UserError as error:
            raise _elsewhere(error, str(folder), f"{address.shown}/{search}") from None
        with objects.opening() as patient:
            for key, stamp in files_of(root, search).items():
                if before.get(key) != stamp and kind_of(key, search) == "view":
                    patient.put(key, (root / key).read_bytes())


@contextmanager
def reading_student(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder of a student, to be read; of one at an address a passing copy.

    Raises
    ------
    UserError
        An address of no student, or one that cannot be reached.
    """
    if not is_address(folder):
        yield Path(folder)
        return
    if (found := STUDENT.fullmatch(str(folder))) is None:
        fault = "names no student; give the address of a search, and /students/<trial_id> after it"
        raise UserError(shown(folder), fault)
    search, trial_id = found["before"] + (found["after"] or ""), found["trial"]
    with reading(search, (), log=False, student=trial_id) as place:
        yield place / "students" / trial_id


def shown(results: str | os.PathLike[str]) -> str:
    """Results as a message may call them: an address without its secrets."""
    if not is_address(results):
        return str(results)
    address, search = read_address(str(results), times.USUAL, last=True)
    return f"{address.shown}/{search}"


def _bring_students(objects: Objects, root: Path, search: str, student: str | None) -> None:
    """The weights of one student; of the others an empty folder each."""
    for key in objects.files(f"{search}/students"):
        if kind_of(key, search) != "student":
            continue
        with on_disk(root / key):
            (root / key).parent.mkdir(parents=True, exist_ok=True)
        if key.split("/")[2] == student:
            objects.fetch(key, root / key)


@contextmanager
def _passing() -> Iterator[str]:
    """A folder that goes when the block ends."""
    with on_disk(Path(tempfile.gettempdir())):
        made = tempfile.TemporaryDirectory(prefix="kdsearch-", ignore_cleanup_errors=True)
    with made as name:
        yield name


def _again(bring: Callable[[], None], went: int = 20, missing: int = 5) -> None:
    """Bring a search; anew where its writer has gathered what was about to be read.

    A list that a writer replaces files in may show neither the old ones nor the new one.
    """
    while True:
        try:
            return bring()
        except WentError:
            if not (went := went - 1):
                raise
        except MissingError:
            if not (missing := missing - 1):
                raise
            time.sleep(times.USUAL.again)


def _elsewhere(error: UserError, here: str, there: str) -> UserError:
    """The error with the address in the place of the passing folder; a full disk's as it is."""
    cause = error.__context__
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return error
    return UserError(error.place.replace(here, there), error.fault.replace(here, there))
