"""Events of a trial that runs, as the driver writes them to the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from kdsearch.results.history import Event, History
from kdsearch.results.records import EpochReport
from kdsearch.tune.gate import now


def epoch_events(history: History, trial_id: str, reports: Sequence[EpochReport]) -> list[Event]:
    """The epochs of a trial that the log does not have yet."""
    known = len(history.epochs.get(trial_id, ()))
    return [
        {"event": "epoch", "trial_id": trial_id, **asdict(report)}
        for report in reports
        if report.epoch > known
    ]


def rest_event(history: History, trial_id: str, seconds: float) -> Event:
    """A trial rests after its last epoch; a worker had it for so many seconds."""
    epoch = len(history.epochs[trial_id])
    rest = {"event": "rest", "trial_id": trial_id, "epoch": epoch, "seconds": seconds}
    return {**rest, "at": now()}


def end_event(
    trial_id: str,
    status: str,
    error: str | None,
    seconds: float,
    gpus: float,
    peak_memory_mib: float | None,
    idle_seconds: float | None,
) -> Event:
    """A trial is a row from here on; it had so many GPUs."""
    return {
        "event": "end",
        "trial_id": trial_id,
        "status": status,
        "error": error,
        "seconds": seconds,
        "gpu_seconds": seconds * gpus,
        "peak_memory_mib": peak_memory_mib,
        "idle_seconds": idle_seconds,
        "at": now(),
    }
