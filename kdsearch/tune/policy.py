"""The policy of a search: rebuilt from its log, and the same as when it was started."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.own_code import permit_code
from kdsearch.proposers.n2n import N2NProposer
from kdsearch.proposers.portfolio import PortfolioProposer
from kdsearch.proposing import make_proposer, read_policy
from kdsearch.results.history import History
from kdsearch.results.remote import reading, shown
from kdsearch.search_config import SearchConfig
from kdsearch.students import describe
from kdsearch.tune.launch import spec_of
from kdsearch.tune.observe import observation
from kdsearch.tune.study import read_search
from kdsearch.whole import write_bytes


def save_policy(results: str | os.PathLike[str], file: Path, code: Path | None = None) -> int:
    """Replay a search into its n2n proposer, and write the policy that it has come to.

    Parameters
    ----------
    code : Path, optional
        The folder of the modules that the search names as ``module:callable``; without it none is
        imported.

    Returns
    -------
    int
        Trials that it was told of.

    Raises
    ------
    UserError
        No search there, none of n2n, one that began with a policy file that has changed since, or
        a file that cannot be written.
    """
    with reading(results) as place:
        history, config = read_search(place, code)
    permit_code([t.get("spec") for t in history.trials.values()], shown(results), code)
    check_same_policy(history, config)
    proposer = replayed(history, config)
    if proposer is None:
        name = config.fixed.proposer.name
        fault = f"was searched by {name}, which has no policy; give a search of n2n"
        raise UserError(shown(results), fault)
    try:
        write_bytes(file, proposer.state())
    except OSError as error:
        raise UserError(str(file), f"cannot be written: {error}; name another file") from None
    return sum(row.purpose == "search" for row in history.rows)


def replayed(history: History, config: SearchConfig) -> N2NProposer | None:
    """The n2n proposer of a search, told all that its log says; None where there is none."""
    searched = [t for t in history.trials.values() if t["purpose"] == "search"]
    names = (config.fixed.proposer.name, *config.fixed.proposer.members)
    if "n2n" not in names:
        return None
    if not searched:
        raise UserError(str(config.fixed.search), "no trial has started; let the search run first")
    teachers = {teacher for trial in searched if (teacher := _teacher(trial)) is not None}
    known = [a for t in searched if (a := t["teacher_validation_accuracy"]) is not None]
    proposer = make_proposer(config, list(teachers), max(known, default=1.0))
    for row in history.rows:
        if row.purpose == "search":
            told = observation(history, row.trial_id, row.status, config.fixed.objectives)
            proposer.observe(told)
    if isinstance(proposer, PortfolioProposer):
        proposer = proposer.members["n2n"]
    assert isinstance(proposer, N2NProposer)
    return proposer


def policy_hash(config: SearchConfig) -> str | None:
    """Which policy a search begins with; None where it names none, or none that can be read."""
    try:
        policy = read_policy(config)
    except UserError:  # said when the proposer is made, where one is
        return None
    return None if policy is None else hashlib.sha256(policy).hexdigest()[:16]


def check_same_policy(history: History, config: SearchConfig) -> None:
    """Refuse a policy file that has changed: the log would be told to another policy.

    Raises
    ------
    UserError
        Other content than when the search was started. Logs of an earlier kdsearch do not say.
    """
    then, now = history.header.get("policy"), policy_hash(config)
    if then is None or now is None or then == now:
        return
    raise UserError(
        "proposer.policy",
        f"{config.fixed.proposer.policy} has changed since the search was started (then {then}, "
        f"now {now}); restore the file, or give the search another name",
    )


def _teacher(trial: dict[str, str]) -> Architecture | None:
    """The teacher of a trial, described for its data."""
    plan = spec_of(trial).plan
    if plan.teacher is None:
        return None
    student = Architecture.from_json(trial["architecture"])
    return describe(plan.teacher.architecture, student.input, student.classes)
