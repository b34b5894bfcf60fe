"""The students of a space, priced before anything runs: the cheapest, the dearest, or none."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.cost import Cost, cost
from kdsearch.data.source import Description
from kdsearch.domains import Choice, Domain, Scalar
from kdsearch.edits import EDITED
from kdsearch.errors import UserError
from kdsearch.objectives import violation, violations
from kdsearch.search_config import SearchConfig
from kdsearch.space import Filled
from kdsearch.students import family_of
from kdsearch.wiring import describe_network

SAMPLES = 500  # students priced when the cheapest and the dearest are sought
TRIES = 2000  # students priced before constraints are said to leave none
FOREIGN = 20  # so many students as one foreign network, which is built to be priced


def find_students(
    config: SearchConfig, outline: Description, teachers: Sequence[Architecture] = ()
) -> list[tuple[Architecture, Cost]]:
    """Students that meet the constraints: all of a small space, else corners and a sample.

    Of `family: edited` those of every teacher.

    Bounds on what is measured are left to the search: nothing is measured here.

    Raises
    ------
    UserError
        No student meets them.
    """
    met: dict[Architecture, Cost] = {}
    closest, fault = math.inf, "none can be built"
    tried = 0
    for section, teacher in _students(config, teachers):
        if tried >= (SAMPLES if met else TRIES):
            break
        try:
            architecture = describe_network(section, "student", outline, teacher=teacher)
        except UserError:
            tried += 1
            continue  # costs nothing: the driver asks again
        tried += _effort(architecture)
        price = cost(architecture, config.fixed.bits)
        broken = violation(config.fixed.constraints, asdict(price))
        if broken is None:
            met[architecture] = price
        elif (excess := _excess(config, price)) < closest:
            closest, fault = excess, f"the closest one's {broken}"
    if not met:
        fault = f"no student of this space meets them ({fault}); raise a bound or widen the space"
        raise UserError("constraints", fault)
    return list(met.items())


def _students(
    config: SearchConfig, teachers: Sequence[Architecture]
) -> Iterator[tuple[dict[str, Any], Architecture | None]]:
    """Student sections, each with every teacher that it may be an edit of."""
    for filled in _sections(config):
        section = filled.plain["student"]
        edited = isinstance(section, dict) and section.get("family") == EDITED
        for teacher in (teachers if edited else None) or [None]:
            yield section, teacher


def _sections(config: SearchConfig) -> Iterator[Filled]:
    if config.space.count("student") <= SAMPLES:
        yield from config.space.every("student")
        return
    yield from config.space.cover("student")
    for pick in (min, max):  # `cover` takes the first and the last number of a choice
        yield config.space.fill(partial(extreme, pick), "student")
    rng = random.Random(0)
    while True:
        yield config.space.sample(rng, "student")


def extreme(pick: Callable[[Sequence[Any]], Scalar], name: str, domain: Domain) -> Scalar:
    """The least or the most of a hole, as `pick` is `min` or `max`; of words the first."""
    values = domain.values if isinstance(domain, Choice) else domain.corners
    return values[0] if domain.dtype == "string" else pick(values)


def _effort(architecture: Architecture) -> int:
    if family_of(architecture.family).layers is None:
        return FOREIGN
    return 1 + sum(len(stage.blocks) for stage in architecture.stages) // 50


def _excess(config: SearchConfig, price: Cost) -> float:
    return max(violations(config.fixed.constraints, asdict(price)))
