"""From what became of trials to what their rollouts are worth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kdsearch.proposers.n2n.edited import Edited
from kdsearch.proposers.n2n.learning import Sample
from kdsearch.proposers.n2n.minds import Mind, Rolled
from kdsearch.proposers.n2n.readings import Readings
from kdsearch.proposers.n2n.reward import SizeBaseline, reward, sized_reward, softened

MOST_UNREAD = 64  # stopped trials that wait for others to finish


@dataclass(frozen=True, slots=True)
class Told:
    """A trial of the policy's own that ended.

    Attributes
    ----------
    trial_id : str
    stage : int
    rolled : Rolled
    refused : list of Rolled
        What was drawn before it for the same trial.
    epoch : int
        Its last one.
    accuracy : float
        After it.
    finished : bool
        Whether it ran to its end.
    """

    trial_id: str
    stage: int
    rolled: Rolled
    refused: list[Rolled]
    epoch: int
    accuracy: float
    finished: bool


class Credit:
    """Rewards of rollouts.

    Parameters
    ----------
    edited : Edited
    sized : bool
        Whether a reward is accuracy at a size; else it is R.
    teacher_accuracy : float
    """

    def __init__(self, edited: Edited, *, sized: bool, teacher_accuracy: float) -> None:
        self.edited, self.sized, self.teacher_accuracy = edited, sized, teacher_accuracy
        self.readings, self.baseline = Readings(), SizeBaseline()
        self.known: dict[str, float] = {}  # accuracy at the end, by architecture
        self.best: tuple[float, tuple[int, ...], str] | None = None  # R of stage 0, actions, trial
        self._unread: list[Told] = []

    def knows(self, taken: tuple[int, ...]) -> bool:
        """Whether what actions come to was told."""
        return self.edited.student(taken).key in self.known

    def take(self, told: Told) -> None:
        """Keep a trial until it can be read."""
        self._unread = [*self._unread[-MOST_UNREAD + 1 :], told]

    def samples(self, minds: list[Mind]) -> Iterator[tuple[int, Sample]]:
        """Stage and sample of all that can be read now, in the order in which it came."""
        waiting, self._unread = self._unread, []
        for told in waiting:
            accuracy = told.accuracy
            if not told.finished:
                read = self.readings.final(told.epoch, told.accuracy)
                if read is None:
                    self._unread.append(told)
                    continue
                accuracy = read
            updates = minds[told.stage].learner.version
            for refused in told.refused:
                if (value := self._of_refused(refused, updates)) is not None:
                    yield told.stage, refused.rewarded(value)
            yield told.stage, told.rolled.rewarded(self._of(told, accuracy))

    def _of(self, told: Told, accuracy: float) -> float:
        taken, size = told.rolled.taken, self.edited.size(told.rolled.taken)
        self.known[self.edited.student(taken).key] = accuracy
        whole = reward(size, self.edited.parameters, accuracy, self.teacher_accuracy)
        if told.stage == 0 and (self.best is None or whole > self.best[0]):
            self.best = whole, taken, told.trial_id
        if not self.sized:
            return whole
        kappa = math.exp(told.rolled.sample.condition)
        value = sized_reward(size, self.edited.parameters, accuracy, kappa)
        over = value - self.baseline.at(kappa)
        self.baseline.add(kappa, value)
        return over

    def _of_refused(self, rolled: Rolled, updates: int) -> float | None:
        """What is known of a student that did not run; nothing is learned of it otherwise."""
        if rolled.fate == "infeasible":
            return softened(0.0, updates)
        size, key = self.edited.size(rolled.taken), self.edited.student(rolled.taken).key
        if key not in self.known:
            return None
        if not self.sized:
            whole = self.edited.parameters
            return reward(size, whole, self.known[key], self.teacher_accuracy)
        kappa = math.exp(rolled.sample.condition)
        value = sized_reward(size, self.edited.parameters, self.known[key], kappa)
        return value - self.baseline.at(kappa)
