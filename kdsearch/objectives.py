"""What a search may optimise and bound: the table `OBJECTIVES`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["max", "min"]
Source = Literal["epoch", "static", "measured"]


@dataclass(frozen=True, slots=True)
class Objective:
    """One row of the table.

    Attributes
    ----------
    direction : str
        ``max`` or ``min``: the one that makes sense.
    source : str
        ``epoch``: every epoch reports it. ``static``: known from the architecture. ``measured``:
        on a device, before the trial starts.
    unit : str
        Empty where it is a plain number.
    keys : tuple of str
        What its section may say beside name, direction, scale and slack.
    noise : float
        The slack where the section gives none: about a standard error on a thousand images. 0 where
        the same network always gives the same, or nearly.
    """

    direction: Direction
    source: Source
    unit: str = ""
    keys: tuple[str, ...] = ()
    noise: float = 0.0


PLACE = ("device", "batch_size")  # where, and of how many samples, a forward is measured
OBJECTIVES: dict[str, Objective] = {
    "validation_accuracy": Objective("max", "epoch", noise=0.01),
    "validation_loss": Objective("min", "epoch", "nats", noise=0.02),
    "parameters": Objective("min", "static"),
    "macs": Objective("min", "static"),
    "size_bytes": Objective("min", "static", "bytes", ("bits",)),
    "latency_ms": Objective("min", "measured", "ms", PLACE),
    "peak_memory_mib": Objective("min", "measured", "MiB", PLACE),
}
MEASURED = tuple(name for name, row in OBJECTIVES.items() if row.source == "measured")


def violations(bounds: Mapping[Any, float], known: Mapping[str, Any]) -> tuple[float, ...]:
    """By how much each upper bound is broken, in their order: ``value / bound - 1``.

    At most 0 where the bound is met; 0 too where the value is not known, as that of a student which
    another bound has ruled out before it was measured.
    """
    values = [known.get(name) for name in bounds]
    pairs = zip(values, bounds.values(), strict=True)
    return tuple(0.0 if value is None else value / bound - 1 for value, bound in pairs)


def violation(bounds: Mapping[Any, float], known: Mapping[str, Any]) -> str | None:
    """The first upper bound that a known value breaks, in words; None where it breaks none."""
    for name, bound in bounds.items():
        value = known.get(name)
        if value is not None and not value <= bound:
            return f"{name} {_said(value)} is above {_said(bound)}"
    return None


def _said(value: float) -> str:
    whole = math.isfinite(value) and (isinstance(value, int) or abs(value) >= 1000)
    return f"{value:,.0f}" if whole else f"{value:.4g}"
