"""The search's mind: what runs next, what is written down, who is told. Knows nothing of Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from kdsearch.architecture import Architecture
from kdsearch.check import architecture_of, violation
from kdsearch.config import ObjectiveConfig, TrialSpec
from kdsearch.cost import Cost, cost
from kdsearch.data.source import Description
from kdsearch.errors import UserError
from kdsearch.proposers import Done, Observation, Proposal, Proposer, Wait
from kdsearch.results.pareto import pareto_front
from kdsearch.results.records import EpochReport, Purpose
from kdsearch.results.store import ResultStore
from kdsearch.schemes import rung_epochs
from kdsearch.search_config import SearchConfig
from kdsearch.space import Assignment

MODEL_TRIES = 20  # proposals asked of the model before it is asked for random ones
RANDOM_TRIES = 500


class Scheduler(Protocol):
    """Ends trials early."""

    def report(self, trial_id: str, epoch: int, values: Sequence[float]) -> bool:
        """Whether the trial goes on after this epoch."""
        ...


@dataclass(frozen=True)
class Taught:
    """What a row says of its teacher."""

    identity: str
    validation_accuracy: float


@dataclass(frozen=True)
class Launch:
    """A trial to start: its id and all a worker needs."""

    trial_id: str
    spec: TrialSpec


@dataclass
class Ground:
    """What the rows of one search share.

    Attributes
    ----------
    config : SearchConfig
    outline : Description
    data_id : str
    teachers : mapping
        JSON of a `TeacherConfig` -> what rows say of it.
    threads : int
        CPU threads of a trial.
    gpus : float
        Its share of a GPU.
    """

    config: SearchConfig
    outline: Description
    data_id: str
    teachers: Mapping[str, Taught]
    threads: int = 1
    gpus: float = 0.0


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
        self.proposer, self.scheduler = proposer, scheduler
        self.started_at = time.monotonic()
        self.spent_before = store.history.seconds
        self.exhausted: str | None = None  # why nothing more is proposed, if not the budget
        self.running: dict[str, dict[str, Any]] = {}
        self._queue: deque[dict[str, Any]] = deque(store.history.running.values())
        self._seen = {t["architecture_key"] for t in store.history.trials.values()}
        self._refused = 0
        self._replay()

    # What runs next

    def next(self) -> Launch | Wait | Done:
        """The next trial, recorded as started."""
        if self._queue:
            event = self._queue.popleft()
            return self._launch({**event, "started_at": _now()})
        if self.proposer is None or self.budget_spent() or self.exhausted:
            return Done()
        return self._propose(self.proposer)

    def enqueue(self, trials: Sequence[dict[str, Any]]) -> None:
        """Add trials that no proposer made: baselines, finishes."""
        self._queue.extend(trials)

    def budget_spent(self) -> bool:
        """Whether the budget allows no further start."""
        budget, history = self.ground.config.fixed.budget, self.store.history
        started = sum(t["purpose"] == "search" for t in history.trials.values())
        if budget.trials is not None and started >= budget.trials:
            return True
        if budget.epochs is not None and history.epoch_count >= budget.epochs:
            return True
        hours = (self.spent_before + time.monotonic() - self.started_at) / 3600
        return budget.hours is not None and hours >= budget.hours

    def new_id(self) -> str:
        """The id after the last one given."""
        given = [*self.store.history.trials, *(e["trial_id"] for e in self._queue)]
        return f"{max((int(i) for i in given), default=-1) + 1:05d}"

    def trial_event(
        self,
        trial_id: str,
        spec: TrialSpec,
        *,
        assignment: Assignment,
        purpose: Purpose = "search",
        parent_id: str | None = None,
    ) -> dict[str, Any]:
        """The log's line for a trial that starts."""
        architecture = Architecture.from_json(spec.architecture)
        taught = None
        if spec.plan.teacher is not None and spec.plan.terms:
            taught = self.ground.teachers[spec.plan.teacher.model_dump_json()]
        return {
            "event": "trial",
            "trial_id": trial_id,
            "proposer": self.ground.config.fixed.proposer.name if purpose == "search" else "",
            "parent_id": parent_id,
            "purpose": purpose,
            "seed": spec.seed,
            "assignment": assignment,
            "spec": spec.model_dump(mode="json"),
            "architecture": spec.architecture,
            "architecture_key": architecture.key,
            **asdict(cost(architecture)),
            "teacher_id": taught.identity if taught else None,
            "teacher_validation_accuracy": taught.validation_accuracy if taught else None,
            "data_id": self.ground.data_id,
            "started_at": _now(),
        }

    # What trials report

    def report(self, trial_id: str, report: EpochReport) -> bool:
        """Record an epoch; False means that the trial should stop. The same epoch twice is one."""
        event = self.running[trial_id]
        known = self.store.history.epochs.get(trial_id, ())
        if report.epoch <= len(known):
            return True
        self.store.append({"event": "epoch", "trial_id": trial_id, **asdict(report)})
        if self.scheduler is None or event["purpose"] != "search":
            return True
        return self.scheduler.report(trial_id, report.epoch, self._values(event, report))

    def end(
        self,
        trial_id: str,
        status: str,
        *,
        error: str | None = None,
        seconds: float = 0.0,
        peak_memory_mib: float | None = None,
        weights: bytes | None = None,
    ) -> None:
        """Record the end of a trial; the weights of a student on the front are kept."""
        event = self.running.pop(trial_id, None)
        if event is None:
            return
        if weights is not None:
            self.store.save_student(trial_id, weights, event["spec"])
        self.store.append(
            {
                "event": "end",
                "trial_id": trial_id,
                "status": status,
                "error": error,
                "seconds": seconds,
                "gpu_seconds": seconds * self.ground.gpus,
                "peak_memory_mib": peak_memory_mib,
            }
        )
        self.store.flush()
        if weights is not None:
            self._drop_dominated()
        if self.proposer is not None and event["purpose"] == "search":
            self.proposer.observe(self.observation(event, status))

    def observation(self, event: Mapping[str, Any], status: str) -> Observation:
        """What the proposer is told of a trial that ended."""
        epochs = self.store.history.epochs.get(event["trial_id"], ())
        history = tuple(
            (e["epoch"], self._values(event, EpochReport(**_report_of(e)))) for e in epochs
        )
        return Observation(
            trial_id=event["trial_id"],
            assignment=event["assignment"],
            fate=status,  # type: ignore[arg-type]
            values=history[-1][1] if history else None,
            history=history,
        )

    # Inside

    def _propose(self, proposer: Proposer) -> Launch | Wait | Done:
        trial_id = self.new_id()
        for attempt in range(MODEL_TRIES + RANDOM_TRIES):
            ask = proposer.propose if attempt < MODEL_TRIES else proposer.propose_random
            proposal = ask(trial_id)
            if not isinstance(proposal, Proposal):
                return proposal
            event, fate = self._gate(trial_id, proposal)
            if event is not None:
                self._seen.add(event["architecture_key"])
                return self._launch(event)
            self._refused += 1
            proposer.observe(Observation(trial_id, proposal.assignment, fate))
        self.exhausted = (
            f"{MODEL_TRIES + RANDOM_TRIES} proposals in a row were known architectures or broke a "
            "constraint; widen the student section, or set proposer.repeats: true"
        )
        return Done()

    def _gate(self, trial_id: str, proposal: Proposal) -> tuple[dict[str, Any] | None, Any]:
        """The event of a proposal that may run; or None, and why not."""
        config = self.ground.config
        filled = config.space.apply(proposal.assignment)
        plan = config.validate(filled)
        try:
            architecture = architecture_of(plan, self.ground.outline, filled)
        except UserError:
            return None, "infeasible"
        if violation(config, cost(architecture)) is not None:
            return None, "infeasible"
        searched = config.space.count("student") > 1
        if architecture.key in self._seen and searched and not config.fixed.proposer.repeats:
            return None, "repeated"
        taught = None
        if plan.teacher is not None and plan.terms:
            taught = self.ground.teachers[plan.teacher.model_dump_json()].identity
        scheduler = config.fixed.scheduler
        spec = TrialSpec(
            plan=plan,
            architecture=architecture.to_json(),
            teacher_id=taught,
            rungs=list(rung_epochs(scheduler.grace, scheduler.reduction, plan.training.epochs)),
            seed=config.fixed.seed * 1_000_003 + int(trial_id),
            threads=self.ground.threads,
        )
        event = self.trial_event(
            trial_id, spec, assignment=proposal.assignment, parent_id=proposal.parent_id
        )
        return event, None

    def _launch(self, event: dict[str, Any]) -> Launch:
        self.store.append(event)
        self.running[event["trial_id"]] = event
        return Launch(event["trial_id"], TrialSpec.model_validate(event["spec"]))

    def _values(self, event: Mapping[str, Any], report: EpochReport) -> tuple[float, ...]:
        price = Cost(event["parameters"], event["macs"], event["size_bytes"])
        return tuple(objective_value(o, report, price) for o in self.ground.config.fixed.objectives)

    def _drop_dominated(self) -> None:
        """Keep the weights of the front alone; reruns, baselines and finishes are kept by asking."""
        history = self.store.history
        front = pareto_front(self.store.trials(), directions(self.ground.config.fixed.objectives))
        searched = {t for t, e in history.trials.items() if e["purpose"] == "search"}
        self.store.drop_students(searched - set(front["trial_id"]))

    def _replay(self) -> None:
        """Tell scheduler and proposer what the log knows, in its order."""
        history = self.store.history
        for event in history.trials.values():
            if event["purpose"] != "search" or event["trial_id"] in history.running:
                continue
            for epoch in history.epochs.get(event["trial_id"], ()):
                if self.scheduler is not None:
                    report = EpochReport(**_report_of(epoch))
                    values = self._values(event, report)
                    self.scheduler.report(event["trial_id"], report.epoch, values)
        for row in history.rows:
            if row.purpose == "search" and self.proposer is not None:
                event = history.trials[row.trial_id]
                self.proposer.observe(self.observation(event, row.status))


def objective_value(objective: ObjectiveConfig, report: EpochReport, price: Cost) -> float:
    """The value of one objective, as declared."""
    source = report if objective.name == "validation_accuracy" else price
    return float(getattr(source, objective.name))


def directions(objectives: Sequence[ObjectiveConfig]) -> list[tuple[str, str]]:
    """Names and directions, as `pareto_front` takes them."""
    return [(o.name, o.direction) for o in objectives]


def _report_of(event: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in event.items() if k not in ("event", "trial_id", "at")}


def _now() -> str:
    return datetime.now(UTC).isoformat()
