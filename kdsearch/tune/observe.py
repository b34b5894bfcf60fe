"""What schedulers and proposers are told: objectives and histories, out of the log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdsearch.bounds import numbers_of
from kdsearch.objectives import OBJECTIVES, violations
from kdsearch.proposers import Observation
from kdsearch.results.log import Event, History
from kdsearch.search_sections import ObjectiveConfig


def directions(objectives: Sequence[ObjectiveConfig]) -> list[tuple[str, str]]:
    """Names and directions, as `pareto_front` takes them."""
    return [(o.name, o.direction) for o in objectives]


def objective_values(
    objectives: Sequence[ObjectiveConfig], trial: Event, epoch: Mapping[str, Any]
) -> tuple[float, ...]:
    """The objectives of a trial after one of its epochs, as declared: not turned, not scaled.

    Parameters
    ----------
    trial, epoch : dict
        Events: the first holds what was known and measured before training, the second what every
        epoch reports.

    Returns
    -------
    tuple of float
        NaN for what was not measured.
    """
    sources = [epoch if OBJECTIVES[o.name].source == "epoch" else trial for o in objectives]
    values = [source.get(o.name) for o, source in zip(objectives, sources, strict=True)]
    return tuple(math.nan if value is None else float(value) for value in values)


def observation(
    history: History,
    trial_id: str,
    fate: str,
    objectives: Sequence[ObjectiveConfig],
    last: int | None = None,
) -> Observation:
    """What a proposer is told of a trial that ended; or that rests, or rested, at epoch `last`."""
    trial = history.trials[trial_id]
    bounds = numbers_of(history.header.get("config", {}).get("constraints") or {})
    reached = tuple(
        (epoch["epoch"], objective_values(objectives, trial, epoch))
        for epoch in history.epochs.get(trial_id, ())
        if epoch.get("stage") is None  # in pre-training there is no accuracy to learn from
        and (last is None or epoch["epoch"] <= last)
    )
    return Observation(
        trial_id=trial_id,
        assignment=trial["assignment"],
        fate=fate,  # type: ignore[arg-type]
        values=reached[-1][1] if reached else None,
        history=reached,
        violations=violations(bounds, trial),
        proposer=trial.get("proposer"),
        note=trial.get("note"),
    )


def last_word(
    history: History, trial_id: str, objectives: Sequence[ObjectiveConfig]
) -> Observation:
    """What a proposer was last told of a trial: of its end, or of its rest at a rung."""
    fate, rested = history.heard[trial_id]
    return observation(history, trial_id, fate, objectives, rested)
