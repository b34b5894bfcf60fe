"""The sections of a search file in which no hole may stand: one value for the whole search."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kdsearch.bounds import DEVICE, Bound, BoundNumber
from kdsearch.config import Name, NonNegative, Plain, Positive, PositiveFloat, Seed
from kdsearch.objectives import MEASURED, OBJECTIVES, Direction
from kdsearch.validation import nearest

Amount = Annotated[int, Field(ge=1)]  # a large one means: no end


class ObjectiveConfig(Plain):
    """One objective of the front: a row of `kdsearch.objectives.OBJECTIVES`."""

    name: str
    direction: Direction
    scale: Literal["linear", "log"] = "linear"
    # What is noise: no trial is stopped for being worse by less. None: as `OBJECTIVES` says.
    slack: NonNegative | None = None
    # Where an objective does not take one of these keys, its default stands and nobody reads it.
    bits: Annotated[int, Field(ge=1, le=64)] = 32  # of every stored number
    device: str = "cpu"  # or cuda, or cuda:N
    batch_size: Positive = 1  # samples of one forward

    @field_validator("name")
    @classmethod
    def _known_name(cls, name: str) -> str:
        if name not in OBJECTIVES:
            raise ValueError(f"nothing reports it; {nearest(name, list(OBJECTIVES))}")
        return name

    @field_validator("direction")
    @classmethod
    def _known_direction(cls, value: str, info: ValidationInfo) -> str:
        row = OBJECTIVES.get(info.data.get("name", ""))
        if row is not None and value != row.direction:
            raise ValueError(f"{info.data['name']} is an objective to {row.direction}")
        return value

    @field_validator("bits", "device", "batch_size")
    @classmethod
    def _taken_key(cls, value: Any, info: ValidationInfo) -> Any:
        row, key = OBJECTIVES.get(info.data.get("name", "")), str(info.field_name)
        if row is not None and key not in row.keys:
            takers = " and ".join(name for name, other in OBJECTIVES.items() if key in other.keys)
            raise ValueError(f"a key of {takers}, which {info.data['name']} does not take; drop it")
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.match(DEVICE, device):
            raise ValueError("no device; write cpu, cuda or cuda:0")
        return device

    def lowered(self, value: float) -> float:
        """The value as one to be minimised, on the objective's scale; what is no number, as inf."""
        if not math.isfinite(value):
            return math.inf
        return -self.scaled(value) if self.direction == "max" else self.scaled(value)

    def scaled(self, value: float) -> float:
        """The value on the objective's scale, in its own direction."""
        return math.log(max(value, 1e-12)) if self.scale == "log" else value

    @property
    def noise(self) -> float:
        """The slack that holds, in the objective's own unit."""
        return OBJECTIVES[self.name].noise if self.slack is None else self.slack


class ProposerConfig(Plain):
    """Who proposes assignments."""

    name: str = "tpe"
    members: list[str] = Field(default=[])  # of a portfolio: names of other proposers
    repeats: bool = False  # whether an architecture may be proposed again
    profile: Literal["n2n_plus", "n2n_paper", "n2n_code"] = "n2n_plus"  # n2n alone reads it
    policy: str | None = None  # n2n: a file to begin with; relative to the search file


class SchedulerConfig(Plain):
    """Who ends trials early."""

    name: Literal["asha", "none"] = "asha"
    grace: Positive = 1  # epochs before the first decision
    reduction: Annotated[int, Field(ge=2)] = 3  # one in so many goes on
    # stopping: a trial goes on or ends for good. promoting: it waits until it is among the best.
    form: Literal["stopping", "promoting"] = "stopping"
    brackets: Annotated[int, Field(ge=1, le=8)] = 1  # the n-th begins to decide n - 1 rungs later

    def first_rung(self, trial_id: str) -> int:
        """The epoch at which a trial's bracket begins to decide; ids take the brackets in turn."""
        return self.grace * self.reduction ** (int(trial_id) % self.brackets)


class BudgetConfig(Plain):
    """When the search ends: whichever comes first. And what it may take of the disk."""

    trials: Amount | None = None
    hours: PositiveFloat | None = None
    epochs: Amount | None = None
    disk_mib: PositiveFloat | None = None  # of its folder; a search that needs more stops

    def spent(self, trials: int, epochs: int, seconds: float) -> bool:
        """Whether this much of a search is all that it allows."""
        return (
            (self.trials is not None and trials >= self.trials)
            or (self.epochs is not None and epochs >= self.epochs)
            or (self.hours is not None and seconds >= 3600 * self.hours)
        )


