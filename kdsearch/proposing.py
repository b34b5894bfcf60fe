"""The proposer of a search, given what the search knows of its teachers."""

from __future__ import annotations

from collections.abc import Sequence

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.proposers import Proposer, build_proposer
from kdsearch.search_config import SearchConfig


def make_proposer(
    config: SearchConfig, teachers: Sequence[Architecture], accuracy: float = 1.0
) -> Proposer:
    """The proposer that a search file asks for.

    Parameters
    ----------
    config : SearchConfig
    teachers : sequence of Architecture
        All that the space names.
    accuracy : float
        Of the teacher, on validation; 1 before it is trained.

    Raises
    ------
    UserError
        A proposer that cannot propose from this space, or a policy file that cannot be read.
    """
    fixed = config.fixed
    only = set(teachers)
    return build_proposer(
        fixed.proposer,
        config.space,
        fixed.objectives,
        fixed.seed,
        teacher=only.pop() if len(only) == 1 else None,
        teacher_accuracy=accuracy,
        trials=fixed.budget.trials,
        policy=read_policy(config),
    )


def read_policy(config: SearchConfig) -> bytes | None:
    """The policy that a search begins with; None where it names none.

    Raises
    ------
    UserError
        A file that cannot be read.
    """
    name = config.fixed.proposer.policy
    if name is None:
        return None
    try:
        return (config.base / name).expanduser().read_bytes()
    except (OSError, ValueError) as error:  # a path that no file system can have
        fault = f"{name!r:.80} cannot be read ({error}); give a file of `kdsearch policy save`"
        raise UserError("proposer.policy", fault) from None
