"""What the driver hands to whoever runs trials."""

from __future__ import annotations

from dataclasses import dataclass

from kdsearch.config import TrialSpec


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