class ResourcesConfig(Plain):
    """What one trial takes. The word auto alone: both are chosen from what students take."""

    cpu: Literal["auto"] | PositiveFloat = 1
    gpu: Literal["auto"] | NonNegative = "auto"

    @model_validator(mode="before")
    @classmethod
    def _both(cls, section: Any) -> Any:
        if isinstance(section, str) and section != "auto":
            raise ValueError("must be 'auto', or a mapping of cpu and gpu")
        return {"cpu": "auto", "gpu": "auto"} if section == "auto" else section

    @field_validator("cpu", "gpu", mode="before")
    @classmethod
    def _number_or_word(cls, value: Any, info: ValidationInfo) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        none = info.field_name == "gpu"  # may be
        if value == "auto" or (number and 0 <= value < math.inf and (value or none)):
            return value
        raise ValueError(f"must be a number {'from' if none else 'above'} 0, or 'auto'")


Constrained = Literal["parameters", "macs", "size_bytes", "latency_ms", "peak_memory_mib"]
DEFAULT_OBJECTIVES = [
    ObjectiveConfig(name="validation_accuracy", direction="max"),
    ObjectiveConfig(name="parameters", direction="min", scale="log"),
]


class Fixed(Plain):
    """The sections without holes: one value for the whole search."""

    search: Name
    objectives: list[ObjectiveConfig] = Field(default=DEFAULT_OBJECTIVES, min_length=1)
    constraints: dict[Constrained, BoundNumber] = Field(default={})
    proposer: ProposerConfig = ProposerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    budget: BudgetConfig
    resources: ResourcesConfig = ResourcesConfig()
    seed: Seed = 0

    @field_validator("objectives")
    @classmethod
    def _once_each(cls, objectives: list[ObjectiveConfig]) -> list[ObjectiveConfig]:
        names = [objective.name for objective in objectives]
        if twice := [name for name in OBJECTIVES if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} stands twice; keep one")
        return objectives

    @field_validator("constraints")
    @classmethod
    def _placed(cls, bounds: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        declared = {o.name: o for o in info.data.get("objectives", ())}
        for name, bound in bounds.items():
            if not isinstance(bound, Bound):
                continue
            if name not in MEASURED:
                raise ValueError(f"{name} is measured on no device; write the number alone")
            if name in declared and (declared[name].device, declared[name].batch_size) != (
                bound.device,
                bound.batch_size,
            ):
                raise ValueError(f"{name} is an objective, measured elsewhere; write the number")
        return bounds

    @field_validator("budget")
    @classmethod
    def _ends(cls, budget: BudgetConfig) -> BudgetConfig:
        if not (budget.trials or budget.hours or budget.epochs):
            raise ValueError("a budget needs trials, hours or epochs, so that the search ends")
        return budget

    def objective(self, name: str) -> ObjectiveConfig:
        """The objective of that name; where there is none, one that says nothing but its name.

        A bound is of the same number as the objective: at its bits, on its device. Where it is no
        objective, it is measured where the bound says, or where what else is measured is.
        """
        declared = {objective.name: objective for objective in self.objectives}
        direction = OBJECTIVES[name].direction
        where = self._place_of(name) if name in MEASURED else None
        place = {} if where is None else {"device": where.device, "batch_size": where.batch_size}
        return declared.get(name) or ObjectiveConfig(name=name, direction=direction, **place)

    def nowhere(self) -> Constrained | None:
        """A bound on what is measured of which nothing says on what device; None: there is none."""
        bound: list[Constrained] = [
            name for name in self.constraints if OBJECTIVES[name].source == "measured"
        ]
        return next((name for name in bound if self._place_of(name) is None), None)

    def _place_of(self, name: str) -> ObjectiveConfig | Bound | None:
        bound = next((b for n, b in self.constraints.items() if n == name), None)
        measured = [o for o in self.objectives if o.name in MEASURED]
        same = [o for o in measured if o.name == name]
        return next(iter([*same, *([bound] if isinstance(bound, Bound) else []), *measured]), None)

    @property
    def bits(self) -> int:
        """Bits of a stored number, by which ``size_bytes`` counts."""
        return self.objective("size_bytes").bits

    @property
    def measured(self) -> list[ObjectiveConfig]:
        """What is measured of every student before its trial, as an objective or for a bound."""
        asked = {*self.constraints, *(objective.name for objective in self.objectives)}
        return [self.objective(name) for name in MEASURED if name in asked]
