"""A policy with its learner, and which decisions it makes: one, or one a stage."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from kdsearch.errors import UserError
from kdsearch.proposers.n2n.edited import Edited
from kdsearch.proposers.n2n.learning import PROFILES, Learner, Profile, Sample
from kdsearch.proposers.n2n.policy import JointPolicy, Policy, RemovalPolicy, ShrinkPolicy
from kdsearch.proposers.n2n.states import FEATURES, LEGACY

RATES = {"joint": 0.01, "removal": 0.003, "shrink": 0.01}  # of Adam
CODE_SHRINK_RATE = 0.1


@dataclass(frozen=True)
class Mind:
    """One stage of the search.

    Attributes
    ----------
    name : str
        ``joint``, ``removal`` or ``shrink``.
    picked : tuple of int
        The decisions that it makes; the others are given.
    learner : Learner
    """

    name: str
    picked: tuple[int, ...]
    learner: Learner

    @property
    def policy(self) -> Policy:
        """What it learns."""
        return self.learner.policy

    def roll(
        self,
        edited: Edited,
        given: Sequence[int],
        rng: random.Random,
        condition: float,
        share: float,
    ) -> Rolled:
        """Draw its decisions.

        Parameters
        ----------
        given : sequence of int
            Actions of all decisions; its own are replaced.
        condition : float
            Log of the size asked for.
        share : float
            Of a uniform draw.
        """
        draws = torch.tensor([[rng.random() for _ in self.picked]])
        actions = list(given)

        def free(before: torch.Tensor) -> torch.Tensor:
            done = before[0].tolist()
            self._put(actions, done)
            return torch.tensor([edited.is_free(actions[: self.picked[len(done)]])])

        steps, sized = self.learner.steps, torch.tensor([condition])
        rollout = self.policy.sample(steps, draws, free, sized, share)
        own = rollout.actions[0].tolist()
        self._put(actions, own)
        sample = Sample(
            actions=tuple(own),
            free=tuple(rollout.free[0].tolist()),
            log_p=tuple(rollout.log_p[0].tolist()),
            version=self.learner.version,
            reward=0.0,
            condition=condition,
            share=share,
        )
        return Rolled(sample, tuple(actions))

    def can_have_drawn(self, rolled: Rolled, edited: Edited) -> bool:
        """Whether a rollout is of its decisions and of their options: a log may be a stranger's."""
        options = [len(decision.values) for decision in edited.decisions]
        own, drawn = [options[i] for i in self.picked], rolled.sample
        return (
            len(drawn.actions) == len(drawn.free) == len(drawn.log_p) == len(own)
            and len(rolled.taken) == len(options)
            and all(map(int.__lt__, drawn.actions, own))
            and all(map(int.__lt__, rolled.taken, options))
        )

    def _put(self, actions: list[int], own: Sequence[int]) -> None:
        for number, action in zip(self.picked, own, strict=False):
            actions[number] = action


@dataclass(frozen=True, slots=True)
class Rolled:
    """A rollout as drawn, and the actions that were taken: moved to a size, perhaps.

    Attributes
    ----------
    sample : Sample
        Without its reward.
    taken : tuple of int
        One a decision of the teacher, those of other stages included.
    fate : str
        ``infeasible`` or ``repeated`` where it came to no trial.
    """

    sample: Sample
    taken: tuple[int, ...]
    fate: str = ""

    def note(self) -> dict[str, Any]:
        """As JSON, to be written down with its trial."""
        sample = asdict(self.sample)
        del sample["reward"]
        return {**sample, "taken": self.taken, "fate": self.fate}

    @classmethod
    def read(cls, note: Mapping[str, Any]) -> Rolled:
        """The inverse of `note`, also after a way through JSON."""
        lists = {name: tuple(note[name]) for name in ("actions", "free", "log_p")}
        numbers = {name: note[name] for name in ("version", "condition", "share")}
        return cls(Sample(**lists, **numbers, reward=0.0), tuple(note["taken"]), note["fate"])

    def rewarded(self, reward: float) -> Sample:
        """The sample with its reward."""
        return replace(self.sample, reward=reward)


def make_minds(edited: Edited, profile: Profile, seed: int) -> list[Mind]:
    """The stages of a profile: one for all decisions, or removal and then shrinking.

    Weights are drawn by the seed; torch's global generator is left as it was.
    """
    everything = tuple(range(len(edited.decisions)))
    keeps = tuple(i for i in everything if edited.decisions[i].kind == "keep")
    parts = {"joint": everything}
    if profile != "n2n_plus":
        parts = {"removal": keeps, "shrink": tuple(i for i in everything if i not in keeps)}
    learns = PROFILES[profile]
    minds: list[Mind] = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name, picked in parts.items():
            if picked:
                rate = RATES[name]
                if profile == "n2n_code" and name == "shrink":
                    rate = CODE_SHRINK_RATE
                steps = edited.steps(picked, raw=name != "joint")
                policy = _policy(name, max(2, int(steps.options.max())))
                minds.append(Mind(name, picked, learns(policy, steps, rate)))
    return minds


def read_note(
    note: Mapping[str, Any], trial_id: str, minds: Sequence[Mind], edited: Edited
) -> tuple[int, Rolled, list[Rolled]]:
    """Stage, draw and refused draws of the note of a trial.

    Raises
    ------
    UserError
        One that these minds have not written.
    """
    stage, rolled = note["stage"], Rolled.read(note["rolled"])
    refused = [Rolled.read(each) for each in note["refused"]]
    own = stage < len(minds)
    if own and all(minds[stage].can_have_drawn(each, edited) for each in (rolled, *refused)):
        return stage, rolled, refused
    fault = "is not of this teacher's edits; restore the log, or give the search another name"
    raise UserError(f"trial {trial_id}: note", fault)


def _policy(name: str, options: int) -> Policy:
    if name == "joint":
        return JointPolicy(FEATURES, options)
    return RemovalPolicy(LEGACY) if name == "removal" else ShrinkPolicy(LEGACY, options)


def check_trials(trials: int | None, batch: int, profile: str) -> None:
    """Raise a `UserError` where a budget is too small for one update of the policy."""
    if trials is not None and trials < batch:
        raise UserError(
            "budget.trials",
            f"{trials} are fewer than the {batch} rollouts from which {profile} learns at a time; "
            f"give at least {batch}, better twenty times as many, or take random",
        )
