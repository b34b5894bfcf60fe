"""The Parquet views of a history, kept up while it grows: no row that has ended is converted twice.

A view is one file, written aside and renamed: whoever reads it finds a whole table at any moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from kdsearch.results.history import Event, History
from kdsearch.results.records import TrialRow
from kdsearch.results.tables import epoch_table, join_tables, trial_table, write_table

WRITE_SECONDS = 1.0  # between two writes, at least
WRITE_SHARE = 0.05  # of wall time that writing takes, at most
CHUNK = 1_000  # rows that are copied no more


@dataclass(frozen=True)
class Growth:
    """What a history has come to since it was last converted; it does not grow with it.

    Attributes
    ----------
    rows : list of TrialRow
        New ones; or all, where something that was converted is void.
    ended : dict of str to list of dict
        Their epochs, by trial.
    living : list of list of dict
        Epochs of the trials that run or rest: these may yet become void.
    holes : mapping of str to str
        Columns of the space, and their dtypes.
    measures : list of str
    anew : bool
        Whether these are all the rows.
    """

    rows: list[TrialRow]
    ended: dict[str, list[Event]]
    living: list[list[Event]]
    holes: Mapping[str, str]
    measures: list[str]
    anew: bool


class Views:
    """``trials.parquet`` and ``epochs.parquet`` of a history.

    Trials stand in the order in which they ended, epochs by trial: those of the rows in the order
    of the rows, then those of trials that run or rest. What has ended is converted to Arrow once,
    and kept; each write converts what is new, and the epochs of trials without an end.

    The caller's thread gathers references alone: rows are converted, and files written, in a thread
    of its own, at most one at a time, which hardly ever holds the interpreter for long.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._forget()
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None
        self._next = 0.0

    def refresh(self, history: History) -> None:
        """Begin to write them, unless they were written a moment ago, or are being written.

        Raises
        ------
        UserError
            As `check`.
        """
        self.check()
        busy = self._thread is not None and self._thread.is_alive()
        if busy or time.monotonic() < self._next:
            return
        grown = self._grown(history)
        self._thread = threading.Thread(target=self._guarded, args=(grown,), daemon=True)
        self._thread.start()

    def write(self, history: History) -> None:
        """Write them now, to the end.

        Raises
        ------
        UserError
            A disk that cannot be written; the files on it stay whole.
        """
        self._wait()
        self._fault = None  # what it was, this write meets again
        self._guarded(self._grown(history))
        self.check()

    def check(self) -> None:
        """Tell of a write in the background that failed since the last call.

        Raises
        ------
        UserError
            A disk that could not be written; the files on it are whole.
        """
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def trials(self, history: History) -> pa.Table:
        """The rows of a history as ``trials.parquet`` will hold them."""
        self._wait()
        grown = self._grown(history)
        try:
            self._convert(grown)
        except BaseException:  # a Ctrl-C too: half of it may be converted
            self._forget()
            raise
        return self._trial_table(grown)

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _grown(self, history: History) -> Growth:
        header = history.header
        holes = header.get("columns", {})
        measures = list(header.get("config", {}).get("measures", ()))
        rows = history.rows[self._rows :]
        living = {**history.running, **history.resting}
        again = not self._ended.isdisjoint(chain((row.trial_id for row in rows), living))
        if anew := again or self._shape != (holes, measures):
            rows = list(history.rows)
        # By the last end of each, should one have ended twice.
        ended = [row.trial_id for row in reversed(rows) if row.trial_id not in living]
        return Growth(
            rows,
            {trial_id: history.epochs[trial_id] for trial_id in reversed(dict.fromkeys(ended))},
            [list(history.epochs[trial_id]) for trial_id in living],
            holes,
            measures,
            anew,
        )

    def _forget(self) -> None:
        """Nothing has been converted."""
        self._rows, self._ended = 0, set[str]()
        self._shape: tuple[Mapping[str, str], list[str]] | None = None
        self._trials: list[pa.Table] = []
        self._epochs: list[pa.Table] = []

    def _guarded(self, grown: Growth) -> None:
        began = time.monotonic()
        try:
            self._convert(grown)
            living = epoch_table(chain.from_iterable(grown.living))
            write_table(join_tables([*self._epochs, living]), self.folder / "epochs.parquet")
            # Last: whoever reads a row finds its epochs.
            write_table(self._trial_table(grown), self.folder / "trials.parquet")
        except BaseException as fault:  # for the thread that asks next
            self._forget()
            self._fault = fault
        ended = time.monotonic()
        self._next = ended + max(WRITE_SECONDS, (ended - began) / WRITE_SHARE)

    def _convert(self, grown: Growth) -> None:
        if grown.anew:
            self._forget()
        if grown.rows:
            _extend(self._trials, trial_table(grown.rows, grown.holes, grown.measures))
            _extend(self._epochs, epoch_table(chain.from_iterable(grown.ended.values())))
        self._rows += len(grown.rows)
        self._ended.update(grown.ended)
        self._shape = grown.holes, grown.measures

    def _trial_table(self, grown: Growth) -> pa.Table:
        return join_tables([trial_table([], grown.holes, grown.measures), *self._trials])


def _extend(chunks: list[pa.Table], table: pa.Table) -> None:
    """Add rows at the end: to the last chunk while that is a short one."""
    if chunks and len(chunks[-1]) < CHUNK:
        table = join_tables([chunks.pop(), table]).combine_chunks()
    chunks.append(table)
