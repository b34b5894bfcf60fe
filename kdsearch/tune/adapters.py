"""The three places where Ray Tune meets the driver. Each only hands things over.

Order for every result, as Ray 2.60 has it: scheduler (not for a trial's natural last result), then
callback. So the scheduler records and decides, and the callback records what the scheduler was not
shown, takes the weights out before Ray keeps the result, and ends the trial.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from kdsearch.proposers import Done, Wait
from kdsearch.results.records import EpochReport
from kdsearch.tune.driver import Driver
from kdsearch.tune.trainable import WEIGHTS


class _Shell:
    """Ray pickles what it is given, for a restore that is never made: nothing goes in."""

    def __reduce__(self) -> Any:
        return _Shell, ()


class DriverSearcher(Searcher, _Shell):
    """Ray's source of trials."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(metric=None, mode=None)
        self.driver = driver

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        """Objectives are declared in the search file alone."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config; None to ask later; FINISHED at the end."""
        launch = self.driver.next()
        if isinstance(launch, Done):
            return Searcher.FINISHED
        if isinstance(launch, Wait):
            return None
        return {"trial_id": launch.trial_id, "spec": launch.spec.model_dump_json()}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Told by the callback already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the log is the search's memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class DriverScheduler(FIFOScheduler, _Shell):
    """Ray's decision after every result but a trial's last."""

    _supports_buffered_results = False

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.driver = driver

    def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
        """Objectives are declared in the search file alone."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record the epoch, and decide."""
        goes_on = self.driver.report(trial.config["trial_id"], _report(result))
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


class DriverCallback(Callback, _Shell):
    """Ends trials, and redraws the progress.

    Parameters
    ----------
    driver : Driver
    redraw : callable
        Called without arguments after anything that a viewer would want to see.
    """

    def __init__(self, driver: Driver, redraw: Callable[[], None]) -> None:
        self.driver, self.redraw = driver, redraw
        self.worker_rss_mib = 0.0

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record what the scheduler was not shown; end the trial if this was its last result."""
        trial_id = trial.config["trial_id"]
        weights = result.pop(WEIGHTS, None)
        if "report" in result:
            self.driver.report(trial_id, _report(result))
        self.worker_rss_mib = max(self.worker_rss_mib, result.get("worker_rss_mib", 0.0))
        if "ended" in result:
            self.driver.end(trial_id, weights=weights, **result["ended"])
        elif result.get("done"):
            self.driver.end(trial_id, "stopped", seconds=result["elapsed"])
        self.redraw()

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """End a trial whose worker died."""
        lines = str(trial.get_error() or "the worker died").strip().splitlines()
        self.driver.end(trial.config["trial_id"], "failed", error=" ".join(lines[-1].split())[:500])
        self.redraw()

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Let the clock run."""
        self.redraw()


def _report(result: dict[str, Any]) -> EpochReport:
    return EpochReport(**json.loads(result["report"]))
