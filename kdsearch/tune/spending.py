"""What a search has spent of its budget: trials, epochs, and wall time over all of its runs."""

from __future__ import annotations

import time
from typing import Any

from kdsearch.results.history import History
from kdsearch.search_sections import BudgetConfig


class Spending:
    """Trials and epochs are read from the history; the time runs here.

    Attributes
    ----------
    before : float
        Seconds of former runs.
    began : float
        Of `time.monotonic`, when this run did.
    told : float
        Up to when the log knows of this run's time.
    """

    def __init__(self, budget: BudgetConfig, history: History) -> None:
        self.budget, self.history = budget, history
        self.before = history.seconds
        self.began = self.told = time.monotonic()

    def ends_starts(self) -> bool:
        """Whether the budget allows no further trial."""
        return self._ends(self.history.started)

    def ends_promotions(self) -> bool:
        """Whether it allows no trial that rests to go on, by epochs and time: it is no new one."""
        return self._ends(0)

    def pause(self) -> dict[str, Any]:
        """The event that tells the log of the time since the last one."""
        before, self.told = self.told, time.monotonic()
        return {"event": "pause", "seconds": self.told - before}

    def _ends(self, trials: int) -> bool:
        seconds = self.before + time.monotonic() - self.began
        return self.budget.spent(trials, self.history.epoch_count, seconds)
