"""What a log says: trials, epochs, rows, folded event by event. Live and replayed are one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.records import TrialRow

Event = dict[str, Any]

LATEST = {"search": "header", "finish": "finish", "from": "earlier"}  # events, kept as they are
NUMBERS = ("train_loss", "validation_accuracy", "validation_loss", "lr", "seconds")  # of an epoch


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
    exhausted : str or None
        Why nothing new could be proposed, where that ended the search.
    finish : dict
        What `kdsearch finish` was last asked for; empty where it never was.
    earlier : dict
        What earlier searches gave this one to begin with; empty where there were none.
    """

    header: Event = field(default_factory=dict)
    trials: dict[str, Event] = field(default_factory=dict)
    epochs: dict[str, list[Event]] = field(default_factory=dict)
    rows: list[TrialRow] = field(default_factory=list)
    running: dict[str, Event] = field(default_factory=dict)
    tests: dict[str, float] = field(default_factory=dict)
    epoch_count: int = 0
    seconds: float = 0.0
    exhausted: str | None = None
    finish: Event = field(default_factory=dict)
    earlier: Event = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Fold one more event in."""
        kind = event["event"]
        if kind in LATEST:
            setattr(self, LATEST[kind], event)
        elif kind == "trial":
            if event["purpose"] == "search":  # epochs of a broken run of this trial are void
                self.epoch_count -= len(self.epochs.get(event["trial_id"], ()))
            self.trials[event["trial_id"]] = event
            self.running[event["trial_id"]] = event
            self.epochs[event["trial_id"]] = []
        elif kind == "epoch":
            self.epochs[event["trial_id"]].append(_spoken(event))
            self.epoch_count += self.trials[event["trial_id"]]["purpose"] == "search"
        elif kind == "end":
            self.rows.append(_row(self, self.running.pop(event["trial_id"]), event))
        elif kind == "test":
            self.tests[event["trial_id"]] = event["test_accuracy"]
        elif kind == "pause":
            self.seconds += event["seconds"]
        elif kind == "exhausted":
            self.exhausted = event["why"]


def fold(events: Iterable[Event]) -> History:
    """The history that a list of events tells.

    Raises
    ------
    UserError
        An event that lacks a part, or the trial that it speaks of.
    """
    history = History()
    for number, event in enumerate(events, 1):
        try:
            history.add(event)
        except KeyError as missing:
            fault = f"damaged: {event['event']} without its {missing}; restore the file"
            raise UserError(f"log.jsonl:{number}", fault) from None
    return history


def _row(history: History, trial: Event, end: Event) -> TrialRow:
    epochs = history.epochs[trial["trial_id"]]
    reached = [e["validation_accuracy"] for e in epochs]
    judged = [e["validation_accuracy"] for e in epochs if e.get("stage") is None]
    best = max((a for a in judged or reached if math.isfinite(a)), default=None)
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
        best_validation_accuracy=best,
        validation_loss=epochs[-1]["validation_loss"] if epochs else None,
        # Measured before the trial; the end has a peak_memory_mib too, which is the training's.
        latency_ms=trial.get("latency_ms"),
        latency_device=trial.get("latency_device"),
        peak_memory_mib=trial.get("peak_memory_mib"),
        seconds=end["seconds"],
        gpu_seconds=end["gpu_seconds"],
        error=end["error"],
        holes=trial["assignment"],
        measures=epochs[-1]["measures"] if epochs else {},
    )


def _spoken(epoch: Event) -> Event:
    """The epoch with numbers for the words nan and inf: the same live and read back."""
    numbers = {name: float(epoch[name]) for name in NUMBERS}
    tables = {
        kind: {name: float(value) for name, value in epoch.get(kind, {}).items()}
        for kind in ("terms", "weights", "measures")
    }
    return {**epoch, **numbers, **tables}
