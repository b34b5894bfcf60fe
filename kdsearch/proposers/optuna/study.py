"""Observations as Optuna's trials, and a search as Optuna's study."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from kdsearch.proposers.base import Observation, Stopped
from kdsearch.proposers.optuna.holes import distributions
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace

STOPPED: dict[Stopped, TrialState] = {
    "pruned": TrialState.PRUNED,
    "constraint": TrialState.COMPLETE,
    "complete": TrialState.COMPLETE,
    "omitted": TrialState.FAIL,
}


class Told(FrozenTrial):
    """A trial whose copies share what is in it: nobody changes that, it is put in anew.

    A study copies all that it is given, down to what every hole may be: nearly all of the time
    that it takes to make one.
    """

    def __deepcopy__(self, memo: Any) -> Told:
        return copy(self)

    def _validate(self) -> None:
        """It was found valid when it was made; a study asks again."""


def told_trial(known: Mapping[str, BaseDistribution], **parts: Any) -> FrozenTrial:
    """A trial of these parts; `known` has what each hole may be."""
    labels = {name: v for name, v in parts.pop("params").items() if name in known}
    own = {name: known[name] for name in labels}
    trial = object.__new__(Told)
    vars(trial).update(vars(create_trial(params=labels, distributions=own, **parts)))
    return trial


def state_of(observation: Observation, stopped: Stopped = "pruned") -> TrialState:
    """The state that says truthfully what became of a proposal.

    No sampler reads a FAIL: nothing is learned from what crashed, diverged or was known already.
    A network above its bound is PRUNED, and TPE reads from its violations how far above.
    """
    has_values = observation.values is not None and all(map(math.isfinite, observation.values))
    if observation.fate == "complete":
        return TrialState.COMPLETE if has_values else TrialState.FAIL
    if observation.fate in ("stopped", "resting"):
        state = STOPPED[stopped]
        return TrialState.PRUNED if state is TrialState.COMPLETE and not has_values else state
    if observation.fate == "infeasible" and any(v > 0 for v in observation.violations):
        return TrialState.PRUNED
    return TrialState.FAIL


def constraints_of(observation: Observation, stopped: Stopped = "pruned") -> dict[str, float]:
    """What is told of its constraints: above 0 where one is broken, by how much."""
    told = {f"constraint {i}": v for i, v in enumerate(observation.violations)}
    if observation.fate in ("stopped", "resting") and stopped == "constraint":
        told["undertrained"] = 1 / max(observation.epochs, 1)  # the later it ended, the better
    return told


def frozen(
    known: Mapping[str, BaseDistribution], observation: Observation, stopped: Stopped = "pruned"
) -> FrozenTrial:
    """An observation as a trial that a study can be given.

    Parameters
    ----------
    known : mapping
        The distribution of every hole.
    stopped : str
        What is told of trials that the scheduler stopped.
    """
    state = state_of(observation, stopped)
    return told_trial(
        known,
        state=state,
        values=list(observation.values or ()) if state is TrialState.COMPLETE else None,
        params=observation.assignment,
        user_attrs={"trial_id": observation.trial_id, "status": observation.fate},
        constraints=constraints_of(observation, stopped),
    )


def new_study(
    objectives: Sequence[ObjectiveConfig],
    sampler: optuna.samplers.BaseSampler | None = None,
    storage: Any = None,
    name: str | None = None,
) -> optuna.Study:
    """A study in the objectives' directions; Optuna's own log lines are kept off the terminal."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    return optuna.create_study(
        directions=["maximize" if o.direction == "max" else "minimize" for o in objectives],
        sampler=sampler,
        storage=storage,
        study_name=name,
    )


def export_study(
    space: SearchSpace,
    objectives: Sequence[ObjectiveConfig],
    observations: Iterable[Observation],
    storage: str,
    name: str,
) -> int:
    """Write past trials as an Optuna study, for optuna-dashboard.

    Parameters
    ----------
    storage : str
        A database URL: ``sqlite:///study.db``.
    name : str
        Of the study; one of that name is replaced.

    Returns
    -------
    int
        How many trials were written.
    """
    logging.getLogger("optuna").setLevel(logging.WARNING)
    if name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    study = new_study(objectives, storage=storage, name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([o.name for o in objectives])
    known = distributions(space)
    trials = [frozen(known, observation) for observation in observations]
    study.add_trials(trials)
    return len(trials)
