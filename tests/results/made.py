"""Events of a small search, made up: what the other tests of this folder append and fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "student.widths[0]": "int64",
    "training.lr": "float64",
    "losses[1]": "string",
    "losses[1].at.weight": "float64",
}
CONFIG = {
    "objectives": [
        {"name": "validation_accuracy", "direction": "max", "scale": "linear"},
        {"name": "parameters", "direction": "min", "scale": "log"},
    ]
}


def header(**changes: Any) -> dict[str, Any]:
    return {
        "event": "search",
        "schema": 1,
        "search": "made",
        "config": CONFIG,
        "started_at": "2026-01-02T03:04:05+00:00",
        "columns": COLUMNS,
        **changes,
    }


def trial(trial_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "event": "trial",
        "trial_id": trial_id,
        "proposer": "random",
        "parent_id": None,
        "purpose": "search",
        "seed": 7,
        "assignment": {"student.widths[0]": 8, "training.lr": 0.1, "losses[1]": "none"},
        "spec": {"seed": 7},
        "architecture": '{"family":"resnet"}',
        "architecture_key": f"key{trial_id}",
        "parameters": 1000,
        "macs": 20_000,
        "size_bytes": 4000,
        "teacher_id": "t0",
        "teacher_validation_accuracy": 0.95,
        "data_id": "d0",
        "started_at": "2026-01-02T03:04:05.678901+00:00",
        **changes,
    }


def epoch(trial_id: str, number: int, accuracy: float, **changes: Any) -> dict[str, Any]:
    return {
        "event": "epoch",
        "trial_id": trial_id,
        "epoch": number,
        "train_loss": 1.5,
        "terms": {"label": 0.5, "kd": 1.0},
        "validation_accuracy": accuracy,
        "validation_loss": 0.4,
        "lr": 0.1,
        "seconds": 2.0,
        **changes,
    }


def end(trial_id: str, status: str = "complete", **changes: Any) -> dict[str, Any]:
    return {
        "event": "end",
        "trial_id": trial_id,
        "status": status,
        "error": None,
        "seconds": 4.0,
        "gpu_seconds": 1.0,
        **changes,
    }


def story() -> list[dict[str, Any]]:
    """Four trials: complete, broken off and started again, stopped, diverged."""
    at = {"training.lr": 0.2, "losses[1]": "at", "losses[1].at.weight": 30.0}
    nan = float("nan")
    return [
        header(),
        trial("00000"),
        trial("00001", parameters=500, assignment=at),
        epoch("00000", 1, 0.5),
        epoch("00001", 1, 0.9),
        epoch("00000", 2, 0.7),
        epoch("00000", 3, 0.6),
        end("00000"),
        trial("00001", parameters=500, assignment=at),
        epoch("00001", 1, 0.4, terms={"label": 0.5, "at": 2.0}),
        end("00001"),
        trial("00002"),
        epoch("00002", 1, 0.1),
        end("00002", "stopped"),
        trial("00003"),
        epoch("00003", 1, 0.3),
        epoch("00003", 2, nan, train_loss=nan, terms={"label": float("inf"), "kd": nan}),
        end("00003", "diverged", error="the loss became nan"),
        {"event": "test", "trial_id": "00000", "test_accuracy": 0.58},
        trial("00004"),
        epoch("00004", 1, 0.2),
    ]


def finished(
    students: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    epochs: int | None = None,
    first: int = 100,
) -> list[dict[str, Any]]:
    """Students, each larger and better than the last; then their repeats, tested.

    Parameters
    ----------
    students : mapping
        Trial -> test accuracies with the teacher, and without it; on validation a tenth less.
    epochs : int, optional
        What `kdsearch finish` was asked for.
    first : int
        Id of the first repeat.
    """
    events = [header()]
    for size, name in enumerate(students, 1):
        events += [trial(name, parameters=size * 1000), epoch(name, 1, 0.1 * size), end(name)]
    return events + repeated(students, epochs, first)


def repeated(
    students: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    epochs: int | None = None,
    first: int = 100,
) -> list[dict[str, Any]]:
    """The repeats alone, and what asked for them; seeds count from 0."""
    events: list[dict[str, Any]] = [{"event": "finish", "epochs": epochs}]
    for parent, both in students.items():
        for purpose, reached in zip(("finish", "baseline"), both, strict=True):
            for seed, accuracy in enumerate(reached):
                name = f"{first:05d}"
                first += 1
                events += [
                    trial(name, purpose=purpose, parent_id=parent, seed=seed, finish_epochs=epochs),
                    epoch(name, 1, accuracy - 0.1),
                    end(name),
                    {"event": "test", "trial_id": name, "test_accuracy": accuracy},
                ]
    return events
