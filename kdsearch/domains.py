"""The three domains of the space language: whole numbers, real numbers, and a choice of options."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Scalar = str | int | float | bool
NEAR = 1e-6  # of a step: what rounding may put between a value and its place on the grid


@dataclass(frozen=True, slots=True)
class Int:
    """Whole numbers from `low` to `high`, both included; in steps, or evenly in the log."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    dtype = "int64"

    @property
    def count(self) -> float:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def grid(self) -> Sequence[Scalar]:
        """All values."""
        return range(self.low, self.high + 1, self.step)

    @property
    def corners(self) -> tuple[Scalar, ...]:
        """The lowest and the highest value."""
        return self.grid[0], self.grid[-1]

    def sample(self, rng: random.Random) -> Scalar:
        """One value, uniform (in the log if `log`)."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(value), self.low), self.high)
        return rng.randrange(self.low, self.high + 1, self.step)

    def contains(self, value: Any) -> bool:
        """Whether `value` may stand here."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True, slots=True)
class Float:
    """Real numbers from `low` to `high`; in steps if given, evenly in the log if `log`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    dtype = "float64"

    @property
    def count(self) -> float:
        """How many values there are; infinity without a step."""
        if self.low == self.high:
            return 1
        return math.inf if self.step is None else self._steps + 1

    @property
    def grid(self) -> Sequence[Scalar]:
        """All values, where there is a step.

        Raises
        ------
        ValueError
            A continuum.
        """
        if self.low == self.high:
            return [self.low]
        if self.step is None:
            raise ValueError("a real number without a step has no grid")
        return [self._at(i) for i in range(self._steps + 1)]

    @property
    def corners(self) -> tuple[Scalar, ...]:
        """The lowest and the highest value."""
        return self.low, self.high if self.step is None else self._at(self._steps)

    def sample(self, rng: random.Random) -> Scalar:
        """One value, uniform (in the log if `log`)."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(value, self.low), self.high)
        if self.step is not None:
            return self._at(rng.randint(0, self._steps))
        return rng.uniform(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether `value` may stand here."""
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < NEAR

    def nearest(self, value: float) -> float:
        """The value of the grid that rounding has moved; without a step, `value` itself."""
        return value if self.step is None else self._at(round((value - self.low) / self.step))

    # In decimals, as the file has them: in floats, 0.1 + 2 * 0.1 is above 0.3.

    @property
    def _steps(self) -> int:
        low, high, step = (Decimal(str(x)) for x in (self.low, self.high, self.step))
        return int((high - low) / step)

    def _at(self, index: int) -> float:
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step)))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several options, each a value or a whole subtree with holes of its own.

    `values` are what the column holds: the options themselves where all are numbers or words,
    their names otherwise.
    """

    options: tuple[Any, ...]
    values: tuple[Scalar, ...]
    names: tuple[str, ...]

    @property
    def dtype(self) -> str:
        """Of the column: int64, float64 or string."""
        kinds = {type(v) for v in self.values}
        return "int64" if kinds == {int} else "float64" if kinds <= {int, float} else "string"

    @property
    def count(self) -> float:
        """How many options there are."""
        return len(self.options)

    @property
    def grid(self) -> Sequence[Scalar]:
        """All options."""
        return self.values

    @property
    def corners(self) -> tuple[Scalar, ...]:
        """The first and the last option."""
        return self.values[0], self.values[-1]

    def sample(self, rng: random.Random) -> Scalar:
        """One option, uniform."""
        return rng.choice(self.values)

    def contains(self, value: Any) -> bool:
        """Whether `value` names an option."""
        return not isinstance(value, bool) and value in self.values


Domain = Int | Float | Choice


@dataclass(frozen=True, slots=True)
class Each:
    """A list of independent holes: `count` of them, or as many as the number called `count`."""

    count: int | str
    domain: Domain


def describe(domain: Domain) -> str:
    """A domain in the words of the file."""
    if isinstance(domain, Choice):
        return "choice [" + ", ".join(str(v) for v in domain.values) + "]"
    word = "int" if isinstance(domain, Int) else "float"
    step = f", step {domain.step}" if domain.step not in (None, 1) else ""
    return f"{word} [{domain.low:g}, {domain.high:g}]{', log' if domain.log else ''}{step}"
