"""The search's mind: what runs next, what is written down, who is told. Knows nothing of Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kdsearch.proposers import Done, Proposer, Wait
from kdsearch.results.records import EpochReport
from kdsearch.results.store import ResultStore
from kdsearch.tune.asking import Exhausted, ask
from kdsearch.tune.events import end_event, epoch_events, rest_event
from kdsearch.tune.gate import Ground, keys_of, now
from kdsearch.tune.in_flight import MOST_LOSSES, InFlight
from kdsearch.tune.judge import Judge
from kdsearch.tune.keeping import Front, drop_dominated, keep_student
from kdsearch.tune.launch import Launch, spec_of
from kdsearch.tune.observe import last_word
from kdsearch.tune.resting import States
from kdsearch.tune.room import Room
from kdsearch.tune.scheduler import Decision, Scheduler
from kdsearch.tune.spending import Spending


class Driver:
    """Proposes, gates, records and tells; the trials themselves run elsewhere.

    Everything it knows is in the log or is rebuilt from it: a driver made on the log of a broken
    search goes on where that one stopped. Trials that were in flight go on from their last state,
    or start again where there is none; those that waited at a rung wait again.

    Parameters
    ----------
    ground : Ground
    store : ResultStore
    proposer : Proposer or None
        None: only the trials in `queue` run.
    scheduler : Scheduler or None
        None: every trial runs to its end.
    """

    def __init__(
        self,
        ground: Ground,
        store: ResultStore,
        proposer: Proposer | None = None,
        scheduler: Scheduler | None = None,
    ) -> None:
        self.ground, self.store, self.history = ground, store, store.history
        self.objectives = ground.config.fixed.objectives
        self.proposer = proposer
        self.states, self.front = States(store.folder), Front(self.objectives)
        self.room = Room(store.folder, ground.config.fixed.budget.disk_mib)
        self.states.sweep({**self.history.running, **self.history.resting})
        self.judge = Judge(scheduler, self.objectives, self.history, self.states)
        self.pauses = scheduler is not None and ground.config.fixed.scheduler.form == "promoting"
        self.spending = Spending(ground.config.fixed.budget, self.history)
        self.exhausted = self.history.exhausted  # why nothing more is proposed, if not the budget
        # A rerun that was broken off may be of other data: it is not the search's to go on with.
        # And trials of a search that was broken off wait for it, with its scheduler.
        others = ("rerun",) if proposer is not None else ("rerun", "search")
        self.flight = InFlight(
            (e for e in self.history.running.values() if e["purpose"] not in others),
            self.history.crowded.get(ground.machines, math.inf),
        )
        self.running = self.flight.running
        trials = self.history.trials
        searched = (t for t in trials.values() if t["purpose"] == "search")
        self._seen = {key for t in searched for key in keys_of(t)}
        self._last_id = max(map(int, trials), default=-1)
        for trial_id in self.history.heard:
            self._tell(trial_id)

    # What runs next

    def next(self) -> Launch | Wait | Done:
        """The next trial, recorded as started or as going on."""
        if self.flight.full or self.store.paused:
            return Wait()
        while (event := self.flight.take()) is not None:
            if event["trial_id"] not in self.history.running:
                return self.launch({**event, "started_at": now()})
            if (launch := self._gone_on(event)) is not None:
                return launch
        if self.proposer is None:
            return Done()
        launch = self._promoted() or self._proposed(self.proposer)
        if isinstance(launch, Launch) or not self.pauses:
            return launch
        if self.running:
            return Wait()  # what one of them reaches may let another go on
        results_come = isinstance(launch, Wait) and bool(self.history.resting)
        self._end_resting()
        return self.next() if results_come else launch

    def enqueue(self, trials: Sequence[dict[str, Any]]) -> None:
        """Add trials that no proposer made: baselines, finishes."""
        self.flight.wait(*trials)
        self._last_id = max([self._last_id, *(int(event["trial_id"]) for event in trials)])

    @property
    def finished(self) -> bool:
        """Whether nothing runs or rests and nothing is left to start."""
        if self.flight:
            return False
        return self.proposer is None or (self._full and not self.history.resting)

    def new_id(self) -> str:
        """The id after the last one given."""
        return f"{self._last_id + 1:05d}"

    def launch(self, event: dict[str, Any]) -> Launch:
        """Record that a trial starts."""
        self.store.append(event)
        self._last_id = max(self._last_id, int(event["trial_id"]))
        return self._launched(event)

    # What trials report

    def report(self, trial_id: str, *reports: EpochReport, state: bytes | None = None) -> Decision:
        """Record epochs; what becomes of the trial after them. The same epoch twice is one.

        Parameters
        ----------
        state : bytes, optional
            What the trial goes on from after the last of them. On the disk before they are: a trial
            that rests has a state, and one that a kill meets loses no epoch that was recorded.
        """
        event = self.running[trial_id]
        epochs = epoch_events(self.history, trial_id, reports)
        if not epochs:
            return "continue"
        last = epochs[-1]["epoch"]
        pauses = self.pauses and last in event["spec"]["rungs"]
        if state is not None and (pauses or self.states.due(trial_id, len(self.running))):
            self.room.ask(len(state))
            self.states.write(trial_id, last, state)
        self.store.append(*epochs)
        self.states.settle(trial_id, last)
        return self.judge.report(event, epochs)

    def leave(self, trial_id: str, *, seconds: float) -> None:
        """A worker let go of a trial that was told to stop, or to pause: it ends, or it rests.

        `seconds` are those that the worker had it.
        """
        if self.judge.decided.get(trial_id) != "pause":
            self.end(trial_id, "stopped", seconds=seconds)
            return
        del self.running[trial_id]
        self.store.append(rest_event(self.history, trial_id, seconds), self.spending.pause())
        self._tell(trial_id)

    def refuse(self, trial_id: str, why: str) -> None:
        """A worker could not read the state of a trial: it starts again from its first epoch."""
        self.flight.wait(self._again(self.running.pop(trial_id), why))

    def lose(self, trial_id: str, why: str) -> None:
        """The worker of a trial died, through no known fault of the trial: another one goes on.

        One that has lost three workers has failed.
        """
        if not self.flight.lose(trial_id):
            fault = f"{MOST_LOSSES} workers died with it, the last: {why}"
            self.end(trial_id, "failed", error=fault, seconds=self.history.spell(trial_id))

    def renew(self, trial_id: str, why: str) -> None:
        """The worker that was to take a trial is replaced: another one begins with it, next."""
        self.flight.renew(trial_id)
        self.store.append({"event": "worn", "trial_id": trial_id, "why": why, "at": now()})

    def crowd(self, running: int) -> None:
        """The memory was too small for so many trials at a time: from now on it is one fewer."""
        if self.flight.crowd(running):
            crowd = {"event": "crowd", "place": self.ground.machines, "most": self.flight.most}
            self.store.append({**crowd, "at": now()})

    def end(
        self,
        trial_id: str,
        status: str,
        *,
        reports: Sequence[EpochReport] = (),
        error: str | None = None,
        seconds: float = 0.0,
        peak_memory_mib: float | None = None,
        idle_seconds: float | None = None,
        weights: bytes | None = None,
    ) -> None:
        """Record the end of a trial, and its last epochs with it; a front's weights are kept.

        `seconds` are those of the last worker; what the trial took before it rested is added.
        `idle_seconds` is how long that worker had waited for it: what orchestration costs.
        """
        event = self.running.pop(trial_id, None)
        if event is None:
            return
        self.flight.eased(status)
        epochs = epoch_events(self.history, trial_id, reports)
        if status in ("complete", "stopped") and (fault := self.judge.fault(event, epochs)):
            status, error, weights = "diverged", fault, None
        if weights is not None:
            known = [*self.history.epochs[trial_id], *epochs]
            accuracy = known[-1]["validation_accuracy"] if known else None
            self.room.ask(len(weights))
            keep_student(self.ground, self.store, event, weights, accuracy)
        seconds += self.history.rested.get(trial_id, 0.0)
        ended = end_event(
            trial_id, status, error, seconds, self.ground.gpus, peak_memory_mib, idle_seconds
        )
        told = self.proposer is not None and event["purpose"] == "search"
        self.store.append(*epochs, ended, *([self.spending.pause()] if told else []))
        self.judge.report(event, epochs)
        self.store.flush()
        self.states.drop(trial_id)
        if weights is not None:
            drop_dominated(self.store, self.front.follow(self.history.rows))
        self._tell(trial_id)
        self.spending.break_off()

    def pause(self) -> None:
        """Record the wall time since it was last recorded: a kill forgets no more than that."""
        self.store.append(self.spending.pause())

    # Inside

    @property
    def _full(self) -> bool:
        """Whether no further trial is proposed."""
        return self.spending.ends_starts() or self.exhausted is not None

    def _proposed(self, proposer: Proposer) -> Launch | Wait | Done:
        if self._full:
            return Done()
        event = ask(proposer, self.ground, self._seen, self.new_id())
        if isinstance(event, Exhausted):
            self.exhausted = event.why
            self.store.append({"event": "exhausted", "why": self.exhausted})
            return Done()
        return self.launch(event) if isinstance(event, dict) else event

    def _promoted(self) -> Launch | None:
        """A trial that rests and may go on, within the epochs and the hours of the budget."""
        if not self.pauses or self.spending.ends_promotions():
            return None
        if (trial_id := self.judge.promote()) is None:
            return None
        event, epoch = self.history.resting[trial_id], len(self.history.epochs[trial_id])
        found = self.states.read(trial_id, epoch)
        if found is None or found[0] < epoch:
            return self.launch({**self._again(event, "its state is gone"), "started_at": now()})
        return self._resumed(event, *found)

    def _gone_on(self, event: dict[str, Any]) -> Launch | None:
        """A trial that lost its worker, or its driver; None where it was decided before it did."""
        trial_id = event["trial_id"]
        decided = self.judge.decided.get(trial_id, "continue")
        epoch = len(self.history.epochs[trial_id])
        found = self.states.read(trial_id, epoch)
        if found is None:
            return self.launch({**event, "started_at": now()})
        trained = epoch == spec_of(event).plan.training.last_epoch
        if decided == "continue" or trained or (decided == "pause" and found[0] < epoch):
            return self._resumed(event, *found)
        self.running[trial_id] = event
        self.leave(trial_id, seconds=self.history.spell(trial_id))
        return None

    def _resumed(self, event: dict[str, Any], epoch: int, state: bytes) -> Launch:
        trial_id = event["trial_id"]
        self.store.append({"event": "resume", "trial_id": trial_id, "epoch": epoch, "at": now()})
        return self._launched(event, state)

    def _launched(self, event: dict[str, Any], state: bytes | None = None) -> Launch:
        self.running[event["trial_id"]] = event
        pauses = self.pauses and event["purpose"] == "search"
        return Launch(event["trial_id"], spec_of(event), state, pauses)

    def _again(self, event: dict[str, Any], why: str) -> dict[str, Any]:
        """The event of a start from the first epoch; the log says why."""
        self.judge.again(event["trial_id"])
        self.states.drop(event["trial_id"])
        return {**event, "again": why}

    def _end_resting(self) -> None:
        """The search ends: what has waited until now becomes rows."""
        for trial_id in list(self.history.resting):
            self.running[trial_id] = self.history.resting[trial_id]
            self.end(trial_id, "stopped")
        self.states.sweep(())

    def _tell(self, trial_id: str) -> None:
        """Tell the proposer of one of the search's own trials: its end, or its rest at a rung."""
        if self.proposer is not None and trial_id in self.history.heard:
            self.proposer.observe(last_word(self.history, trial_id, self.objectives))
