"""The records that cross boundaries: what a trial reports and what a finished trial is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["complete", "stopped", "diverged", "failed"]
Purpose = Literal["search", "baseline", "finish", "rerun"]

SCHEMA_VERSION = 1
# Columns that say what another one's values were taken at: unlike ones cannot be compared.
TOLD_APART = {
    "latency_ms": "latency_device",
    "peak_memory_mib": "memory_device",
    "size_bytes": "size_bits",
}


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch of one trial.

    Attributes
    ----------
    epoch : int
        From 1.
    train_loss : float
        Mean of the whole training loss over the epoch's steps.
    terms : dict of str to float
        Mean of every loss term, unweighted; ``label`` is the label loss.
    validation_accuracy : float
        Fraction, 0..1: the value that schedulers and objectives read.
    validation_loss : float
        Mean cross-entropy on the validation split.
    lr : float
        Learning rate of the epoch's last step.
    seconds : float
        Wall time of the epoch, validation included.
    stage : str or None
        The pre-training that the epoch belongs to, which nobody judges by its accuracy.
    weights : dict of str to float
        Weights of the terms that were asked to find their own.
    measures : dict of str to float
        What was measured of student and teacher at the end of the epoch, where asked for.
    """

    epoch: int
    train_loss: float
    terms: dict[str, float]
    validation_accuracy: float
    validation_loss: float
    lr: float
    seconds: float
    stage: str | None = None
    weights: dict[str, float] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A finished trial: one row of ``trials.parquet``.

    `size_bytes` is at the objective's bits (`size_bits`), 32 where the search says none.
    `latency_ms` and `peak_memory_mib` are of one forward, measured before the trial on the device
    that the search names (`latency_device`, `memory_device`: its name, and the batch), and None
    where it asks for neither; the memory that the training took on a GPU stands in
    the log, in the trial's ``end``. Accuracy and loss are the last epoch's.

    `holes` are the columns named by their path in the space, `measures` those of the last epoch;
    the other attributes are the columns of the same name. Only statuses of `Status` are rows.
    """

    search: str
    trial_id: str
    proposer: str
    parent_id: str | None
    purpose: Purpose
    status: Status
    seed: int
    architecture: str
    architecture_key: str
    epochs: int
    validation_accuracy: float | None
    best_validation_accuracy: float | None
    validation_loss: float | None
    teacher_id: str | None
    teacher_validation_accuracy: float | None
    data_id: str
    parameters: int
    macs: int
    size_bytes: int
    latency_ms: float | None
    latency_device: str | None
    peak_memory_mib: float | None
    seconds: float
    gpu_seconds: float
    started_at: str  # ISO 8601, UTC
    error: str | None
    size_bits: int | None = None
    memory_device: str | None = None
    holes: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
