"""`N2NProposer`: a policy edits the teacher; a second proposer fills what is left."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.domains import Domain, Scalar
from kdsearch.errors import UserError
from kdsearch.proposers.base import Done, Observation, Proposal, Proposer, Wait
from kdsearch.proposers.n2n.credit import Credit, Told
from kdsearch.proposers.n2n.edited import Edited
from kdsearch.proposers.n2n.learning import Profile
from kdsearch.proposers.n2n.minds import Rolled, check_trials, make_minds, read_note
from kdsearch.proposers.n2n.rest import Rest
from kdsearch.proposers.n2n.reward import draw_kappa
from kdsearch.proposers.n2n.saved import encoding, pack, unpack
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import Assignment, SearchSpace

STAGE = 500  # trials of the paper's first stage, where the budget counts none
TRIES = 20  # students drawn for a trial before one that is known is proposed again
SPENT = 100  # refusals for one trial after which removals have no more students to give
ACCURACY = "validation_accuracy"


@dataclass
class _Asking:
    """What was drawn for a trial that has not started."""

    trial_id: str = ""
    stage: int = 0
    drawn: int = 0
    refusals: int = 0
    refused: list[Rolled] = field(default_factory=list[Rolled])
    last: Rolled | None = None


class N2NProposer:
    """Network-to-network compression by policy gradient (Ashok et al. 2018, arXiv:1709.06030).

    A policy decides which blocks of the teacher stay and how wide its coupling groups are; a second
    proposer fills the other holes. `n2n_plus` decides all in one pass and learns by PPO; with a
    size among the objectives it is asked for a size each time, so that one search traces a front.
    `n2n_paper` removes first, for half of the budget or until it draws nothing new, and then
    shrinks the best of what it has, by REINFORCE, for the reward R alone; `n2n_code` is the same
    with the published code's estimator, for comparison.

    Every proposal carries a note of what was drawn, with what probability, by which version of the
    policy, and of what was refused before it. The policy learns from the ends of trials with their
    notes, in their order, and from nothing else: told them again, it is the same policy, and draws
    the same. Trials without a note (an earlier search's, another proposer's) teach it nothing but
    what they came to.

    Parameters
    ----------
    space : SearchSpace
        With holes ``student.keep[i]`` or ``student.ratio[i]``.
    objectives : sequence of ObjectiveConfig
        The validation accuracy among them.
    seed : int
    teacher : Architecture, optional
        What is edited.
    teacher_accuracy : float
        On validation.
    profile : str
    inner : callable, optional
        ``(space, objectives, seed) -> Proposer`` for the other holes; random ones by default.
    trials : int, optional
        Of the budget.
    repeats : bool
        Whether a student may be proposed again.
    policy : bytes, optional
        What `state` of another search's proposer gave, to begin with.

    Raises
    ------
    UserError
        No teacher, no hole to fill, no accuracy to learn from, fewer trials than one update of the
        policy needs, or a policy of another encoding.
    """

    finite = False

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[ObjectiveConfig],
        seed: int = 0,
        *,
        teacher: Architecture | None = None,
        teacher_accuracy: float = 1.0,
        profile: Profile = "n2n_plus",
        inner: Callable[..., Proposer] | None = None,
        trials: int | None = None,
        repeats: bool = False,
        policy: bytes | None = None,
    ) -> None:
        self.space, self.seed, self.profile, self.repeats = space, seed, profile, repeats
        names = [objective.name for objective in objectives]
        if ACCURACY not in names:
            raise UserError("objectives", f"n2n learns from {ACCURACY}; name it, or take tpe")
        self._accuracy = names.index(ACCURACY)
        self.edited = Edited(space, teacher)
        self.minds = make_minds(self.edited, profile, seed)
        check_trials(trials, self.minds[0].learner.batch, profile)
        self._first_stage = STAGE if trials is None else max(1, trials // 2)
        sized = profile == "n2n_plus" and len(objectives) > 1
        self.credit = Credit(self.edited, sized=sized, teacher_accuracy=teacher_accuracy)
        self.rest = Rest(space, [d.name for d in self.edited.decisions], objectives, seed, inner)
        self._most = self.edited.parameters / self.edited.least if sized else 1.0
        self._ran = 0
        self._removed = False  # whether the second stage has begun
        self._asking = _Asking()
        if policy is not None:
            self.load_state(policy)

    def propose(self, trial_id: str) -> Proposal | Wait | Done:
        """What the policy draws; drawn again, ever more at random, while it is a known student."""
        asking = self._asked_for(trial_id)
        while True:
            # REINFORCE knows no other policy than its own.
            share = min(asking.drawn / TRIES, 1.0) if self.profile == "n2n_plus" else 0.0
            rolled = self._roll(asking, share)
            if self.repeats or not self.credit.knows(rolled.taken):
                break
            if asking.drawn < TRIES:
                asking.refused.append(replace(rolled, fate="repeated"))
            elif asking.stage + 1 < len(self.minds) and self.credit.best is not None:
                # Few blocks make few students: with none left the first stage is over early.
                self._asking = asking = _Asking(trial_id, 1)
            else:
                break
        others = self.rest.propose(trial_id)
        return self._proposal(asking, rolled, others) if isinstance(others, dict) else others

    def propose_random(self, trial_id: str) -> Proposal | Done:
        """Edits and all other holes at random."""
        asking = self._asked_for(trial_id)
        rolled, others = self._roll(asking, 1.0), self.rest.propose_random(trial_id)
        return self._proposal(asking, rolled, others) if isinstance(others, dict) else others

    def observe(self, observation: Observation) -> None:
        """Learn from the end of a trial; what was refused is learned from with the one that ran."""
        self.rest.observe(observation)
        if observation.fate in ("infeasible", "repeated"):
            self._refuse(observation)
            return
        if observation.fate == "resting" or observation.trial_id.startswith("-"):
            return  # what is learned from are ends, of trials that are in this log
        self._ran += 1
        if observation.trial_id == self._asking.trial_id:
            self._asking = _Asking()
        curve = {epoch: values[self._accuracy] for epoch, values in observation.history}
        curve = {epoch: value for epoch, value in curve.items() if math.isfinite(value)}
        finished = observation.fate == "complete"
        if not curve or observation.fate not in ("complete", "stopped"):
            return
        if finished:
            self.credit.readings.finish(curve)
        note, last = observation.note, max(curve)
        if note is not None:
            stage, rolled, refused = read_note(note, observation.trial_id, self.minds, self.edited)
            self._removed = self._removed or stage == 1
            told = observation.trial_id, stage, rolled, refused, last, curve[last], finished
            self.credit.take(Told(*told))
        elif finished:
            student = self.edited.student(self.edited.actions(observation.assignment))
            self.credit.known[student.key] = curve[last]
        for stage, sample in list(self.credit.samples(self.minds)):
            self.minds[stage].learner.add(sample)

    def state(self) -> bytes:
        """The policy, to begin another search with. This one goes on by being told its trials."""
        return pack(self.minds, encoding(self.edited, self.minds, self.profile))

    def load_state(self, data: bytes) -> None:
        """Begin with a policy that `state` gave.

        Raises
        ------
        UserError
            A policy of another encoding.
        """
        unpack(data, self.minds, encoding(self.edited, self.minds, self.profile))

    @property
    def stage(self) -> int:
        """Which of `minds` decides next."""
        enough = self._removed or self._ran >= self._first_stage
        over = enough and self.credit.best is not None
        return 1 if over and len(self.minds) > 1 else 0

    def _asked_for(self, trial_id: str) -> _Asking:
        if self._asking.trial_id != trial_id:
            self._asking = _Asking(trial_id, self.stage)
        return self._asking

    def _roll(self, asking: _Asking, share: float) -> Rolled:
        rng = random.Random(f"{self.seed}:n2n:{asking.trial_id}:{asking.drawn}")
        asking.drawn += 1
        best, stage = self.credit.best, asking.stage
        given = best[1] if stage == 1 and best is not None else self.edited.unchanged
        sized = self.credit.sized
        kappa = draw_kappa(rng, self._most) if sized else 1.0
        rolled = self.minds[stage].roll(self.edited, given, rng, math.log(kappa), share)
        if sized:
            budget = self.edited.parameters / kappa
            rolled = replace(rolled, taken=self.edited.within(rolled.taken, budget))
        asking.last = rolled
        return rolled

    def _proposal(self, asking: _Asking, rolled: Rolled, others: Assignment) -> Proposal:
        edits = self.edited.assignment(rolled.taken)

        def choose(name: str, _: Domain) -> Scalar:
            return edits[name] if name in edits else others[name]

        note: dict[str, Any] = {
            "stage": asking.stage,
            "rolled": rolled.note(),
            "refused": [each.note() for each in asking.refused],
        }
        best = self.credit.best
        parent = best[2] if asking.stage == 1 and best is not None else None
        return Proposal(self.space.fill(choose).assignment, parent_id=parent, note=note)

    def _refuse(self, observation: Observation) -> None:
        """Remember, for the trial that is asked for, what may not run."""
        asking = self._asking
        if asking.trial_id != observation.trial_id or asking.last is None:
            return
        edits = self.edited.assignment(asking.last.taken)
        if edits.items() <= observation.assignment.items() and len(asking.refused) < 2 * TRIES:
            asking.refused.append(replace(asking.last, fate=observation.fate))
        asking.refusals += 1
        if asking.refusals == SPENT and asking.stage + 1 < len(self.minds):
            self._asking = _Asking(asking.trial_id, 1)  # no removal may run: widths may
