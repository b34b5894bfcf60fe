"""Several proposers that share one budget by what each wins of the front."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kdsearch.proposers.base import Done, Observation, Proposal, Proposer, Wait
from kdsearch.proposers.gain import HypervolumeGain
from kdsearch.proposers.ranking import lowered
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace

MEMORY = 0.98  # what a trial's credit is worth after each trial that follows: about the last 50
PRIOR = 2.0  # trials of average success that every member is credited with
EXPLORED = 0.2  # share of the proposals that goes round without regard to credit


@dataclass
class Credit:
    """What a member has won and lost lately, in trials."""

    won: float = 0.0
    lost: float = 0.0


class PortfolioProposer:
    """Thompson sampling over proposers, with credit that fades.

    A trial's gain is the hypervolume that it adds to the front of the finished trials. It counts as
    a success of ``gain / (gain + the average gain of late)``, between 0 and 1: gains shrink as a
    front fills, and the first ones would outweigh all others. Each proposal goes to the member with
    the highest draw from its Beta distribution (Thompson 1933), discounted as in Raj & Kalyani
    (2017), so that a member which helps late is found late; one in five goes to any member.

    Every member is told of every trial. Credit is rebuilt from observations alone: a trial counts
    for the member whose name it carries. What costs nothing, a repeat or a broken constraint,
    counts for none.

    Parameters
    ----------
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
    seed : int
    members : mapping
        Name -> proposer.
    """

    finite = False

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[ObjectiveConfig],
        seed: int = 0,
        *,
        members: Mapping[str, Proposer],
    ) -> None:
        self.space, self.objectives, self.seed = space, objectives, seed
        self.members = dict(members)
        self.credit = {name: Credit() for name in self.members}
        self._gain = HypervolumeGain()
        self._gained = self._trials = 0.0  # of late, by all
        self._told = 0
        self._asked: dict[str, str] = {}

    def propose(self, trial_id: str) -> Proposal | Wait | Done:
        """The proposal of the member that is expected to win most, of those that have one."""
        waits = False
        for name in self._order(random.Random(f"{self.seed}:{trial_id}:{self._told}")):
            proposal = self.members[name].propose(trial_id)
            if isinstance(proposal, Proposal):
                self._asked[trial_id] = name
                return replace(proposal, proposer=name)
            waits = waits or isinstance(proposal, Wait)
        return Wait() if waits else Done()

    def propose_random(self, trial_id: str) -> Proposal:
        """A random assignment, of no member but one called random."""
        rng = random.Random(f"{self.seed}:random:{trial_id}:{self._told}")
        self._asked[trial_id] = "random"
        return Proposal(self.space.sample(rng).assignment, proposer="random")

    def observe(self, observation: Observation) -> None:
        """Tell every member, and credit the one whose idea it was."""
        self._told += 1
        asked = self._asked.get(observation.trial_id)
        if observation.fate != "resting":
            self._asked.pop(observation.trial_id, None)
        told = replace(observation, proposer=observation.proposer or asked)
        for member in self.members.values():
            member.observe(told)
        if told.fate not in ("infeasible", "repeated", "resting"):
            self._count(told)

    def _order(self, rng: random.Random) -> list[str]:
        names = list(self.members)
        if rng.random() < EXPLORED:
            rng.shuffle(names)
            return names
        won, lost = (sum(getattr(c, k) for c in self.credit.values()) for k in ("won", "lost"))
        average = (won + 1) / (won + lost + 2)
        draws = {
            name: rng.betavariate(PRIOR * average + c.won, PRIOR * (1 - average) + c.lost)
            for name, c in self.credit.items()
        }
        return sorted(names, key=lambda name: -draws[name])

    def _count(self, told: Observation) -> None:
        point = lowered(self.objectives, told)
        counts = told.fate == "complete" and told.feasible and point is not None
        gain = self._gain.add(point) if counts and point is not None else 0.0
        average = self._gained / self._trials if self._trials else 0.0
        success = gain / (gain + average) if gain else 0.0
        self._gained = MEMORY * self._gained + gain
        self._trials = MEMORY * self._trials + 1
        for credit in self.credit.values():
            credit.won *= MEMORY
            credit.lost *= MEMORY
        if told.proposer in self.credit:
            self.credit[told.proposer].won += success
            self.credit[told.proposer].lost += 1 - success
