"""Proposers that ask one of Optuna's samplers, and tell it a bounded set of what is known."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from kdsearch.proposers.base import Observation, Proposal, Stopped
from kdsearch.proposers.learner import Learner
from kdsearch.proposers.memory import Memory
from kdsearch.proposers.mutation import mutate
from kdsearch.proposers.optuna.holes import distributions, suggest
from kdsearch.proposers.optuna.study import frozen, new_study, told_trial
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import Assignment, SearchSpace

BOUND = 400  # observations that a new study is told
STARTUP = 10  # random trials before TPE's model speaks: Optuna's default
POPULATION = 24  # of NSGA-II: several generations in a budget of some hundred trials
GENERATION = "NSGAIISampler:generation"  # where Optuna keeps it; a test sees that it is read


class OptunaProposer(Learner):
    """Asks a sampler of Optuna. Base of the proposers below.

    The time of an ask grows with the trials of a study, and a study keeps every trial for ever. So
    a new one is begun whenever a quarter of `bound` has been asked or told, with at most `bound`
    observations, the best fronts and the most recent, and of what runs the last half of `bound`.

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
    seed : int
    stopped : str
        What the sampler is told of trials that the scheduler stopped.
    bound : int
        Observations that a new study is told.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[ObjectiveConfig],
        seed: int = 0,
        *,
        stopped: Stopped = "pruned",
        bound: int = BOUND,
    ) -> None:
        super().__init__(space, objectives, seed, stopped=stopped)
        self.bound = bound
        self._distributions = distributions(space)
        self._memory = Memory(objectives, bound)
        self._study: optuna.Study | None = None  # made when one is asked
        self._grown = 0  # trials since it was made
        self._rested: dict[str, tuple[Any, ...]] = {}  # what the sampler sees of those that rest
        self._running: dict[str, Assignment] = {}
        self._numbers: dict[str, int] = {}  # in the study, of those that it was told of
        # What the last study was told, by the observation, which is held: its id is no other's.
        self._made: dict[int, tuple[Observation, FrozenTrial]] = {}

    @property
    def study(self) -> optuna.Study:
        """What the sampler sees now."""
        return self._study or self._begin("")

    def propose(self, trial_id: str) -> Proposal:
        """What the model expects most of."""
        study = self._study or self._begin(trial_id)
        trial = self._ask(study)
        filled = self.space.fill(partial(suggest, trial))
        self._running[trial_id], self._numbers[trial_id] = filled.assignment, trial.number
        self._grown += 1
        return Proposal(filled.assignment)

    def propose_random(self, trial_id: str) -> Proposal:
        """A random assignment, which the model learns from like from its own."""
        study = self._study or self._begin(trial_id)
        assignment = self.space.sample(self._rng(trial_id)).assignment
        self._run(study, trial_id, assignment)
        return Proposal(assignment)

    def observe(self, observation: Observation) -> None:
        """Take notice of any trial: of one asked here, before a break, or of another proposer."""
        self._told += 1
        self._running.pop(observation.trial_id, None)
        number = self._numbers.pop(observation.trial_id, None)
        if number is not None and self._study is not None:
            # What was asked makes room for the whole truth, constraints included.
            self._study.tell(number, state=TrialState.FAIL)
        trial = self._frozen(observation)
        seen = trial.state, trial.values, trial.constraints
        before = self._rested.pop(observation.trial_id, None)
        if before is not None:
            self._memory.forget(observation.trial_id)
            if before != seen:
                self._study = None  # a study forgets nothing
        if observation.fate == "resting":
            self._rested[observation.trial_id] = seen
        if trial.state is not TrialState.FAIL:
            self._memory.add(observation)
            if self._study is not None and before is None:
                self._add(self._study, trial)
        if self._grown >= max(self.bound // 4, 1):
            self._study = None

    def _begin(self, trial_id: str) -> optuna.Study:
        """A study of what is known and what runs, with a stream that was never drawn from."""
        rng = random.Random(f"{self.seed}:{self._told}:{trial_id}")
        study = self._study = new_study(self.objectives, self._sampler(rng.getrandbits(32)))
        kept = self._memory.kept()
        made = [self._made.get(id(o)) or (o, self._frozen(o)) for o in kept]
        self._made = {id(observation): (observation, trial) for observation, trial in made}
        for _, trial in made:
            self._add(study, trial)
        self._numbers.clear()
        for running_id, assignment in list(self._running.items())[-(self.bound // 2) :]:
            self._run(study, running_id, assignment)
        self._grown = 0
        return study

    def _run(self, study: optuna.Study, trial_id: str, assignment: Assignment) -> None:
        study.add_trial(
            told_trial(self._distributions, state=TrialState.RUNNING, params=assignment)
        )
        self._numbers[trial_id] = study.get_trials(deepcopy=False)[-1].number
        self._running[trial_id] = assignment
        self._grown += 1

    def _add(self, study: optuna.Study, trial: FrozenTrial) -> None:
        study.add_trial(trial)
        self._grown += 1

    def _ask(self, study: optuna.Study) -> optuna.Trial:
        return study.ask()

    def _frozen(self, observation: Observation) -> FrozenTrial:
        """On the objectives' scales: Optuna weighs trials by volumes, and has none of its own."""
        if observation.values is not None:
            pairs = zip(self.objectives, observation.values, strict=True)
            values = tuple(o.scaled(v) if math.isfinite(v) else v for o, v in pairs)
            observation = replace(observation, values=values)
        return frozen(self._distributions, observation, self.stopped)

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        raise NotImplementedError


class TPEProposer(OptunaProposer):
    """Tree-structured Parzen estimators over several objectives (Ozaki et al. 2022).

    The holes that every trial has are drawn together, and what is good is sorted out once for them
    all; those behind a choice are drawn one by one, where it leads to them.
    """

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=STARTUP,
                constant_liar=True,
                multivariate=True,
            )


class NSGA2Proposer(OptunaProposer):
    """Crossing and mutating the best of a generation (NSGA-II; Deb et al. 2002).

    A generation is `POPULATION` trials in the order in which they end; none waits for another. What
    Optuna crosses are holes that every trial has. So that those behind a choice are inherited too,
    every trial is told with a value for every hole, a random one where its choices lead elsewhere.
    A child that is a copy of a known trial changes in one hole more.
    """

    _generation = _members = 0  # of the study that is asked now

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        self._generation = self._members = 0
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)

    def propose(self, trial_id: str) -> Proposal:
        """A child of the last generation's best; of the first generation, a random assignment."""
        assignment = super().propose(trial_id).assignment
        del self._running[trial_id]
        if assignment in self._running.values() or self._memory.holds(assignment):
            assignment = mutate(self.space, assignment, 1, self._rng(trial_id))
        self._running[trial_id] = assignment
        return Proposal(assignment)

    def _ask(self, study: optuna.Study) -> optuna.Trial:
        return study.ask(self._distributions)

    def _frozen(self, observation: Observation) -> FrozenTrial:
        rng = random.Random(f"{self.seed}:{observation.trial_id}")
        asleep = {name: domain.sample(rng) for name, domain in self.space.holes.items()}
        trial = super()._frozen(observation)
        trial.params = {**asleep, **trial.params}
        trial.distributions = self._distributions
        if observation.fate == "infeasible" and trial.state is TrialState.PRUNED:
            # Only COMPLETE enters a population. Where a constraint is broken, no value is compared.
            trial.state = TrialState.COMPLETE
            trial.values = [0.0] * len(self.objectives)
        return trial

    def _add(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state is TrialState.COMPLETE:
            if self._members >= POPULATION:
                self._generation, self._members = self._generation + 1, 0
            self._members += 1
            trial.system_attrs = {**trial.system_attrs, GENERATION: self._generation}
        super()._add(study, trial)
