"""Proposers: one file a kind, one row each in `PROPOSERS`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from random import Random
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.config import nearest
from kdsearch.errors import UserError
from kdsearch.proposers.base import Done, Observation, Proposal, Proposer, Wait
from kdsearch.search_sections import ObjectiveConfig, ProposerConfig
from kdsearch.space import SearchSpace

N2N, PORTFOLIO = "n2n", "portfolio"
# Named, not imported: Optuna's half second is paid by those who use it.
PROPOSERS: dict[str, str] = {
    "evolution": "kdsearch.proposers.evolution:EvolutionProposer",
    "grid": "kdsearch.proposers.grid:GridProposer",
    N2N: "kdsearch.proposers.n2n:N2NProposer",
    "nsga2": "kdsearch.proposers.optuna:NSGA2Proposer",
    PORTFOLIO: "kdsearch.proposers.portfolio:PortfolioProposer",
    "random": "kdsearch.proposers.random:RandomProposer",
    "tpe": "kdsearch.proposers.optuna:TPEProposer",
}
INNER = "tpe"  # what fills the holes that n2n leaves
ALONE = {"grid", PORTFOLIO}  # no members: a grid goes by trial numbers, not by results


def build_proposer(
    config: ProposerConfig,
    space: SearchSpace,
    objectives: Sequence[ObjectiveConfig],
    seed: int = 0,
    *,
    teacher: Architecture | None = None,
    teacher_accuracy: float = 1.0,
    trials: int | None = None,
    policy: bytes | None = None,
) -> Proposer:
    """The proposer that a search file asks for.

    Parameters
    ----------
    config : ProposerConfig
    space : SearchSpace
    objectives : sequence of ObjectiveConfig
    seed : int
    teacher : Architecture, optional
        The one that the space names: n2n edits it.
    teacher_accuracy : float
        On validation; n2n's reward R is in shares of it.
    trials : int, optional
        Of the budget.
    policy : bytes, optional
        What ``proposer.policy`` holds.

    Raises
    ------
    UserError
        No such row of `PROPOSERS`, members that make no portfolio, or a space that it cannot
        propose from.
    """
    check_proposer(config)
    more: dict[str, Any] = {
        "teacher": teacher,
        "teacher_accuracy": teacher_accuracy,
        "profile": config.profile,
        "trials": trials,
        "repeats": config.repeats,
        "policy": policy,
    }

    def make(name: str, own: int) -> Proposer:
        taken = {**more, "inner": _class_of(INNER)} if name == N2N else {}
        return _class_of(name)(space, objectives, own, **taken)

    if config.name != PORTFOLIO:
        return make(config.name, seed)
    members = {  # each with a stream of its own
        name: make(name, Random(f"{seed}:{name}").getrandbits(31)) for name in config.members
    }
    return _class_of(PORTFOLIO)(space, objectives, seed, members=members)


def _class_of(name: str) -> Any:
    """The class of a row of `PROPOSERS`."""
    module, _, attribute = PROPOSERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def check_proposer(config: ProposerConfig) -> None:
    """Raise a `UserError` unless name and members are rows of `PROPOSERS` that fit together."""
    if config.name not in PROPOSERS:
        fault = f"no proposer is called {config.name!r}; {nearest(config.name, list(PROPOSERS))}"
        raise UserError("proposer.name", fault)
    known = [name for name in PROPOSERS if name not in ALONE]
    if config.policy is not None and N2N not in (config.name, *config.members):
        raise UserError("proposer.policy", f"only {N2N} has a policy; leave it out, or take {N2N}")
    if config.name != PORTFOLIO:
        if config.members:
            fault = f"only a portfolio has members; leave them out, or write name: {PORTFOLIO}"
            raise UserError("proposer.members", fault)
    elif not config.members:
        fault = f"a portfolio needs members, such as [tpe, evolution]; known: {', '.join(known)}"
        raise UserError("proposer.members", fault)
    for i, name in enumerate(config.members):
        place = f"proposer.members[{i}]"
        if name in ALONE:
            raise UserError(place, f"{name} is no member of a portfolio; take {', '.join(known)}")
        if name not in known:
            raise UserError(place, f"no proposer is called {name!r}; {nearest(name, known)}")
        if name in config.members[:i]:
            raise UserError(place, f"{name} is a member already; name each once")


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
