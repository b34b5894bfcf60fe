"""The event log: the one truth of a search. Everything else is a view rebuilt from it.

Events are plain mappings, one JSON line each; the driver writes them:

``search``
    First line: schema version, name, the config tree, the columns of the holes.
``trial``
    A trial starts; if one starts again after a break, its earlier epochs are void.
``epoch``
    One `EpochReport`.
``end``
    A trial is a row from here on.
``test``
    Test accuracy of a front student.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.records import SCHEMA_VERSION, TrialRow

Event = dict[str, Any]


class EventLog:
    """Appends to ``log.jsonl``, each event whole and on the disk before `append` returns.

    Parameters
    ----------
    path : Path
        A torn last line, left by a kill, is cut off on opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = len(_whole(path.read_bytes())) if path.exists() else 0
        self._file = _guard(path, lambda: path.open("ab"))
        self._file.truncate(whole)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; non-finite numbers are written as the words nan, inf and -inf.

        Raises
        ------
        UserError
            A full or read-only disk. The log keeps its last whole line.
        """
        line = json.dumps(_spell(event), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        end = self._file.tell()

        def write() -> None:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

        try:
            _guard(self.path, write)
        except UserError:
            os.ftruncate(self._file.fileno(), end)
            raise

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError:
            pass  # what could not be flushed has been reported by `append`


def read_events(path: Path) -> list[Event]:
    """All whole events of a log; a torn last line is left out.

    Raises
    ------
    UserError
        A file that is no log, a damaged line, or a log of a later version.
    """
    try:
        lines = _whole(path.read_bytes()).splitlines()
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from None
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or "event" not in event:
            raise UserError(f"{path}:{number}", "damaged: not an event; restore the file")
        events.append(event)
    if events:
        _check_header(path, events[0])
    return events


@dataclass
class History:
    """What a log says, folded event by event.

    Attributes
    ----------
    header : dict
        The ``search`` event.
    trials : dict of str to dict
        Trial events in the order in which the trials first started.
    epochs : dict of str to list of dict
    rows : list of TrialRow
        Ended trials, in the order in which they ended.
    running : dict of str to dict
        Trial events without an end.
    tests : dict of str to float
        Test accuracy by trial.
    epoch_count : int
        Epochs trained by trials of the search itself.
    seconds : float
        Wall time of the search so far, summed over its runs.
    """

    header: Event = field(default_factory=dict)
    trials: dict[str, Event] = field(default_factory=dict)
    epochs: dict[str, list[Event]] = field(default_factory=dict)
    rows: list[TrialRow] = field(default_factory=list)
    running: dict[str, Event] = field(default_factory=dict)
    tests: dict[str, float] = field(default_factory=dict)
    epoch_count: int = 0
    seconds: float = 0.0

    def add(self, event: Event) -> None:
        """Fold one more event in."""
        kind = event["event"]
        if kind == "search":
            self.header = event
        elif kind == "trial":
            self.trials[event["trial_id"]] = event
            self.running[event["trial_id"]] = event
            self.epochs[event["trial_id"]] = []
        elif kind == "epoch":
            self.epochs[event["trial_id"]].append(event)
            self.epoch_count += self.trials[event["trial_id"]]["purpose"] == "search"
        elif kind == "end":
            self.rows.append(_row(self, self.running.pop(event["trial_id"]), event))
        elif kind == "test":
            self.tests[event["trial_id"]] = event["test_accuracy"]
        elif kind == "pause":
            self.seconds += event["seconds"]


def fold(events: Iterable[Event]) -> History:
    """The history that a list of events tells."""
    history = History()
    for event in events:
        history.add(event)
    return history


def _row(history: History, trial: Event, end: Event) -> TrialRow:
    epochs = history.epochs[trial["trial_id"]]
    reached = [_number(e["validation_accuracy"]) for e in epochs]
    copied = (
        "trial_id", "proposer", "parent_id", "purpose", "seed", "architecture", "architecture_key",
        "teacher_id", "teacher_validation_accuracy", "data_id", "parameters", "macs", "size_bytes",
        "started_at",
    )  # fmt: skip
    return TrialRow(
        search=history.header.get("search", ""),
        **{name: trial[name] for name in copied},
        status=end["status"],
        epochs=len(epochs),
        validation_accuracy=reached[-1] if reached else None,
        best_validation_accuracy=max(reached) if reached else None,
        latency_ms=end.get("latency_ms"),
        latency_device=end.get("latency_device"),
        peak_memory_mib=end.get("peak_memory_mib"),
        seconds=end["seconds"],
        gpu_seconds=end["gpu_seconds"],
        error=end["error"],
        holes=trial["assignment"],
    )


def _check_header(path: Path, header: Event) -> None:
    if header["event"] != "search":
        raise UserError(str(path), "does not begin with a search; not a log of kdsearch")
    if header.get("schema", 0) > SCHEMA_VERSION:
        raise UserError(
            str(path),
            f"schema {header['schema']} is newer than {SCHEMA_VERSION}, which this kdsearch knows; "
            "update kdsearch",
        )


def _whole(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _spell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _spell(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _number(value: Any) -> float:
    return float(value)  # "nan" and "inf" are words in the log


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
