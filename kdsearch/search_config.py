"""A search file: the fixed sections, and the space of plans that the others span."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdsearch.config import Plan
from kdsearch.errors import UserError
from kdsearch.search_sections import Fixed
from kdsearch.space import Assignment, Filled, SearchSpace
from kdsearch.tree import edit_tree, plain_tree
from kdsearch.validation import nearest, validate
from kdsearch.yaml_reader import read_yaml

HOLED = ("data", "teacher", "student", "start", "losses", "training")
# What a plan holds: the space, and what is the same in all of it.
PLANNED = (*HOLED, "store", "measures")
# One data set a search: rows of different data cannot stand on one front.
DATA_HOLES = ("data.augment", "data.batch_size")


@dataclass(frozen=True)
class SearchConfig:
    """A search, validated: every option and every bound of its space is a valid plan.

    Attributes
    ----------
    fixed : Fixed
        Name, objectives, constraints, proposer, scheduler, budget, resources, seed.
    space : SearchSpace
        Over data, teacher, student, start, losses and training.
    tree : dict
        The file as written (with `--set` applied), to be stored and compared.
    base : Path
        The folder that relative paths in the file start from.
    place : str
        The file's name, for errors.
    code : Path or None
        The folder of the user's own modules; None: the file comes from results, and none may run.
    """

    fixed: Fixed
    space: SearchSpace
    tree: dict[str, Any]
    base: Path
    place: str
    code: Path | None = None

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
        # A file without the section means its defaults; a row without it, none.
        return validate(Plan, {"store": {}, **filled.plain}, filled.sources)

    def plans(self) -> Iterator[tuple[Filled, Plan]]:
        """Fills that meet every option and every bound of the space; see `SearchSpace.cover`."""
        for filled in self.space.cover():
            yield filled, self.validate(filled)

    def columns(self) -> dict[str, str]:
        """The column of every hole and its dtype."""
        return {name: domain.dtype for name, domain in self.space.holes.items()}


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Any],
    edits: Sequence[str] = (),
    base: Path | None = None,
) -> SearchConfig:
    """Read a search file, or take the same tree written in Python.

    Parameters
    ----------
    source : path or mapping
        A YAML file, or a mapping with the same words.
    edits : sequence of str
        ``key=value`` pairs applied before anything is read: ``training.epochs=20``.
    base : Path, optional
        What relative paths in a mapping start from; the current folder by default. A file's start
        from its folder.

    Raises
    ------
    UserError
        The first fault: file, path, value, bound and remedy, in one line.
    """
    if isinstance(source, Mapping):
        place, base, tree = "", base or Path.cwd(), source
    else:
        place, base = str(source), Path(source).resolve().parent
        tree = read_yaml(Path(source))
    try:
        return _build(plain_tree(edit_tree(tree, edits)), base, place)
    except UserError as error:
        if not place:
            raise
        inner = f"{place}: {error.place}" if error.place else place
        raise UserError(inner, error.fault) from None


def recorded_config(header: Mapping[str, Any], log: Path, code: Path | None = None) -> SearchConfig:
    """The search file that the header of a log holds.

    Parameters
    ----------
    code : Path, optional
        The folder of the modules that the user lets it name: see `kdsearch.own_code`.

    Raises
    ------
    UserError
        A header without a valid search file.
    """
    try:
        config = load_config(header["config"], base=Path(header["base"]))
    except KeyError as missing:
        raise UserError(str(log), f"damaged: search without its {missing}; restore it") from None
    except UserError as error:
        raise UserError(f"{log}: {error.place}", error.fault) from None
    return replace(config, code=code)


def find_user_code(base: Path) -> None:
    """Let this process import modules that stand in `base`, or in the current folder."""
    for place in (str(Path.cwd()), str(base)):
        if place not in sys.path:
            sys.path.insert(0, place)


def _build(tree: Any, base: Path, place: str) -> SearchConfig:
    if not isinstance(tree, dict):
        raise UserError("", f"a search file is a mapping of sections, got {tree!r:.60}")
    known = [*Fixed.model_fields, *PLANNED]
    for key in tree:
        if key not in known:
            raise UserError(key, "unknown section; " + nearest(key, known))
    fixed_tree = {key: value for key, value in tree.items() if key not in HOLED}
    if holes := list(SearchSpace(fixed_tree).holes):
        raise UserError(holes[0], f"no hole may stand here; holes go into {', '.join(HOLED)}")
    fixed = validate(Fixed, {k: value for k, value in fixed_tree.items() if k not in PLANNED})
    space = SearchSpace({key: tree[key] for key in PLANNED if key in tree})
    for name in space.holes:
        if name.startswith("data") and name not in DATA_HOLES:
            raise UserError(
                name,
                "a search has one data set, so no hole may stand here; holes in data: "
                + ", ".join(DATA_HOLES),
            )
    config = SearchConfig(fixed, space, tree, base, place, code=base)
    for _ in config.plans():  # the first that is no valid plan raises
        pass
    return config
