"""The three domains of the space language, and how they are read from a plain tree."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdsearch.errors import UserError

Scalar = str | int | float | bool
DOMAIN_KEYS = ("int", "float", "choice")
MODIFIERS = ("log", "step", "each")


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
    def _steps(self) -> int:
        assert self.step is not None
        return math.floor((self.high - self.low) / self.step + 1e-9)

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
        return [self.low + self.step * i for i in range(self._steps + 1)]

    @property
    def corners(self) -> tuple[Scalar, ...]:
        """The lowest and the highest value."""
        return self.low, self.high if self.step is None else self.grid[-1]

    def sample(self, rng: random.Random) -> Scalar:
        """One value, uniform (in the log if `log`)."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(value, self.low), self.high)
        if self.step is not None:
            return self.low + self.step * rng.randint(0, self._steps)
        return rng.uniform(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether `value` may stand here."""
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        return real and self.low <= value <= self.high


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
        return value in self.values


@dataclass(frozen=True, slots=True)
class Each:
    """A list of independent holes: `count` of them, or as many as the hole named `count` says."""

    count: int | str
    domain: Int | Float | Choice


Domain = Int | Float | Choice


def describe(domain: Domain) -> str:
    """A domain in the words of the file."""
    if isinstance(domain, Choice):
        return "choice [" + ", ".join(str(v) for v in domain.values) + "]"
    word = "int" if isinstance(domain, Int) else "float"
    step = f", step {domain.step}" if domain.step not in (None, 1) else ""
    return f"{word} [{domain.low:g}, {domain.high:g}]{', log' if domain.log else ''}{step}"


def parse(node: Any, path: str = "") -> Any:
    """A plain tree with every domain in it made a `Domain` or an `Each`; `path` is for errors."""
    if isinstance(node, Mapping):
        if any(key in node for key in DOMAIN_KEYS):
            return _parse_domain(node, path)
        return {str(key): parse(child, join(path, str(key))) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return [parse(child, f"{path}[{i}]") for i, child in enumerate(node)]
    return node


def _parse_domain(node: Mapping[str, Any], path: str) -> Domain | Each:
    kinds = [key for key in DOMAIN_KEYS if key in node]
    if len(kinds) > 1:
        raise UserError(path, f"a domain is one of int, float, choice; this one is {kinds}")
    if extra := sorted(str(key) for key in node if key not in (*DOMAIN_KEYS, *MODIFIERS)):
        raise UserError(
            path,
            f"unknown key {extra[0]!r} beside {kinds[0]!r}; a domain takes log, step and each. To "
            "write fixed values beside a hole, nest the hole under a key of its own",
        )
    body, log, step = node[kinds[0]], node.get("log", False), node.get("step")
    if kinds[0] == "choice":
        domain: Domain = _parse_choice(body, path, log, step)
    else:
        domain = _parse_range(kinds[0], body, path, log, step)
    each = node.get("each")
    if each is None:
        return domain
    if isinstance(each, bool) or not isinstance(each, (int, str)) or each in (0, ""):
        raise UserError(path, f"each must be a whole number from 1 or a key's name, got {each!r}")
    if isinstance(each, int) and not 1 <= each <= 1000:
        raise UserError(path, f"each must be from 1 to 1000, got {each}")
    return Each(each, domain)


def _parse_choice(body: Any, path: str, log: Any, step: Any) -> Choice:
    if not isinstance(body, (list, tuple)) or not body:
        raise UserError(path, f"choice needs a list of at least one option, got {body!r}")
    if log or step is not None:
        raise UserError(path, "log and step belong to int and float, not to choice")
    options = tuple(parse(option, f"{path}.choice[{i}]") for i, option in enumerate(body))
    names = _unique([_name(option, i) for i, option in enumerate(options)])
    same = all(isinstance(o, (int, float)) and not isinstance(o, bool) for o in options)
    words = all(isinstance(o, str) for o in options)
    values = options if (same or words) else names
    if len(set(values)) < len(values):
        twice = next(v for v in values if values.count(v) > 1)
        raise UserError(path, f"the option {twice!r} stands twice in this choice; remove one")
    return Choice(options, tuple(values), tuple(names))


def _parse_range(kind: str, body: Any, path: str, log: Any, step: Any) -> Int | Float:
    wanted = int if kind == "int" else (int, float)
    if not isinstance(body, (list, tuple)) or len(body) != 2:
        raise UserError(path, f"{kind} needs [low, high], got {body!r}")
    for value in (*body, *([] if step is None else [step])):
        if isinstance(value, bool) or not isinstance(value, wanted) or not math.isfinite(value):
            word = "whole" if kind == "int" else "finite"
            raise UserError(path, f"{kind} takes {word} numbers, got {value!r}")
    low, high = body
    if low > high:
        raise UserError(path, f"low {low} is above high {high}; swap them")
    if not isinstance(log, bool):
        raise UserError(path, f"log is true or false, got {log!r}")
    if log and low <= 0:
        raise UserError(path, f"log needs low > 0, got {low}; raise low or drop log")
    if step is not None and (step <= 0 or log):
        raise UserError(path, f"step must be > 0 and without log, got {step}")
    if kind == "int":
        return Int(low, high, log, 1 if step is None else step)
    return Float(float(low), float(high), log, None if step is None else float(step))


def _name(option: Any, index: int) -> str:
    """What columns call an option: its method, family or name; the value itself; or its number."""
    if isinstance(option, dict):
        for key in ("method", "family", "name", "architecture", "weights"):
            if isinstance(option.get(key), (str, dict)):
                return _name(option[key], index)
        return f"option{index}"
    if isinstance(option, list):
        return f"option{index}" if holds(option) else json.dumps(option, separators=(",", ":"))
    if isinstance(option, bool):
        return str(option).lower()
    return f"option{index}" if isinstance(option, (Int, Float, Choice, Each)) else str(option)


def _unique(names: Sequence[str]) -> list[str]:
    return [
        n if names.count(n) == 1 else f"{n}_{names[:i].count(n) + 1}" for i, n in enumerate(names)
    ]


def holds(node: Any) -> bool:
    """Whether a node is more than a scalar: a mapping, a list or a domain."""
    return isinstance(node, (dict, list, Int, Float, Choice, Each))


def join(path: str, key: str) -> str:
    """A path one key deeper."""
    return f"{path}.{key}" if path else key
