"""What the values of an event may be: a log may come from anyone, and its sums prove nothing.

What an event must have, and the trial that it speaks of, `kdsearch.results.history` finds out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

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
MaybeCount: TypeAlias = Count | None
MaybeFinite: TypeAlias = Finite | None
MaybeTeacherId: TypeAlias = TeacherId | None
Hole: TypeAlias = Whole | Finite | bool | str | None


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
    condition: Finite
    version: Count
    taken: list[Count]
    fate: str


class _Note(_Said):
    stage: Count
    rolled: _Drawn
    refused: list[_Drawn]


def _noted(note: Any) -> Any:
    """A note is its proposer's own, and a policy's is read by others too."""
    return _Note.model_validate(note) if isinstance(note, dict) and "rolled" in note else note


# Every value of every event: a name means the same in all.
FIELDS: dict[str, Any] = {
    "event": str,
    "schema": Whole,
    "search": Name,
    "config": _Config,
    "columns": dict[str, Literal["int64", "float64", "string"]],
    "base": str,
    "policy": str | None,
    "trial_id": TrialId,
    "proposer": str,
    "parent_id": str | None,
    "purpose": Purpose,
    "seed": Whole,
    "assignment": dict[str, Hole],
    "spec": dict[str, Any],
    "note": Annotated[Any, AfterValidator(_noted)],
    "architecture": str,
    "architecture_key": str,
    "parameters": Whole,
    "macs": Whole,
    "size_bytes": Whole,
    "size_bits": MaybeCount,
    "latency_ms": MaybeFinite,
    "latency_device": str | None,
    "peak_memory_mib": MaybeFinite,
    "memory_device": str | None,
    "teacher_id": MaybeTeacherId,
    "teacher_validation_accuracy": MaybeFinite,
    "data_id": str,
    "started_at": Moment,
    "finish_epochs": MaybeCount,
    "epoch": Count,
    "train_loss": Spelt,
    "validation_accuracy": Spelt,
    "validation_loss": Spelt,
    "lr": Spelt,
    "terms": dict[str, Spelt],
    "weights": dict[str, Spelt],
    "measures": dict[str, Spelt],
    "stage": str | None,
    "seconds": Finite,
    "gpu_seconds": Finite,
    "status": Status,
    "error": str | None,
    "test_accuracy": Finite,
    "why": str,
    "seeds": Count,
    "epochs": MaybeCount,
    "near": Finite,
    "baseline": bool,
    "folders": list[str],
    "queue": list[dict[str, Hole]],
    "told": list[dict[str, Any]],
    "most": Count,
    "place": str,
    "cpu": Annotated[float, Field(gt=0, allow_inf_nan=False)],
    "gpu": Annotated[float, Field(ge=0, allow_inf_nan=False)],
    "memory_mib": Count,
    "removable": list[Annotated[list[Count], Field(min_length=2, max_length=2)]],
}
CHECKS = {name: TypeAdapter(kind) for name, kind in FIELDS.items()}


def event_fault(event: dict[str, Any]) -> str | None:
    """What is wrong with an event that was read; None: nothing.

    Parameters
    ----------
    event : dict
        As `json.loads` gives it.
    """
    if "event" not in event:
        return "not an event"
    for name, value in event.items():
        if (check := CHECKS.get(name)) is None:
            continue
        try:
            check.validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(step) for step in (name, *first["loc"][:1]))
            return f"{place} {first['input']!r:.60}: {first['msg']}"
    return None
