"""Optuna's samplers behind ask and tell. The only module that imports Optuna."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from kdsearch.domains import Choice, Domain, Float, Int, Scalar
from kdsearch.proposers.base import Observation, Proposal
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace

STARTUP = 10  # random trials before the model speaks: Optuna's default

# Told truthfully: TPE takes what was stopped as worse than what was finished, and learns nothing
# from what failed or never ran.
STATES = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
    "infeasible": TrialState.FAIL,
    "repeated": TrialState.FAIL,
}


class TPEProposer:
    """Tree-structured Parzen estimators over several objectives (Ozaki et al. 2022).

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
    seed : int
    """

    def __init__(
        self, space: SearchSpace, objectives: Sequence[ObjectiveConfig], seed: int = 0
    ) -> None:
        self.space, self.seed = space, seed
        self.study = new_study([o.direction for o in objectives], _sampler(seed))
        self._asked: dict[str, optuna.Trial] = {}
        self._replayed = 0

    def propose(self, trial_id: str) -> Proposal:
        """What the model expects most of."""
        if self._replayed:  # the stream of the first run would propose its first trials again
            self.study.sampler = _sampler(self.seed + self._replayed * 1_000_003)
            self._replayed = 0
        trial = self.study.ask()
        filled = self.space.fill(partial(_suggest, trial))
        self._asked[trial_id] = trial
        return Proposal(filled.assignment)

    def propose_random(self, trial_id: str) -> Proposal:
        """A random assignment, which the model learns from like from its own."""
        rng = random.Random(f"{self.seed}:{trial_id}:{len(self.study.get_trials(deepcopy=False))}")
        self.study.enqueue_trial(_labels(self.space, self.space.sample(rng).assignment))
        return self.propose(trial_id)

    def observe(self, observation: Observation) -> None:
        """Tell the study; a trial proposed before a break is added to it instead."""
        trial = self._asked.pop(observation.trial_id, None)
        state = STATES[observation.fate]
        values = observation.values if state is TrialState.COMPLETE else None
        if trial is not None:
            self.study.tell(trial, values, state=state)
        else:
            self.study.add_trial(_past(self.space, observation))
            self._replayed += 1


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32, n_startup_trials=STARTUP, constant_liar=True
        )


def new_study(
    directions: Sequence[str],
    sampler: optuna.samplers.BaseSampler | None = None,
    storage: Any = None,
    name: str | None = None,
) -> optuna.Study:
    """A study in the objectives' directions; Optuna's own log lines are kept off the terminal."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    return optuna.create_study(
        directions=["maximize" if d == "max" else "minimize" for d in directions],
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
    study = new_study([o.direction for o in objectives], storage=storage, name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([o.name for o in objectives])
    trials = [_past(space, observation) for observation in observations]
    study.add_trials(trials)
    return len(trials)


def _past(space: SearchSpace, observation: Observation) -> optuna.trial.FrozenTrial:
    labels = _labels(space, observation.assignment)
    state = STATES[observation.fate]
    return create_trial(
        state=state,
        values=list(observation.values or ()) if state is TrialState.COMPLETE else None,
        params=labels,
        distributions={name: _distribution(space.holes[name]) for name in labels},
        user_attrs={"trial_id": observation.trial_id, "status": observation.fate},
    )


def _labels(space: SearchSpace, assignment: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {name: value for name, value in assignment.items() if name in space.holes}


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Int):
        low, high = domain.corners
        return IntDistribution(int(low), int(high), log=domain.log, step=domain.step)
    with _quietly_rounded():
        return FloatDistribution(*_bounds(domain), log=domain.log, step=domain.step)


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Scalar:
    if isinstance(domain, Choice):
        option: Any = trial.suggest_categorical(name, domain.values)
        return option
    if isinstance(domain, Int):
        low, high = domain.corners
        return trial.suggest_int(name, int(low), int(high), log=domain.log, step=domain.step)
    with _quietly_rounded():
        value = trial.suggest_float(name, *_bounds(domain), log=domain.log, step=domain.step)
    return domain.nearest(value)


def _bounds(domain: Float) -> tuple[float, float]:
    """Bounds of which Optuna, which rounds the range down to whole steps, loses none."""
    low, high = domain.corners
    return float(low), float(high) + (0.0 if domain.step is None else domain.step / 1000)


@contextmanager
def _quietly_rounded() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
