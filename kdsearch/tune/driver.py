"""The search's mind: what runs next, what is written down, who is told. Knows nothing of Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kdsearch.config import TrialSpec
from kdsearch.proposers import Done, Observation, Proposal, Proposer, Wait
from kdsearch.results.records import EpochReport
from kdsearch.results.store import ResultStore
from kdsearch.tune.gate import Ground, gate, now
from kdsearch.tune.keeping import drop_dominated, keep_student
from kdsearch.tune.observe import objective_values, observation
from kdsearch.tune.scheduler import Scheduler

MODEL_TRIES = 20  # proposals asked of the model before it is asked for random ones
RANDOM_TRIES = 500


@dataclass(frozen=True)
class Launch:
    """A trial to start: its id and all a worker needs."""

    trial_id: str
    spec: TrialSpec


class Driver:
    """Proposes, gates, records and tells; the trials themselves run elsewhere.

    Everything it knows is in the log or is rebuilt from it: a driver made on the log of a broken
    search goes on where that one stopped, and trials that were in flight start again.

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
        self.ground, self.store = ground, store
        self.objectives = ground.config.fixed.objectives
        self.proposer, self.scheduler = proposer, scheduler
        self.started_at = time.monotonic()
        self.spent_before = store.history.seconds
        self.exhausted = store.history.exhausted  # why nothing more is proposed, if not the budget
        self.running: dict[str, dict[str, Any]] = {}
        self._told_at = self.started_at
        # A rerun that was broken off may be of other data: it is not the search's to go on with.
        # And trials of a search that was broken off wait for it, with its scheduler.
        others = ("rerun",) if proposer is not None else ("rerun", "search")
        self._queue: deque[dict[str, Any]] = deque(
            event for event in store.history.running.values() if event["purpose"] not in others
        )
        trials = store.history.trials.values()
        self._seen = {t["architecture_key"] for t in trials if t["purpose"] == "search"}
        self._replay()

    # What runs next

    def next(self) -> Launch | Wait | Done:
        """The next trial, recorded as started."""
        if self._queue:
            event = self._queue.popleft()
            return self.launch({**event, "started_at": now()})
        if self.proposer is None or self.budget_spent() or self.exhausted:
            return Done()
        return self._propose(self.proposer)

    def enqueue(self, trials: Sequence[dict[str, Any]]) -> None:
        """Add trials that no proposer made: baselines, finishes."""
        self._queue.extend(trials)

    def budget_spent(self) -> bool:
        """Whether the budget allows no further start."""
        history = self.store.history
        started = sum(t["purpose"] == "search" for t in history.trials.values())
        seconds = self.spent_before + time.monotonic() - self.started_at
        return self.ground.config.fixed.budget.spent(started, history.epoch_count, seconds)

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing is left to start."""
        if self.running or self._queue:
            return False
        return self.proposer is None or self.budget_spent() or self.exhausted is not None

    def new_id(self) -> str:
        """The id after the last one given."""
        given = [*self.store.history.trials, *(e["trial_id"] for e in self._queue)]
        return f"{max((int(i) for i in given), default=-1) + 1:05d}"

    # What trials report

    def report(self, trial_id: str, *reports: EpochReport) -> bool:
        """Record epochs; False means that the trial should stop. The same epoch twice is one."""
        event = self.running[trial_id]
        known = len(self.store.history.epochs.get(trial_id, ()))
        epochs = [
            {"event": "epoch", "trial_id": trial_id, **asdict(report)}
            for report in reports
            if report.epoch > known
        ]
        if not epochs:
            return True
        self.store.append(*epochs)
        if self.scheduler is None or event["purpose"] != "search":
            return True
        return all([self._judge(self.scheduler, event, epoch) for epoch in epochs])

    def end(
        self,
        trial_id: str,
        status: str,
        *,
        error: str | None = None,
        seconds: float = 0.0,
        peak_memory_mib: float | None = None,
        idle_seconds: float | None = None,
        weights: bytes | None = None,
    ) -> None:
        """Record the end of a trial; weights of repeats and of the front are kept.

        `idle_seconds` is how long its worker had waited for it: what orchestration costs.
        """
        event = self.running.pop(trial_id, None)
        if event is None:
            return
        if weights is not None:
            keep_student(self.ground, self.store, event, weights)
        ended = {
            "event": "end",
            "trial_id": trial_id,
            "status": status,
            "error": error,
            "seconds": seconds,
            "gpu_seconds": seconds * self.ground.gpus,
            "peak_memory_mib": peak_memory_mib,
            "idle_seconds": idle_seconds,
            "at": now(),
        }
        told = self.proposer if event["purpose"] == "search" else None
        self.store.append(ended, *([] if told is None else [self._pause()]))
        self.store.flush()
        if weights is not None:
            drop_dominated(self.store, self.objectives)
        if told is not None:
            told.observe(observation(self.store.history, trial_id, status, self.objectives))

    def pause(self) -> None:
        """Record the wall time since it was last recorded: a kill forgets no more than that."""
        self.store.append(self._pause())

    # Inside

    def _judge(self, scheduler: Scheduler, trial: dict[str, Any], epoch: dict[str, Any]) -> bool:
        """Whether the trial goes on; in pre-training it does, for it has no accuracy yet.

        Epochs of the student's own training are what is compared: a method that pre-trains would be
        judged early, or, where a rung falls into its pre-training, never.
        """
        if epoch.get("stage") is not None:
            return True
        before = self.store.history.epochs[trial["trial_id"]]
        own = epoch["epoch"] - sum(e.get("stage") is not None for e in before)
        values = objective_values(self.objectives, trial, epoch)
        return scheduler.report(trial["trial_id"], own, values) == "continue"

    def _pause(self) -> dict[str, Any]:
        before, self._told_at = self._told_at, time.monotonic()
        return {"event": "pause", "seconds": self._told_at - before}

    def _propose(self, proposer: Proposer) -> Launch | Wait | Done:
        trial_id = self.new_id()
        why = ""
        for attempt in range(MODEL_TRIES + RANDOM_TRIES):
            ask = proposer.propose if attempt < MODEL_TRIES else proposer.propose_random
            proposal = ask(trial_id)
            if not isinstance(proposal, Proposal):
                return proposal
            event, refusal = gate(self.ground, self._seen, trial_id, proposal)
            if event is not None:
                self._seen.add(event["architecture_key"])
                return self.launch(event)
            assert refusal is not None
            why, broken = refusal.why, refusal.violations
            proposer.observe(
                Observation(trial_id, proposal.assignment, refusal.fate, violations=broken)
            )
        self.exhausted = (
            f"{MODEL_TRIES + RANDOM_TRIES} proposals in a row were known architectures or broke a "
            f"constraint (the last: {why}); widen the student section, or set proposer.repeats: "
            "true"
        )
        self.store.append({"event": "exhausted", "why": self.exhausted})
        return Done()

    def launch(self, event: dict[str, Any]) -> Launch:
        """Record that a trial starts."""
        self.store.append(event)
        self.running[event["trial_id"]] = event
        return Launch(event["trial_id"], TrialSpec.model_validate(event["spec"]))

    def _replay(self) -> None:
        """Tell scheduler and proposer what the log knows, in its order."""
        history = self.store.history
        for trial_id, event in history.trials.items():
            ended = trial_id not in history.running
            if self.scheduler is None or event["purpose"] != "search" or not ended:
                continue
            for epoch in history.epochs[trial_id]:
                self._judge(self.scheduler, event, epoch)
        for row in history.rows:
            if row.purpose == "search" and self.proposer is not None:
                told = observation(history, row.trial_id, row.status, self.objectives)
                self.proposer.observe(told)
