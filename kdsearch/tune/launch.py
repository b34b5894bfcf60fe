"""What the driver hands to whoever runs trials, and the spec in it, read from the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdsearch.config import TrialSpec, validate


@dataclass(frozen=True)
class Launch:
    """A trial to start, or to go on with: its id and all a worker needs.

    Attributes
    ----------
    trial_id : str
    spec : TrialSpec
    state : bytes or None
        Where it goes on; None: it begins.
    pauses : bool
        Whether it may be told to pause: its state is wanted with what a rung reports.
    """

    trial_id: str
    spec: TrialSpec
    state: bytes | None = None
    pauses: bool = False


def spec_of(trial: Mapping[str, Any]) -> TrialSpec:
    """The spec in a log's line of a trial.

    Raises
    ------
    UserError
        A line without a valid one.
    """
    return validate(TrialSpec, trial.get("spec"), place=f"trial {trial.get('trial_id')}: spec")
