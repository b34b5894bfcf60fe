"""What the scheduler says of trials: after an epoch, after a break, and of those that wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kdsearch.results.history import Event, History
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.observe import objective_values
from kdsearch.tune.resting import States
from kdsearch.tune.scheduler import Decision, Scheduler


class Judge:
    """Shows a scheduler the search's own trials, and remembers what it decided of each.

    A new one shows it what the log knows, in the log's order: trials that ended, those that rest,
    and those in flight that have a state; the others start again.

    Parameters
    ----------
    scheduler : Scheduler or None
        None: every trial goes on, unless an objective is no finite number.
    """

    def __init__(
        self,
        scheduler: Scheduler | None,
        objectives: Sequence[ObjectiveConfig],
        history: History,
        states: States,
    ) -> None:
        self.scheduler, self.objectives, self.history = scheduler, tuple(objectives), history
        self.decided: dict[str, Decision] = {}
        self._known: dict[str, int] = {}  # of trials that start again: their last epoch before
        for epoch in _told(history, states):
            trial_id = epoch["trial_id"]
            decision = self._say(history.trials[trial_id], epoch)
            if trial_id in history.running:
                self.decided[trial_id] = decision

    def report(self, trial: Event, epochs: Sequence[dict[str, Any]]) -> Decision:
        """What becomes of a trial after these epochs, which the history holds."""
        if trial["purpose"] != "search":
            return "continue"
        decisions: list[Decision] = [self._say(trial, epoch) for epoch in epochs]
        ending: list[Decision] = [d for d in decisions if d != "continue"]
        self.decided[trial["trial_id"]] = ending[0] if ending else "continue"
        return self.decided[trial["trial_id"]]

    def fault(self, trial: Event, more: Sequence[Event] = ()) -> str | None:
        """Which objective of a trial of the search is no finite number now, in words.

        `more` are epochs that the history does not hold yet.
        """
        epochs = [*self.history.epochs[trial["trial_id"]], *more]
        if trial["purpose"] != "search" or not epochs or epochs[-1].get("stage") is not None:
            return None
        values = objective_values(self.objectives, trial, epochs[-1])
        for objective, value in zip(self.objectives, values, strict=True):
            if not math.isfinite(value):
                return f"{objective.name} became {value}"
        return None

    def promote(self) -> str | None:
        """A trial that rests and may go on now."""
        while self.scheduler is not None and (trial_id := self.scheduler.promote()) is not None:
            if trial_id in self.history.resting:
                self.decided.pop(trial_id, None)  # should its worker die at once, it still goes on
                return trial_id
            if trial_id not in self.history.running:  # it ended, with a smaller budget
                self.scheduler.withdraw(trial_id)
        return None

    def again(self, trial_id: str) -> None:
        """A trial starts again from its first epoch: what it reported so far stays as it was."""
        self._known[trial_id] = len(self.history.epochs[trial_id])
        self.decided.pop(trial_id, None)

    def _say(self, trial: Event, epoch: dict[str, Any]) -> Decision:
        """What becomes of the trial; in pre-training it goes on, for it has no accuracy yet.

        Epochs of the student's own training are what is compared: a method that pre-trains would be
        judged early, or, where a rung falls into its pre-training, never.
        """
        trial_id = trial["trial_id"]
        known = epoch["epoch"] <= self._known.get(trial_id, 0)
        if known or epoch.get("stage") is not None:
            return "continue"
        values = objective_values(self.objectives, trial, epoch)
        if self.scheduler is None:
            return "continue" if all(map(math.isfinite, values)) else "stop"
        before = self.history.epochs[trial_id]
        own = epoch["epoch"] - sum(e.get("stage") is not None for e in before)
        return self.scheduler.report(trial_id, own, values)


def _told(history: History, states: States) -> list[Event]:
    """Epochs that a scheduler was told of, in the order in which they came."""
    told = [
        epoch
        for trial_id, trial in history.trials.items()
        if trial["purpose"] == "search" and (trial_id not in history.running or trial_id in states)
        for epoch in history.epochs[trial_id]
    ]
    return sorted(told, key=lambda epoch: epoch["order"])
