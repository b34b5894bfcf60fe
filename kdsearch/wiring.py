"""Whether student, teacher and losses of a plan fit each other; no weight is allocated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from kdsearch.architecture import Architecture
from kdsearch.config import Plan
from kdsearch.cost import cost
from kdsearch.data.source import Description
from kdsearch.edits import EDITED, as_architecture, describe_edited
from kdsearch.errors import UserError
from kdsearch.losses import LossContext
from kdsearch.measures import check_measures
from kdsearch.schemes import Term, build_terms
from kdsearch.space import Filled
from kdsearch.starts import STARTS
from kdsearch.students import describe, output_shapes
from kdsearch.trial import teacher_missing
from kdsearch.validation import source_of

MOST_PARAMETERS = 10_000_000_000  # of any network: 40 GB
# What a family's code meets in an architecture that was not made by it.
STORED_FAULTS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)


def architecture_of(plan: Plan, outline: Description, filled: Filled | None = None) -> Architecture:
    """The student of a plan.

    Raises
    ------
    UserError
        An unknown family or parameter, by its path in the search file.
    """
    teacher = _teacher_of(plan, outline, filled) if plan.student.get("family") == EDITED else None
    return describe_network(plan.student, "student", outline, filled, teacher)


class Wired(NamedTuple):
    """What a plan comes to.

    Attributes
    ----------
    student : Architecture
    pretraining : int
        Epochs that its losses take before the student's own training.
    taps : frozenset of str
        Parts of the teacher's outputs that its losses read.
    """

    student: Architecture
    pretraining: int
    taps: frozenset[str] = frozenset()


def check_plan(plan: Plan, outline: Description, filled: Filled | None = None) -> Wired:
    """Check that student, start, teacher, losses and measures fit; nothing is allocated.

    Parameters
    ----------
    plan : Plan
    outline : Description
    filled : Filled, optional
        What the plan was made from: errors then name the path in the search file.

    Raises
    ------
    UserError
        A network that cannot be built or not begin as the plan says, a loss that does not fit, an
        unknown measure, a teacher that is missing, or nothing to learn from.
    """
    student = architecture_of(plan, outline, filled)
    check_measures(plan.measures, augmented=plan.data.augment != "none")
    if not plan.terms and plan.training.label_weight == 0:
        place = place_of("training.label_weight", filled)
        raise UserError(place, "0 where there is no loss term: nothing to learn; raise it")
    if not plan.taught:
        return Wired(student, 0)
    teacher = _teacher_of(plan, outline, filled)
    _check_start(plan, student, teacher, filled)
    if teacher is None:
        raise UserError(place_of("teacher", filled), teacher_missing(plan))
    terms = _wire(plan, student, teacher, outline, filled)
    pretraining = sum(stage.epochs for term in terms for stage in term.loss.stages())
    if terms and plan.training.label_weight == 0:
        _check_lesson(plan, terms, pretraining, filled)
    return Wired(student, pretraining, frozenset().union(*(term.loss.taps for term in terms)))


def _teacher_of(plan: Plan, outline: Description, filled: Filled | None) -> Architecture | None:
    if plan.teacher is None:
        return None
    return describe_network(plan.teacher.architecture, "teacher.architecture", outline, filled)


def _wire(
    plan: Plan,
    student: Architecture,
    teacher: Architecture,
    outline: Description,
    filled: Filled | None,
) -> list[Term]:
    size = plan.data.batch_size
    context = LossContext(
        student=output_shapes(student, size),
        teacher=output_shapes(teacher, size),
        classes=len(outline.classes),
        samples=outline.train_images,
        batch_size=size,
        epochs=plan.training.last_epoch,
    )
    try:
        with torch.device("meta"):  # adapters without weights
            return build_terms(plan.losses, context)
    except UserError as error:
        raise UserError(place_of(error.place, filled), error.fault) from None


def _check_lesson(
    plan: Plan, terms: Sequence[Term], pretraining: int, filled: Filled | None
) -> None:
    """Without labels: refuse a training in which, from some epoch on, nothing is minimised."""
    left = plan.training.last_epoch - pretraining
    if not any(t.loss.joint and (t.stop_epoch is None or t.stop_epoch >= left) for t in terms):
        place = place_of("training.label_weight", filled)
        fault = "0 where no loss term lasts to the end: nothing to learn then; raise it"
        raise UserError(place, fault)


def _check_start(
    plan: Plan, student: Architecture, teacher: Architecture | None, filled: Filled | None
) -> None:
    try:
        STARTS[plan.start.name].check(student, teacher)
    except UserError as error:
        stored = "architecture" in plan.student and error.place.startswith("student.")
        place = "student.architecture" if stored else error.place
        raise UserError(place_of(place, filled), error.fault) from None


def decisive(plan: Plan) -> str:
    """What `check_plan` looks at: of plans that agree in it, one need be checked."""
    teacher = None if plan.teacher is None else plan.teacher.architecture
    losses = [term and term.model_dump() for term in plan.losses]
    nothing = plan.training.label_weight == 0
    sizes = [plan.data.batch_size, plan.training.last_epoch]
    measured = [plan.measures, plan.data.augment]
    return json.dumps([plan.student, plan.start.name, teacher, losses, sizes, nothing, measured])


def describe_network(
    section: Mapping[str, Any],
    path: str,
    outline: Description,
    filled: Filled | None = None,
    teacher: Architecture | None = None,
) -> Architecture:
    """The architecture of a section of a plan, which stands at `path` in it.

    The teacher is the plan's, of which `family: edited` is an edit; no other family reads it.

    Raises
    ------
    UserError
        No network that can be built for the data, by its path in the search file.
    """
    edited = section.get("family") == EDITED
    if edited and teacher is not None:
        _check_editable(teacher, filled)
    try:
        if edited:
            architecture = describe_edited(section, teacher)
        else:
            architecture = describe(section, outline.shape, len(outline.classes))
    except UserError as error:
        raise UserError(place_of(f"{path}.{error.place}", filled), error.fault) from None
    try:
        parameters = cost(architecture).parameters
    except STORED_FAULTS as error:
        if "architecture" not in section:
            raise
        fault = f"no network of its family ({type(error).__name__} {error}); take one from a result"
        raise UserError(place_of(path, filled), fault) from None
    if parameters > MOST_PARAMETERS:
        fault = f"has {parameters:,} parameters; at most {MOST_PARAMETERS:,} are taken"
        raise UserError(place_of(path, filled), fault)
    return architecture


def _check_editable(teacher: Architecture, filled: Filled | None) -> None:
    try:
        as_architecture(teacher)
    except UserError as error:
        place = place_of(f"teacher.architecture.{error.place}", filled)
        raise UserError(place, error.fault) from None


def place_of(plain: str, filled: Filled | None) -> str:
    """The path in the search file of a path in a plan."""
    return source_of(plain.rstrip("."), {} if filled is None else filled.sources)
