"""A search file: the fixed sections, and the space of plans that the others span."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from kdsearch.config import (
    BudgetConfig,
    Name,
    ObjectiveConfig,
    Plain,
    Plan,
    ProposerConfig,
    ResourcesConfig,
    SchedulerConfig,
    nearest,
    validate,
)
from kdsearch.errors import UserError
from kdsearch.space import Assignment, Filled, SearchSpace
from kdsearch.yaml_reader import parse_yaml, read_yaml

HOLED = ("data", "teacher", "student", "losses", "training")
# One data set a search: rows of different data cannot stand on one front.
DATA_HOLES = ("data.augment", "data.batch_size")
MOST_NODES, MOST_DEPTH = 20_000, 40

DEFAULT_OBJECTIVES = [
    ObjectiveConfig(name="validation_accuracy", direction="max"),
    ObjectiveConfig(name="parameters", direction="min", scale="log"),
]


class Fixed(Plain):
    """The sections without holes: one value for the whole search."""

    search: Name
    objectives: list[ObjectiveConfig] = Field(default=DEFAULT_OBJECTIVES, min_length=1)
    constraints: dict[str, float] = Field(default={})
    proposer: ProposerConfig = ProposerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    budget: BudgetConfig
    resources: ResourcesConfig = ResourcesConfig()
    seed: int = Field(default=0, ge=0)

    @field_validator("budget")
    @classmethod
    def _ends(cls, budget: BudgetConfig) -> BudgetConfig:
        if not (budget.trials or budget.hours or budget.epochs):
            raise ValueError("a budget needs trials, hours or epochs, so that the search ends")
        return budget

    @field_validator("constraints")
    @classmethod
    def _bounds(cls, constraints: dict[str, float]) -> dict[str, float]:
        known = ["parameters", "macs", "size_bytes"]
        for name, bound in constraints.items():
            if name not in known:
                raise ValueError(f"no constraint is called {name!r}; {nearest(name, known)}")
            if not bound > 0:
                raise ValueError(f"{name} must have an upper bound above 0, got {bound}")
        return constraints


@dataclass(frozen=True)
class SearchConfig:
    """A search, validated: every option and every bound of its space is a valid plan.

    Attributes
    ----------
    fixed : Fixed
        Name, objectives, constraints, proposer, scheduler, budget, resources, seed.
    space : SearchSpace
        Over data, teacher, student, losses and training.
    tree : dict
        The file as written (with `--set` applied), to be stored and compared.
    base : Path
        The folder that relative paths in the file start from.
    place : str
        The file's name, for errors.
    """

    fixed: Fixed
    space: SearchSpace
    tree: dict[str, Any]
    base: Path
    place: str

    def plan(self, assignment: Assignment) -> Plan:
        """The plain config of one assignment."""
        return self.validate(self.space.apply(assignment))

    def validate(self, filled: Filled) -> Plan:
        """A filled space as a plan.

        Raises
        ------
        UserError
            The first fault, by its path in the file.
        """
        return validate(Plan, filled.plain, filled.sources)

    def plans(self) -> Iterator[tuple[Filled, Plan]]:
        """Fills that meet every option and every bound of the space; see `SearchSpace.cover`."""
        for filled in self.space.cover():
            yield filled, self.validate(filled)

    def columns(self) -> dict[str, str]:
        """The column of every hole and its dtype."""
        return {name: domain.dtype for name, domain in self.space.holes.items()}


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Any], edits: Sequence[str] = ()
) -> SearchConfig:
    """Read a search file, or take the same tree written in Python.

    Parameters
    ----------
    source : path or mapping
        A YAML file, or a mapping with the same words.
    edits : sequence of str
        ``key=value`` pairs applied before anything is read: ``training.epochs=20``.

    Raises
    ------
    UserError
        The first fault: file, path, value, bound and remedy, in one line.
    """
    if isinstance(source, Mapping):
        place, base, tree = "", Path.cwd(), source
    else:
        place, base = str(source), Path(source).resolve().parent
        tree = read_yaml(Path(source))
    try:
        _check_size(tree)
        return _build(_edit(tree, edits), base, place)
    except UserError as error:
        if not place:
            raise
        inner = f"{place}: {error.place}" if error.place else place
        raise UserError(inner, error.fault) from None


def _build(tree: Any, base: Path, place: str) -> SearchConfig:
    if not isinstance(tree, Mapping):
        raise UserError("", f"a search file is a mapping of sections, got {tree!r:.60}")
    known = [*Fixed.model_fields, *HOLED]
    for key in tree:
        if key not in known:
            raise UserError(str(key), "unknown section; " + nearest(str(key), known))
    fixed_tree = {key: value for key, value in tree.items() if key not in HOLED}
    if holes := list(SearchSpace(fixed_tree).holes):
        raise UserError(holes[0], f"no hole may stand here; holes go into {', '.join(HOLED)}")
    fixed = validate(Fixed, fixed_tree)
    space = SearchSpace({key: tree[key] for key in HOLED if key in tree})
    for name in space.holes:
        if name.startswith("data") and name not in DATA_HOLES:
            raise UserError(
                name,
                "a search has one data set, so no hole may stand here; holes in data: "
                + ", ".join(DATA_HOLES),
            )
    config = SearchConfig(fixed, space, dict(tree), base, place)
    for _ in config.plans():
        pass
    return config


def _edit(tree: Any, edits: Sequence[str]) -> Any:
    for edit in edits:
        path, equals, text = edit.partition("=")
        if not equals or not path:
            raise UserError(f"--set {edit}", "write key=value, for instance training.epochs=20")
        value = parse_yaml(text, f"--set {edit}")
        tree = set_path(tree, path, value)
    return tree


def set_path(tree: Any, path: str, value: Any) -> Any:
    """A copy of `tree` in which `path` (``losses[0].weight``) holds `value`.

    Raises
    ------
    UserError
        A path through something that is neither a mapping nor a list, or past a list's end.
    """

    def put(node: Any, rest: list[str]) -> Any:
        if not rest:
            return value
        key = rest[0]
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            return [put(c, rest[1:]) if i == int(key) else c for i, c in enumerate(node)]
        if node is None or isinstance(node, Mapping):
            node = node or {}
            return {**node, key: put(node.get(key), rest[1:])}
        raise UserError(f"--set {path}", f"there is nothing at {key!r} to set")

    return put(tree, re.findall(r"[^.\[\]]+", path))


def _check_size(tree: Any) -> None:
    """Refuse what aliases can blow up: the parser shares nodes, the recursion visits each."""
    nodes, stack = 0, [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        nodes += 1
        if nodes > MOST_NODES or depth > MOST_DEPTH:
            raise UserError("", f"more than {MOST_NODES} values or {MOST_DEPTH} levels; too large")
        if isinstance(node, Mapping):
            for key in node:
                if not isinstance(key, str):
                    raise UserError(str(key), f"keys are words, got {key!r}; put it in quotes")
            stack += [(child, depth + 1) for child in node.values()]
        elif isinstance(node, (list, tuple)):
            stack += [(child, depth + 1) for child in node]
