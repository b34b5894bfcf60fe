"""Proposers: one file a kind, one row each in `PROPOSERS`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from kdsearch.config import nearest
from kdsearch.errors import UserError
from kdsearch.proposers.base import Done, Observation, Proposal, Proposer, Wait
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.space import SearchSpace

# Named, not imported: Optuna's half second is paid by those who use it.
PROPOSERS: dict[str, str] = {
    "grid": "kdsearch.proposers.grid:GridProposer",
    "random": "kdsearch.proposers.random:RandomProposer",
    "tpe": "kdsearch.proposers.optuna:TPEProposer",
}


def build_proposer(
    name: str, space: SearchSpace, objectives: Sequence[ObjectiveConfig], seed: int = 0
) -> Proposer:
    """The proposer of a row of `PROPOSERS`.

    Raises
    ------
    UserError
        No such row, or a space that it cannot propose from.
    """
    check_proposer(name)
    module, _, attribute = PROPOSERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(space, objectives, seed)


def check_proposer(name: str) -> None:
    """Raise a `UserError` unless `name` is a row of `PROPOSERS`."""
    if name not in PROPOSERS:
        fault = f"no proposer is called {name!r}; {nearest(name, list(PROPOSERS))}"
        raise UserError("proposer.name", fault)


__all__ = [
    "PROPOSERS",
    "Done",
    "Observation",
    "Proposal",
    "Proposer",
    "Wait",
    "build_proposer",
    "check_proposer",
]
