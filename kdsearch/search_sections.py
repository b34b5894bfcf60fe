"""The sections of a search file in which no hole may stand: one value for the whole search."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from kdsearch.config import Name, NonNegative, Plain, Positive, PositiveFloat, Seed


class ObjectiveConfig(Plain):
    """One objective of the front."""

    name: Literal["validation_accuracy", "parameters", "macs", "size_bytes"]
    direction: Literal["max", "min"]
    scale: Literal["linear", "log"] = "linear"
    # What is noise: no trial is stopped for being worse by less. None: a point of accuracy, and
    # nothing of what is the same at every measurement.
    slack: NonNegative | None = None

    @field_validator("direction")
    @classmethod
    def _known_direction(cls, value: str, info: Any) -> str:
        wanted = "max" if info.data.get("name") == "validation_accuracy" else "min"
        if value != wanted:
            raise ValueError(f"{info.data.get('name')} is an objective to {wanted}")
        return value

    def lowered(self, value: float) -> float:
        """The value as one to be minimised, on the objective's scale; what is no number, as inf."""
        if not math.isfinite(value):
            return math.inf
        scaled = math.log(max(value, 1e-12)) if self.scale == "log" else value
        return -scaled if self.direction == "max" else scaled

    @property
    def noise(self) -> float:
        """The slack that holds, in the objective's own unit."""
        if self.slack is not None:
            return self.slack
        return 0.01 if self.name == "validation_accuracy" else 0.0


class ProposerConfig(Plain):
    """Who proposes assignments."""

    name: str = "tpe"
    members: list[str] = Field(default=[])  # of a portfolio
    repeats: bool = False  # whether an architecture may be proposed again


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
    """When the search ends: whichever comes first."""

    trials: Positive | None = None
    hours: PositiveFloat | None = None
    epochs: Positive | None = None

    def spent(self, trials: int, epochs: int, seconds: float) -> bool:
        """Whether this much of a search is all that it allows."""
        return (
            (self.trials is not None and trials >= self.trials)
            or (self.epochs is not None and epochs >= self.epochs)
            or (self.hours is not None and seconds >= 3600 * self.hours)
        )


class ResourcesConfig(Plain):
    """What one trial takes."""

    cpu: PositiveFloat = 1
    gpu: Literal["auto"] | NonNegative = "auto"


Constrained = Literal["parameters", "macs", "size_bytes"]
DEFAULT_OBJECTIVES = [
    ObjectiveConfig(name="validation_accuracy", direction="max"),
    ObjectiveConfig(name="parameters", direction="min", scale="log"),
]


class Fixed(Plain):
    """The sections without holes: one value for the whole search."""

    search: Name
    objectives: list[ObjectiveConfig] = Field(default=DEFAULT_OBJECTIVES, min_length=1)
    constraints: dict[Constrained, PositiveFloat] = Field(default={})
    proposer: ProposerConfig = ProposerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    budget: BudgetConfig
    resources: ResourcesConfig = ResourcesConfig()
    seed: Seed = 0

    @field_validator("budget")
    @classmethod
    def _ends(cls, budget: BudgetConfig) -> BudgetConfig:
        if not (budget.trials or budget.hours or budget.epochs):
            raise ValueError("a budget needs trials, hours or epochs, so that the search ends")
        return budget
