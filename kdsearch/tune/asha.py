"""Asynchronous successive halving over all declared objectives. Knows nothing of Ray.

With one objective this is ASHA (Li et al. 2020); with several it is MO-ASHA (Schmucker et al.
2021), because stopping on accuracy alone kills the small students.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from kdsearch.results.pareto import fronts
from kdsearch.search_sections import ObjectiveConfig, SchedulerConfig
from kdsearch.tune.rung import Rung
from kdsearch.tune.scheduler import Decision


class Asha:
    """Decides at each rung which trials are among the best ``1 / reduction``.

    A rung's trials are sorted into fronts. Earlier fronts go on before later ones; of the front
    that straddles the cut, a well-spread part does: an epsilon-net on objectives scaled by their
    range over the rung, seeded by the best accuracy. Of equals the lower trial id is first.

    *Stopping form*: a trial is judged once, among those that came to the rung before it, and what
    is past the cut ends for good. That cannot be mended, so it asks for evidence: **a trial is
    stopped only if another one is at least as good in every objective, and better by more than
    the slack in each that has one.** Hence the first front is never stopped, and it may exceed
    the cut. Slack is in the objective's own unit on either scale: by default 0.01 of validation
    accuracy, and 0 of what is no noise. With one objective, trials within the slack of the rung's
    best go on; a slack of 0 is plain ASHA.

    *Promoting form* (Li et al. 2020, algorithm 2): every trial pauses at every rung, and `promote`
    names who goes on. A rung of n trials has promoted at most ``floor(n / reduction)``, whatever
    stands in its first front. Neither that nor slack protects anyone here: a trial that is not
    promoted waits, and is looked at again whenever the rung has grown.

    A trial's bracket follows from its id; brackets begin to decide at different rungs and do not
    look at each other's.

    Parameters
    ----------
    objectives : sequence of ObjectiveConfig
    scheduler : SchedulerConfig
        Form, grace, reduction and brackets.
    """

    def __init__(self, objectives: Sequence[ObjectiveConfig], scheduler: SchedulerConfig) -> None:
        self.objectives, self.scheduler = tuple(objectives), scheduler
        names = [o.name for o in objectives]
        accuracy = "validation_accuracy"
        self._seed = names.index(accuracy) if accuracy in names else 0
        # By the epoch of the bracket's first rung, then by the rung's own.
        self._brackets: defaultdict[int, dict[int, Rung]] = defaultdict(dict)

    def report(self, trial_id: str, epoch: int, values: Sequence[float]) -> Decision:
        """Record the objectives of a trial after an epoch, and decide.

        The same report twice is one, so that a log can be replayed, trial by trial or in its own
        order. A trial that reports a later epoch than a rung's has passed that rung: what it was
        promoted from is known again. A non-finite value always stops.

        Parameters
        ----------
        epoch : int
            Of the student's own training, from 1.
        values : sequence of float
            As declared, not yet turned or scaled.
        """
        first = self.scheduler.first_rung(trial_id)
        rungs = self._brackets[first]
        for end, rung in rungs.items():
            if end < epoch and trial_id in rung:
                rung.passed.add(trial_id)
        if not all(math.isfinite(v) for v in values):
            return "stop"
        if not self._decides(first, epoch):
            return "continue"
        rung = rungs.setdefault(epoch, Rung(len(self.objectives)))
        promoting = self.scheduler.form == "promoting"
        if trial_id not in rung:
            rung.add(trial_id, _lowered(self.objectives, values))
            if not promoting and self._goes_on(rung, values):
                rung.passed.add(trial_id)
        if trial_id in rung.passed:
            return "continue"
        return "pause" if promoting else "stop"

    def promote(self) -> str | None:
        """The best waiting trial of the highest rung whose quota is not used up.

        Best: of the earliest front that has one waiting, the farthest from those of it that were
        promoted, or the most accurate where none was. Once all trials of a rung have arrived, the
        order in which they did makes no difference. Those promoted before that count.

        Returns
        -------
        str or None
            Named once for each rung. A trial whose last epoch was at the rung, or that has ended
            since, has used its turn: ask again.
        """
        if self.scheduler.form != "promoting":
            return None
        by_epoch = [
            (-epoch, first, rung)
            for first, rungs in self._brackets.items()
            for epoch, rung in rungs.items()
        ]
        for _, _, rung in sorted(by_epoch, key=lambda entry: entry[:2]):
            left = len(rung) - len(rung.passed) - len(rung.ended)
            if left and len(rung.passed) < len(rung) // self.scheduler.reduction:
                trial_id = self._best_waiting(rung)
                rung.passed.add(trial_id)
                return trial_id
        return None

    def withdraw(self, trial_id: str) -> None:
        """The trial that `promote` named has ended: its turn goes to another."""
        rungs = self._brackets[self.scheduler.first_rung(trial_id)]
        rung = rungs[max(epoch for epoch, rung in rungs.items() if trial_id in rung)]
        rung.passed.discard(trial_id)
        rung.ended.add(trial_id)

    def _decides(self, first: int, epoch: int) -> bool:
        """Whether a rung ends with this epoch."""
        rung = first
        while rung < epoch:
            rung *= self.scheduler.reduction
        return rung == epoch

    def _goes_on(self, rung: Rung, values: Sequence[float]) -> bool:
        """Whether the trial that came last does."""
        if len(rung) < self.scheduler.reduction or not self._outdone(rung, values):
            return True
        front = fronts(rung.values)
        better = int((front < front[-1]).sum())
        room = math.ceil(len(rung) / self.scheduler.reduction) - better
        if room <= 0:
            return False
        peers = np.flatnonzero(front == front[-1])
        if len(peers) <= room:
            return True
        return len(rung) - 1 in rung.net(peers, self._seed, room)

    def _outdone(self, rung: Rung, values: Sequence[float]) -> bool:
        """Whether some trial beats the last one beyond doubt; none beats a trial of front 0."""
        mine = rung.values[-1]
        slack = np.array([o.noise for o in self.objectives])
        eased = [v + o.noise * (1 if o.direction == "max" else -1)
                 for o, v in zip(self.objectives, values, strict=True)]  # fmt: skip
        bar = np.array(_lowered(self.objectives, eased))
        clear = np.where(slack > 0, rung.values < bar, rung.values <= mine).all(1)
        return bool((clear & (rung.values < mine).any(1)).any())

    def _best_waiting(self, rung: Rung) -> str:
        waiting = rung.waiting()
        front = fronts(rung.values)
        peers = np.flatnonzero(front == front[waiting].min())
        # What ended without going on is no part of the net: it neither waits nor has been chosen.
        peers = np.array([p for p in peers if rung.trials[p] not in rung.ended])
        best = rung.net(peers, self._seed, 1, ~waiting[peers])
        return rung.trials[best[0]]


def _lowered(objectives: Sequence[ObjectiveConfig], values: Sequence[float]) -> list[float]:
    return [o.lowered(v) for o, v in zip(objectives, values, strict=True)]
