"""What a search has spent of its budget: trials, epochs, and wall time over all of its runs.

And whether it is spent on nothing.
"""

from __future__ import annotations

import time
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.history import History
from kdsearch.search_sections import BudgetConfig

FAILED_AT_FIRST = 6  # trials; a search in which so many do, and nothing else, is broken


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
        self._first = len(history.rows)  # row of this run
        self.began = self.told = time.monotonic()

    def ends_starts(self) -> bool:
        """Whether the budget allows no further trial."""
        return self._ends(self.history.started)

    def ends_promotions(self) -> bool:
        """Whether it allows no trial that rests to go on, by epochs and time: it is no new one."""
        return self._ends(0)

    def break_off(self) -> None:
        """End a search whose trials all fail, before it has spent its budget on them.

        Raises
        ------
        UserError
            With the first failure of this run.
        """
        if len(self.history.rows) - self._first != FAILED_AT_FIRST:
            return
        rows = self.history.rows[self._first :]
        if all(row.status == "failed" for row in rows):
            fault = f"the first {FAILED_AT_FIRST} of this run all failed, the first one with: "
            remedy = "; mend that and run the same command, which goes on"
            raise UserError("trials", fault + str(rows[0].error) + remedy)

    def pause(self) -> dict[str, Any]:
        """The event that tells the log of the time since the last one."""
        before, self.told = self.told, time.monotonic()
        return {"event": "pause", "seconds": self.told - before}

    def _ends(self, trials: int) -> bool:
        seconds = self.before + time.monotonic() - self.began
        return self.budget.spent(trials, self.history.epoch_count, seconds)
