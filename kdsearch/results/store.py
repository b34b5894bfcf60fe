"""The log of a search and its Parquet views: append-only, one writer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdsearch.errors import UserError
from kdsearch.results.log import Event, EventLog, History, fold, legible, read_events
from kdsearch.results.tables import EPOCH_COLUMNS, TRIAL_COLUMNS, read_table
from kdsearch.results.views import Views

if TYPE_CHECKING:
    import pandas as pd

    from kdsearch.results.remote import Mirror, WorkingCopy


class ResultStore:
    """What a search has found, on the disk and in memory. Made by `ResultStore.open`.

    Attributes
    ----------
    folder : Path
    history : History
        The log, folded.
    copy : WorkingCopy or None
        Of the address that it is mirrored to, where it is.
    """

    def __init__(self, folder: Path, log: EventLog, history: History) -> None:
        self.folder, self.history, self._log = folder, history, log
        self.copy: WorkingCopy | None = None
        self._mirror: Mirror | None = None
        self._views = Views(folder)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, copy: WorkingCopy | None = None) -> Iterator[ResultStore]:
        """The store of a folder, made if it is not there, locked against a second writer.

        Parameters
        ----------
        copy : WorkingCopy, optional
            Whose folder it is: it is brought up to its address first, and mirrored to it.

        Raises
        ------
        UserError
            Another process writes here, a folder that cannot be written, or a damaged log; an
            address that cannot be reached, or that another process writes to.
        """
        remedy = "set KDSEARCH_CACHE to another folder" if copy else "choose another --results"
        with _locked(folder, remedy), copy.brought() if copy else nullcontext():
            path = folder / "log.jsonl"
            history = fold(read_events(path) if path.exists() else [])
            for part in folder.glob(".*.parquet.*.part"):
                part.unlink(missing_ok=True)  # of a writer that was killed
            with closing(EventLog(path)) as log, _mirrored(copy, log) as mirror:
                store = cls(folder, log, history)
                store.copy, store._mirror = copy, mirror
                store.flush(force=True)  # after a kill the views are behind the log
                try:
                    yield store
                except BaseException:
                    with suppress(UserError):  # the fault that is under way is the one to tell
                        store.flush(force=True)
                    raise
                store.flush(force=True)

    def append(self, *events: Event) -> None:
        """Write events to the disk, together, then fold them in.

        Raises
        ------
        UserError
            A disk that cannot be written, now or by the last write of the views; or an address
            that has not answered for too long.
        """
        self._views.check()
        events = tuple(legible(event) for event in events)
        with self._mirror.recording() if self._mirror else nullcontext():
            self._log.append(*events)
        for event in events:
            self.history.add(event)

    @property
    def paused(self) -> bool:
        """Whether nothing new is to start, for its address does not answer.

        Raises
        ------
        UserError
            It has not for too long.
        """
        return self._mirror is not None and self._mirror.paused

    def shown(self, path: Path) -> str:
        """A file of the search as its user finds it: in the folder, or at its address."""
        if self.copy is None:
            return str(path)
        return "/".join([self.copy.shown, *path.relative_to(self.folder).parts])

    def flush(self, force: bool = False) -> None:
        """Have the Parquet views written, unless they were written a moment ago.

        Not waited for, unless forced.

        Raises
        ------
        UserError
            A disk that cannot be written, now or by the last write; the files on it stay whole.
        """
        if not self.history.header:
            return
        if force:
            self._views.write(self.history)
        else:
            self._views.refresh(self.history)

    def trials(self) -> pd.DataFrame:
        """The finished trials, as ``trials.parquet`` will hold them."""
        return self._views.trials(self.history).to_pandas()

    def students(self) -> set[str]:
        """Trials whose weights are kept."""
        return {p.name for p in (self.folder / "students").glob("[0-9]*") if p.is_dir()}

    def drop_students(self, trial_ids: set[str]) -> None:
        """Remove the weights of these trials."""
        for trial_id in trial_ids & self.students():
            shutil.rmtree(self.folder / "students" / trial_id, ignore_errors=True)


def read_trials(results: str | os.PathLike[str]) -> pd.DataFrame:
    """The finished trials of a search, also while it runs.

    Parameters
    ----------
    results : path
        The folder of a search, or its ``trials.parquet``; or its address, ``s3://...``.

    Returns
    -------
    DataFrame
        One row a trial; columns as the README lists them.

    Raises
    ------
    UserError
        No results there, or results of a later version.
    """
    return _read(results, "trials.parquet", TRIAL_COLUMNS)


def read_epochs(results: str | os.PathLike[str]) -> pd.DataFrame:
    """Every epoch of every trial of a search, also while it runs.

    Parameters
    ----------
    results : path
        The folder of a search, or its ``epochs.parquet``; or its address.

    Raises
    ------
    UserError
        No results there, or results of a later version.
    """
    return _read(results, "epochs.parquet", EPOCH_COLUMNS)


def _read(results: str | os.PathLike[str], name: str, columns: Mapping[str, Any]) -> pd.DataFrame:
    from kdsearch.results.remote import reading  # which reads logs, as this module does

    with reading(results, (name,), log=False) as path:
        return read_table(path if path.suffix == ".parquet" else path / name, columns)


def _mirrored(copy: WorkingCopy | None, log: EventLog) -> AbstractContextManager[Mirror | None]:
    return nullcontext() if copy is None else copy.mirrored(log)


@contextmanager
def _locked(folder: Path, remedy: str) -> Iterator[None]:
    lock = FileLock(folder / ".lock")  # the system frees it when its holder dies
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        fault = "another process runs this search; wait for it, or rename this one"
        raise UserError(str(folder), fault) from None
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; {remedy}"
        raise UserError(str(folder), fault) from None
    try:
        yield
    finally:
        lock.release()
