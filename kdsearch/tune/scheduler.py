"""What ends trials early, as the driver sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

Decision = Literal["continue", "stop", "pause"]


class Scheduler(Protocol):
    """Decides after every epoch, and says which of the waiting trials may go on."""

    def report(self, trial_id: str, epoch: int, values: Sequence[float]) -> Decision:
        """What becomes of a trial after this epoch; ``pause``: it waits for `promote`.

        The same report twice is one, and gives the same answer as far as the trial's own place is
        concerned: a log is replayed in its order.
        """
        ...

    def promote(self) -> str | None:
        """A waiting trial that may go on now, each rung of a trial named once; None: none may."""
        ...

    def withdraw(self, trial_id: str) -> None:
        """The trial that `promote` named has ended: its turn is another's."""
        ...
