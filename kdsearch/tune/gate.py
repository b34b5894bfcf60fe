"""From a proposal to a trial: its cost and constraints, before a worker is taken."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.config import Plan, StoreConfig, TrialSpec, identity
from kdsearch.cost import cost
from kdsearch.data import ImageData
from kdsearch.data.source import Description
from kdsearch.errors import UserError
from kdsearch.meter import Meter
from kdsearch.objectives import violation, violations
from kdsearch.proposers import Proposal
from kdsearch.proposers.base import Fate
from kdsearch.results.records import Purpose
from kdsearch.schemes import rung_epochs
from kdsearch.search_config import SearchConfig
from kdsearch.search_sections import SchedulerConfig
from kdsearch.space import Assignment
from kdsearch.wiring import check_plan


@dataclass(frozen=True)
class Taught:
    """What a row says of its teacher."""

    identity: str
    validation_accuracy: float


@dataclass
class Ground:
    """What the rows of one search share.

    Attributes
    ----------
    config : SearchConfig
    data : ImageData
    data_id : str
        Its `id`, taken once: it is a hash of every pixel.
    teachers : mapping
        JSON of a `TeacherConfig` -> what rows say of it.
    threads : int
        CPU threads of a trial.
    gpus : float
        Its share of a GPU.
    store : StoreConfig or None
        What trials read of their teachers' outputs, decided for the whole search; None: as the
        file says.
    meter : Meter
        Measures what the objectives and constraints ask for; nothing by default.
    place : str
        The kinds of machines that train: what is known of their memory holds for no others.
    nodes : int
        How many of them there are.
    """

    config: SearchConfig
    data: ImageData
    data_id: str
    teachers: Mapping[str, Taught]
    threads: int = 1
    gpus: float = 0.0
    store: StoreConfig | None = None
    meter: Meter = field(default_factory=Meter)
    place: str = ""
    nodes: int = 1

    @property
    def machines(self) -> str:
        """All that train: how many trials they hold says nothing of more of them."""
        return self.place if self.nodes == 1 else f"{self.nodes} nodes: {self.place}"

    @property
    def outline(self) -> Description:
        """Shape, classes and training images of the data."""
        return Description(self.data.shape, self.data.classes, len(self.data.train.labels))


@dataclass(frozen=True)
class Refusal:
    """Why a proposal may not run.

    Attributes
    ----------
    fate : str
        ``infeasible`` or ``repeated``.
    why : str
        In words.
    violations : tuple of float
        As an `Observation` has them. What is measured counts 0 where a bound on what is known
        without measuring is broken: nothing is measured then.
    """

    fate: Fate
    why: str
    violations: tuple[float, ...] = ()


def gate(
    ground: Ground, seen: Container[str], trial_id: str, proposal: Proposal
) -> tuple[dict[str, Any], None] | tuple[None, Refusal]:
    """The event of a proposal that may run; or None, and why not.

    What is measured is measured here, before a worker is taken, and only of a student that all else
    lets through.

    Parameters
    ----------
    seen : container of str
        What `keys_of` gives of the trials so far.
    """
    config = ground.config
    filled = config.space.apply(proposal.assignment)
    plan = config.validate(filled)
    if ground.store is not None:
        plan = plan.model_copy(update={"store": ground.store})
    try:
        architecture, pretraining, _ = check_plan(plan, ground.outline, filled)
    except UserError as error:  # a combination that the check of the space did not meet
        return None, Refusal("infeasible", str(error))
    refusal = _refusal(ground, seen, architecture, proposal.assignment)
    if refusal is not None:
        return None, refusal
    taught = None
    if plan.teacher is not None and plan.taught:
        taught = ground.teachers[plan.teacher.model_dump_json()].identity
    scheduler = config.fixed.scheduler
    spec = TrialSpec(
        plan=plan,
        architecture=architecture.to_json(),
        teacher_id=taught,
        rungs=_rungs(scheduler, trial_id, plan.training.epochs, pretraining),
        seed=config.fixed.seed * 1_000_003 + int(trial_id),
        threads=ground.threads,
    )
    event = trial_event(
        ground,
        trial_id,
        spec,
        assignment=proposal.assignment,
        parent_id=proposal.parent_id or _edited(plan, ground),
        proposer=proposal.proposer or config.fixed.proposer.name,
    )
    return event if proposal.note is None else {**event, "note": proposal.note}, None


def _edited(plan: Plan, ground: Ground) -> str | None:
    """The teacher that a student is an edit of."""
    if plan.teacher is None or plan.student.get("family") != "edited":
        return None
    taught = ground.teachers.get(plan.teacher.model_dump_json())
    return taught.identity if taught else None


def keys_of(trial: Mapping[str, Any]) -> tuple[str, str]:
    """By what a trial is known when it is proposed again: its architecture, and all its holes."""
    return trial["architecture_key"], identity(trial["assignment"])


def _refusal(
    ground: Ground, seen: Container[str], architecture: Architecture, assignment: Assignment
) -> Refusal | None:
    fixed, space = ground.config.fixed, ground.config.space
    known: dict[str, Any] = asdict(cost(architecture, fixed.bits))
    if (broken := violation(fixed.constraints, known)) is not None:
        return Refusal("infeasible", broken, violations(fixed.constraints, known))
    repeated = architecture.key in seen and space.count("student") > 1
    if (repeated and not fixed.proposer.repeats) or (space.holes and identity(assignment) in seen):
        return Refusal("repeated", "it was proposed before", violations(fixed.constraints, known))
    try:
        known |= asdict(ground.meter.read(architecture))
    except UserError as error:
        if error.place == "objectives":  # nothing can be measured at all
            raise
        return Refusal("infeasible", str(error))
    if (broken := violation(fixed.constraints, known)) is not None:
        return Refusal("infeasible", broken, violations(fixed.constraints, known))
    return None


def trial_event(
    ground: Ground,
    trial_id: str,
    spec: TrialSpec,
    *,
    assignment: Assignment,
    purpose: Purpose = "search",
    parent_id: str | None = None,
    proposer: str = "",
) -> dict[str, Any]:
    """The log's line for a trial that starts.

    Raises
    ------
    UserError
        A student that cannot be measured, where that is asked for.
    """
    architecture = Architecture.from_json(spec.architecture)
    taught = None
    if spec.plan.teacher is not None:  # also where no loss asks it: rows are compared with it
        taught = ground.teachers.get(spec.plan.teacher.model_dump_json())
    return {
        "event": "trial",
        "trial_id": trial_id,
        "proposer": proposer,
        "parent_id": parent_id,
        "purpose": purpose,
        "seed": spec.seed,
        "assignment": assignment,
        "spec": spec.model_dump(mode="json"),
        "architecture": spec.architecture,
        "architecture_key": architecture.key,
        **asdict(cost(architecture, ground.config.fixed.bits)),
        "size_bits": ground.config.fixed.bits,
        **asdict(ground.meter.read(architecture)),
        "teacher_id": taught.identity if taught else None,
        "teacher_validation_accuracy": taught.validation_accuracy if taught else None,
        "data_id": ground.data_id,
        "started_at": now(),
    }


def _rungs(scheduler: SchedulerConfig, trial_id: str, epochs: int, pretraining: int) -> list[int]:
    """Epochs at which the trial may end: rungs count epochs of the student's own training."""
    if scheduler.name == "none":
        return [epochs]
    own = rung_epochs(scheduler.first_rung(trial_id), scheduler.reduction, epochs)
    return [*(rung + pretraining for rung in own if rung + pretraining < epochs), epochs]


def now() -> str:
    """The time, in UTC, as the log writes it."""
    return datetime.now(UTC).isoformat()
