"""Everything that can be known of a search before a worker starts; bad input ends here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kdsearch.architecture import Architecture
from kdsearch.config import Plan, TeacherConfig
from kdsearch.cost import Cost, cost
from kdsearch.data import describe_data
from kdsearch.data.source import Description
from kdsearch.errors import UserError
from kdsearch.meter.device import missing
from kdsearch.pricing import find_students
from kdsearch.proposers import check_proposer
from kdsearch.proposing import make_proposer
from kdsearch.search_config import SearchConfig
from kdsearch.search_sections import Fixed, SchedulerConfig
from kdsearch.space import Filled
from kdsearch.students import build_student, output_shapes
from kdsearch.teachers import Need, Stock, load_weights, stock_up
from kdsearch.validation import validate
from kdsearch.wiring import Wired, check_plan, decisive, describe_network, place_of
from kdsearch.wiring import architecture_of as architecture_of

MOST_TEACHERS = 16


@dataclass(frozen=True)
class Summary:
    """What `kdsearch check` prints.

    Attributes
    ----------
    students, assignments : float
        Number of student sections and of whole assignments; infinity where a real number is free.
    cheapest, dearest : (Architecture, Cost)
        By parameters, among the corners of the space and a random sample.
    outline : Description
        Shape, classes and number of training images.
    teachers : list of (TeacherConfig, Architecture, Cost)
    stock : Stock
        What is kept of the teachers' outputs.
    """

    students: float
    assignments: float
    cheapest: tuple[Architecture, Cost]
    dearest: tuple[Architecture, Cost]
    outline: Description
    teachers: list[tuple[TeacherConfig, Architecture, Cost]]
    stock: Stock


def check_search(config: SearchConfig) -> Summary:
    """Check a search as far as it can be without training.

    Every option and every bound of the space is built and wired on the meta device: families,
    losses, adapters, teacher weights.

    Raises
    ------
    UserError
        The first fault, by its path in the search file.
    """
    try:
        return _check(config)
    except UserError as error:
        if not config.place or error.place.startswith(config.place):
            raise
        raise UserError(f"{config.place}: {error.place}", error.fault) from None


def _check(config: SearchConfig) -> Summary:
    fixed = config.fixed
    _check_devices(fixed)
    check_proposer(fixed.proposer)
    plans = list(config.plans())
    outline = _outline(plans[0][1], config.base)
    teachers = [(t, a, cost(a)) for t, a in list_teachers(config, outline)]
    make_proposer(config, [architecture for _, architecture, _ in teachers])
    checked: set[str] = set()
    needs: list[Need] = []
    longest = 0  # epochs of a student's own training
    for filled, plan in plans:
        if (key := decisive(plan)) not in checked:
            checked.add(key)
            wired = check_plan(plan, outline, filled)
            needs.append(need_of(plan, wired))
            longest = max(longest, plan.training.last_epoch - wired.pretraining)
    shapes = [output_shapes(architecture, 1) for _, architecture, _ in teachers]
    stock = stock_up(plans[0][1].store, needs, shapes, outline.train_images)
    _check_brackets(fixed.scheduler, longest)
    students = find_students(config, outline, [architecture for _, architecture, _ in teachers])
    ranked = sorted(students, key=lambda pair: pair[1].parameters)
    return Summary(
        students=config.space.count("student"),
        assignments=config.space.count(),
        cheapest=ranked[0],
        dearest=ranked[-1],
        outline=outline,
        teachers=teachers,
        stock=stock,
    )


def need_of(plan: Plan, wired: Wired) -> Need:
    """What a plan asks of the teacher's outputs."""
    return Need(wired.taps, plan.data.augment, plan.training.last_epoch)


def list_teachers(
    config: SearchConfig, outline: Description
) -> list[tuple[TeacherConfig, Architecture]]:
    """Every teacher that the space names, its weights file read once if it has one.

    Raises
    ------
    UserError
        More than 16, or weights that do not fit.
    """
    if "teacher" not in config.tree:
        return []
    if (number := config.space.count("teacher")) > MOST_TEACHERS:
        raise UserError(
            "teacher",
            f"the holes make {number:g} teachers, each to be trained; at most {MOST_TEACHERS}: "
            "write the ones you mean as a choice",
        )
    found: dict[str, tuple[TeacherConfig, Architecture]] = {}
    for filled in config.space.every("teacher"):
        section = filled.plain["teacher"]
        if section in (None, "none"):
            continue
        inner = {p.removeprefix("teacher."): source for p, source in filled.sources.items()}
        teacher = validate(TeacherConfig, section, inner)
        for key in ("augment", "batch_size"):
            free = f"data.{key}" in config.space.holes and teacher.weights is None
            if free and getattr(teacher, key) is None:
                fault = f"data.{key} is a hole: say here which one the teacher trains with"
                raise UserError(f"teacher.{key}", fault)
        path = "teacher.architecture"
        architecture = describe_network(teacher.architecture, path, outline, filled)
        if teacher.weights is not None:
            _check_weights(teacher, architecture, config.base, filled)
        found[teacher.model_dump_json()] = (teacher, architecture)
    return list(found.values())


def _check_brackets(scheduler: SchedulerConfig, longest: int) -> None:
    """Refuse a bracket that would never decide."""
    begins = [scheduler.grace * scheduler.reduction**n for n in range(scheduler.brackets)]
    if scheduler.name == "none" or scheduler.brackets == 1 or begins[-1] < longest:
        return
    most = max(1, sum(begin < longest for begin in begins))
    raise UserError(
        "scheduler.brackets",
        f"{scheduler.brackets}: the last one would begin to decide after epoch {begins[-1]}, and "
        f"no training is longer than {longest}; write at most {most}, or raise training.epochs",
    )


def _check_devices(fixed: Fixed) -> None:
    for number, objective in enumerate(fixed.objectives):
        fault = missing(objective.device)
        if fault is not None:
            place = f"objectives[{number}].device"
            raise UserError(place, f"{objective.device!r} is not there: {fault}")
    if (name := fixed.nowhere()) is not None:
        fault = "nothing says on which device it is measured; write {most: "
        fault += (
            f"{fixed.constraints[name]:g}, device: cpu, batch_size: 1}}, or make it an objective"
        )
        raise UserError(f"constraints.{name}", fault)
    for objective in fixed.measured:  # of bounds alone
        if (fault := missing(objective.device)) is not None:
            place = f"constraints.{objective.name}.device"
            raise UserError(place, f"{objective.device!r} is not there: {fault}")


def _outline(plan: Plan, base: Path) -> Description:
    try:
        return describe_data(plan.data, base)
    except (OSError, RuntimeError) as error:  # a root that no file system can have
        raise UserError("data.root", f"{plan.data.root!r:.80} cannot be read: {error}") from None


def _check_weights(
    teacher: TeacherConfig, architecture: Architecture, base: Path, filled: Filled
) -> None:
    assert teacher.weights is not None
    place = place_of("teacher.weights", filled)
    try:
        load_weights(build_student(architecture), base / Path(teacher.weights).expanduser())
    except UserError as error:
        raise UserError(f"{place}: {error.place}", error.fault) from None
    except (OSError, RuntimeError) as error:  # a path that no file system can have
        raise UserError(place, f"{teacher.weights!r:.80} cannot be read: {error}") from None
