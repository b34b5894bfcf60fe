"""What the values of an event may be: a log may come from anyone, and its sums prove nothing.

What an event must have, and the trial that it speaks of, `kdsearch.results.history` finds out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from kdsearch.config import Name
from kdsearch.results.records import Purpose, Status
from kdsearch.search_sections import ObjectiveConfig

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Spelt = float | Literal["nan", "inf", "-inf"]  # as the log writes what JSON does not know
# Trials and teachers have folders of their ids.
TrialId = Annotated[str, Field(pattern=r"^[0-9]{1,12}$")]
TeacherId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Moment = Annotated[str, AfterValidator(lambda text: (datetime.fromisoformat(text), text)[1])]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Scheduler(_Said):
    name: str = "asha"
    grace: Count = 1
    reduction: Count = 3


class _Config(_Said):
    """What readers take of a search file; who runs it validates all of it."""

    objectives: list[ObjectiveConfig] | None = None
    measures: list[str] = []
    constraints: dict[str, Any] | None = None
    scheduler: _Scheduler = _Scheduler()


class _Drawn(_Said):
    """One draw of a policy."""

    actions: list[Count]
    free: list[bool]
    log_p: list[Finite]
    share: Finite
    condition: Any = None
    version: Count = 0
    taken: list[Any] = []


class _Note(_Said):
    stage: Count
    rolled: _Drawn
    refused: list[_Drawn]


def _noted(note: Any) -> Any:
    """A note is its proposer's own, and a policy's is read by others too."""
    return _Note.model_validate(note) if isinstance(note, dict) and "rolled" in note else note


class _Event(_Said):
    """Every value of every event: a name means the same in all."""

    event: str
    schema_: Whole = Field(default=0, alias="schema")
    search: Name = "search"
    config: _Config = _Config()
    columns: dict[str, Literal["int64", "float64", "string"]] = {}
    base: str = ""
    policy: str | None = None
    trial_id: TrialId = "0"
    proposer: str = ""
    parent_id: str | None = None
    purpose: Purpose = "search"
    seed: Whole = 0
    assignment: dict[str, Whole | Finite | bool | str | None] = {}
    spec: dict[str, Any] = {}
    note: Annotated[Any, AfterValidator(_noted)] = None
    architecture: str = ""
    architecture_key: str = ""
    parameters: Whole = 0
    macs: Whole = 0
    size_bytes: Whole = 0
    size_bits: Count | None = None
    latency_ms: Finite | None = None
    latency_device: str | None = None
    peak_memory_mib: Finite | None = None
    memory_device: str | None = None
    teacher_id: TeacherId | None = None
    teacher_validation_accuracy: Finite | None = None
    data_id: str = ""
    started_at: Moment = "2026-01-01"
    finish_epochs: Count | None = None
    epoch: Count = 0
    train_loss: Spelt = 0.0
    validation_accuracy: Spelt = 0.0
    validation_loss: Spelt = 0.0
    lr: Spelt = 0.0
    terms: dict[str, Spelt] = {}
    weights: dict[str, Spelt] = {}
    measures: dict[str, Spelt] = {}
    stage: str | None = None
    seconds: Finite = 0.0
    gpu_seconds: Finite = 0.0
    status: Status = "complete"
    error: str | None = None
    test_accuracy: Finite = 0.0
    why: str = ""
    seeds: Count = 0
    epochs: Count | None = None
    near: Finite = 0.0
    baseline: bool = False
    folders: list[str] = []
    queue: list[dict[str, Whole | Finite | bool | str | None]] = []
    told: list[dict[str, Any]] = []
    most: Count = 0
    removable: list[Annotated[list[Count], Field(min_length=2, max_length=2)]] = []


def event_fault(event: dict[str, Any]) -> str | None:
    """What is wrong with an event that was read; None: nothing.

    Parameters
    ----------
    event : dict
        As `json.loads` gives it.
    """
    if "event" not in event:
        return "not an event"
    try:
        _Event.model_validate(event)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=True)[0]
        place = ".".join(str(step) for step in first["loc"][:2])
        return f"{place} {first['input']!r:.60}: {first['msg']}"
    return None
