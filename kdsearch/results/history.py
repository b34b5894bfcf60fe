"""What a log says: trials, epochs, rows, folded event by event. Live and replayed are one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.records import TrialRow

Event = dict[str, Any]

# Events that are kept as they are: the last one, and the last one by a key.
LATEST = {"search": "header", "finish": "finish", "from": "earlier"}
KEYED = {"teacher": ("teachers", "teacher_id"), "resources": ("resources", "place")}
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
        Trial events without an end, of trials that do not rest.
    resting : dict of str to dict
        Trial events of those that wait at a rung.
    rested : dict of str to float
        Seconds that trials without an end were trained before they last rested.
    heard : dict of str to (str, int or None)
        Trials of the search itself that rested or ended, in the order of the last time: ``resting``
        and the epoch, or the status and none.
    started : int
        Trials of the search itself that were ever started.
    reported : int
        Epochs read so far; ``order`` of an epoch is its number among them.
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
    teachers : dict of str to dict
        The teachers that students are edits of, by identity; none in logs of an earlier kdsearch.
    resources : dict of str to dict
        What trials take where the search file left it open, by the kinds of machines.
    crowded : dict of str to int
        How many trials at a time the memory of these machines holds, where it did not hold more.
    """

    header: Event = field(default_factory=dict)
    trials: dict[str, Event] = field(default_factory=dict)
    epochs: dict[str, list[Event]] = field(default_factory=dict)
    rows: list[TrialRow] = field(default_factory=list)
    running: dict[str, Event] = field(default_factory=dict)
    resting: dict[str, Event] = field(default_factory=dict)
    rested: dict[str, float] = field(default_factory=dict)
    heard: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    started: int = 0
    reported: int = 0
    tests: dict[str, float] = field(default_factory=dict)
    epoch_count: int = 0
    seconds: float = 0.0
    exhausted: str | None = None
    finish: Event = field(default_factory=dict)
    earlier: Event = field(default_factory=dict)
    teachers: dict[str, Event] = field(default_factory=dict)
    resources: dict[str, Event] = field(default_factory=dict)
    crowded: dict[str, int] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Fold one more event in."""
        kind = event["event"]
        if kind in LATEST:
            self._replace(LATEST[kind], event)
        elif kind == "trial":
            self._start(event)
        elif kind == "epoch":
            self.reported += 1
            self.epochs[event["trial_id"]].append({**_spoken(event), "order": self.reported})
            self.epoch_count += self.trials[event["trial_id"]]["purpose"] == "search"
        elif kind in ("rest", "resume", "end"):
            self._move(kind, event)
        elif kind == "test":
            self.tests[event["trial_id"]] = event["test_accuracy"]
        elif kind == "pause":
            self.seconds += event["seconds"]
        elif kind in KEYED:
            name, key = KEYED[kind]
            getattr(self, name)[event[key]] = event
        elif kind == "crowd":
            self.crowded[event["place"]] = event["most"]
        elif kind == "exhausted":
            self.exhausted = event["why"]

    def spell(self, trial_id: str) -> float:
        """Seconds of the epochs of a trial since it last rested."""
        total = sum(epoch["seconds"] for epoch in self.epochs[trial_id])
        return max(0.0, total - self.rested.get(trial_id, 0.0))

    def _replace(self, name: str, event: Event) -> None:
        setattr(self, name, event)
        if name == "header" and not self.trials:  # mended before it began: another search
            self.resources.clear()

    def _start(self, event: Event) -> None:
        """A trial begins; what an earlier run of it came to is void."""
        event = {**_said_by(self.header.get("config", {}), event), **event}
        trial_id = event["trial_id"]
        if event["purpose"] == "search":
            self.started += trial_id not in self.trials
            self.epoch_count -= len(self.epochs.get(trial_id, ()))
        self.resting.pop(trial_id, None)
        self.rested.pop(trial_id, None)
        self.trials[trial_id] = self.running[trial_id] = event
        self.epochs[trial_id] = []

    def _move(self, kind: str, event: Event) -> None:
        """A trial goes to rest, or on, or ends."""
        trial_id = event["trial_id"]
        if kind != "resume" and self.trials[trial_id]["purpose"] == "search":
            rests = kind == "rest"
            self.heard.pop(trial_id, None)
            self.heard[trial_id] = ("resting", event["epoch"]) if rests else (event["status"], None)
        if kind == "rest":
            self.resting[trial_id] = self.running.pop(trial_id)
            self.rested[trial_id] = self.rested.get(trial_id, 0.0) + event["seconds"]
        elif kind == "resume" and trial_id in self.resting:
            self.running[trial_id] = self.resting.pop(trial_id)
        elif kind == "resume":  # it lost its worker: what came after its state is trained again
            kept, void = _cut(self.epochs[trial_id], event["epoch"])
            self.epochs[trial_id] = kept
            self.epoch_count -= len(void) * (self.trials[trial_id]["purpose"] == "search")
            self.rested[trial_id] = sum(epoch["seconds"] for epoch in kept)
        else:
            there = self.resting if trial_id in self.resting else self.running
            self.rows.append(_row(self, there.pop(trial_id), event))
            self.rested.pop(trial_id, None)


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


def _cut(epochs: list[Event], last: int) -> tuple[list[Event], list[Event]]:
    return epochs[:last], epochs[last:]


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
        size_bits=trial.get("size_bits"),
        memory_device=trial.get("memory_device"),
        seconds=end["seconds"],
        gpu_seconds=end["gpu_seconds"],
        error=end["error"],
        holes=trial["assignment"],
        measures=epochs[-1]["measures"] if epochs else {},
    )


def _said_by(config: Event, trial: Event) -> Event:
    """What a trial event of an earlier kdsearch lacks, and the search file says."""
    declared = {o["name"]: o for o in config.get("objectives") or ()}
    said: Event = {"size_bits": declared.get("size_bytes", {}).get("bits", 32)}
    memory = declared.get("peak_memory_mib", {})
    if trial.get("peak_memory_mib") is not None and memory.get("device", "cpu") == "cpu":
        said["memory_device"] = f"cpu, batch {memory.get('batch_size', 1)}"
    return said


def _spoken(epoch: Event) -> Event:
    """The epoch with numbers for the words nan and inf: the same live and read back."""
    numbers = {name: float(epoch[name]) for name in NUMBERS}
    tables = {
        kind: {name: float(value) for name, value in epoch.get(kind, {}).items()}
        for kind in ("terms", "weights", "measures")
    }
    return {**epoch, "epoch": epoch["epoch"], **numbers, **tables}
