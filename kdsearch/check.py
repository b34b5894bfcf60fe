"""Everything that can be known of a search before a worker starts; bad input ends here."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdsearch.architecture import Architecture
from kdsearch.config import Plan, TeacherConfig, validate
from kdsearch.cost import Cost, cost
from kdsearch.data import describe_data
from kdsearch.data.source import Description
from kdsearch.errors import UserError
from kdsearch.losses import LossContext
from kdsearch.proposers import check_proposer
from kdsearch.search_config import SearchConfig
from kdsearch.space import Filled, SearchSpace
from kdsearch.students import build_student, describe, output_shapes
from kdsearch.teachers import load_weights
from kdsearch.trial import build_terms

MOST_TEACHERS = 16
SAMPLES = 500  # random students beside the corners, when the cheapest and dearest are sought
TRIES = 2000  # random students tried before constraints are said to leave nothing


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
    """

    students: float
    assignments: float
    cheapest: tuple[Architecture, Cost]
    dearest: tuple[Architecture, Cost]
    outline: Description
    teachers: list[tuple[TeacherConfig, Architecture, Cost]]


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
    check_proposer(config.fixed.proposer.name)
    plans = list(config.plans())
    outline = describe_data(plans[0][1].data, config.base)
    teachers = [(t, a, cost(a)) for t, a in list_teachers(config, outline)]
    for _, architecture, _ in teachers:
        if architecture.classes != len(outline.classes):
            raise UserError(
                "teacher", f"{architecture.classes} classes; the data have another number"
            )
    for filled, plan in plans:
        _check_plan(filled, plan, outline)
    students = find_students(config, outline)
    ranked = sorted(students, key=lambda pair: pair[1].parameters)
    return Summary(
        students=config.space.count("student"),
        assignments=config.space.count(),
        cheapest=ranked[0],
        dearest=ranked[-1],
        outline=outline,
        teachers=teachers,
    )


def list_teachers(
    config: SearchConfig, outline: Description
) -> list[tuple[TeacherConfig, Architecture]]:
    """Every teacher that the space names, its weights file read once if it has one.

    Raises
    ------
    UserError
        More than 16, or weights that do not fit.
    """
    if "teacher" not in config.space.tree:
        return []
    alone = SearchSpace({"teacher": config.tree["teacher"]})
    if alone.count() > MOST_TEACHERS:
        raise UserError(
            "teacher",
            f"the holes make {alone.count():g} teachers, each to be trained; at most "
            f"{MOST_TEACHERS}: write the ones you mean as a choice",
        )
    found: dict[str, tuple[TeacherConfig, Architecture]] = {}
    for filled in alone.every():
        teacher = _teacher(filled)
        if teacher is None:
            continue
        architecture = _describe(teacher.architecture, "teacher.architecture", outline, filled)
        if teacher.weights is not None:
            _check_weights(teacher, architecture, config.base, filled)
        found[teacher.model_dump_json()] = (teacher, architecture)
    return list(found.values())


def architecture_of(plan: Plan, outline: Description, filled: Filled | None = None) -> Architecture:
    """The student of a plan.

    Raises
    ------
    UserError
        An unknown family or parameter, by its path in the search file.
    """
    return _describe(plan.student, "student", outline, filled)


def violation(config: SearchConfig, price: Cost) -> str | None:
    """The first constraint that a cost breaks, in words; None where it breaks none."""
    for name, bound in config.fixed.constraints.items():
        value = getattr(price, name)
        if value > bound:
            return f"{name} {value:,} is above {bound:,.0f}"
    return None


def find_students(config: SearchConfig, outline: Description) -> list[tuple[Architecture, Cost]]:
    """Students at the corners of the space, and a random sample, that meet the constraints.

    Raises
    ------
    UserError
        No student meets them.
    """
    rng = random.Random(0)
    alone = SearchSpace({"student": config.tree["student"]})
    sampled = (alone.sample(rng) for _ in range(SAMPLES if alone.holes else 1))
    met: dict[str, tuple[Architecture, Cost]] = {}
    least = None
    for filled in itertools.chain(alone.cover(), sampled):
        try:
            architecture = describe(filled.plain["student"], outline.shape, len(outline.classes))
        except UserError:
            continue  # a combination that cannot be built costs nothing: the driver asks again
        price = cost(architecture)
        least = price if least is None or price.parameters < least.parameters else least
        if violation(config, price) is None:
            met[architecture.key] = architecture, price
    if not met:
        nearest = f"; the smallest has {least.parameters:,} parameters" if least else ""
        raise UserError("constraints", f"no student of this space meets them{nearest}")
    return list(met.values())


def _check_plan(filled: Filled, plan: Plan, outline: Description) -> None:
    student = architecture_of(plan, outline, filled)
    terms = plan.terms
    if not terms:
        if plan.training.label_weight == 0:
            raise UserError(
                "losses", "label_weight is 0 and there is no loss term: nothing to learn"
            )
        return
    if plan.teacher is None:
        raise UserError(
            "teacher", "the losses need a teacher; add the section, or remove the losses"
        )
    teacher = _describe(plan.teacher.architecture, "teacher.architecture", outline, filled)
    size = plan.data.batch_size
    context = LossContext(
        student=output_shapes(student, size),
        teacher=output_shapes(teacher, size),
        classes=len(outline.classes),
        samples=outline.train_images,
        batch_size=size,
    )
    kept = [i for i, term in enumerate(plan.losses) if term is not None]
    for index, term in zip(kept, terms, strict=True):
        try:
            with torch.device("meta"):  # adapters without weights
                build_terms([term], context)
        except UserError as error:
            raise _sourced(error, f"losses[{index}]", "losses[0]", filled) from None


def _describe(
    section: dict[str, Any], path: str, outline: Description, filled: Filled | None
) -> Architecture:
    try:
        architecture = describe(section, outline.shape, len(outline.classes))
        cost(architecture)
        return architecture
    except UserError as error:
        raise _sourced(error, path, "", filled) from None


def _sourced(error: UserError, path: str, prefix: str, filled: Filled | None) -> UserError:
    """The error at the path that the user wrote, not the one of the filled config."""
    rest = error.place.removeprefix(prefix).lstrip(".")
    plain = f"{path}.{rest}" if rest else path
    sources = {} if filled is None else filled.sources
    while plain and plain not in sources and sources:
        plain, _, tail = plain.rpartition(".")
        if plain in sources:
            return UserError(f"{sources[plain]}.{tail}", error.fault)
    return UserError(sources.get(plain, plain or path), error.fault)


def _teacher(filled: Filled) -> TeacherConfig | None:
    section = filled.plain["teacher"]
    if section == "none":
        return None
    sources = {plain.removeprefix("teacher."): path for plain, path in filled.sources.items()}
    return validate(TeacherConfig, section, sources)


def _check_weights(
    teacher: TeacherConfig, architecture: Architecture, base: Path, filled: Filled
) -> None:
    assert teacher.weights is not None
    path = base / Path(teacher.weights).expanduser()
    try:
        load_weights(build_student(architecture), path)
    except UserError as error:
        place = filled.sources.get("teacher.weights", "teacher.weights")
        raise UserError(f"{place}: {error.place}", error.fault) from None
