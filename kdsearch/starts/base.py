"""What a start is: the weights that a student has before its first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.data import Batches


@dataclass(frozen=True)
class Materials:
    """What a start may use.

    Attributes
    ----------
    architecture : Architecture
        The student's.
    seed : int
        Of the trial.
    batches : Batches
        The training's own: their device is where the student is to be.
    teacher : Architecture or None
    network : nn.Module or None
        The trained teacher, there for the start to take apart.
    section : mapping
        The plan's section that the student was described by.
    """

    architecture: Architecture
    seed: int
    batches: Batches
    teacher: Architecture | None = None
    network: nn.Module | None = None
    section: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Start:
    """One way to begin.

    Attributes
    ----------
    build : callable
        ``(config, materials) -> nn.Module``: the student; `config` is the section of the plan. What
        must not learn requires no gradient. Nothing is drawn from torch's global generators.
    check : callable
        ``(student, teacher) -> None``: raises a `UserError` where an architecture cannot begin so;
        the place is a path in the plan. The teacher is None where the plan has none.
    """

    build: Callable[[Any, Materials], nn.Module]
    check: Callable[[Architecture, Architecture | None], None]
