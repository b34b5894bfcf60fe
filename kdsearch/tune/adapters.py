"""The three places where Ray Tune meets the driver, and its loop. Each only hands things over.

Order for every result, as Ray 2.60 has it: scheduler (not for a trial's natural last result), then
callback. So the scheduler records and decides, and the callback records what the scheduler was not
shown, takes weights and states out before Ray keeps the result, and ends the trial
or lays it to rest.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune
from ray.exceptions import RayActorError
from ray.tune import Callback, TuneError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from kdsearch.errors import UserError
from kdsearch.proposers import Done, Wait
from kdsearch.results.records import EpochReport
from kdsearch.tune import deaths
from kdsearch.tune.driver import Driver
from kdsearch.tune.trainable import STATE, WEIGHTS, Parcel

NOTHING = Parcel(None)
Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""


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
        if isinstance(launch, Done) and not self.driver.running:
            return Searcher.FINISHED  # Ray asks no more: not while a worker may still die
        if isinstance(launch, (Done, Wait)):
            return None
        return {
            "trial_id": launch.trial_id,
            "spec": launch.spec.model_dump_json(),
            "pauses": launch.pauses,
            "state": Parcel(launch.state),
        }

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
        """Record the epochs, and decide; for Ray a trial that rests has ended."""
        state = result.pop(STATE, NOTHING).take()
        decision = self.driver.report(trial.config["trial_id"], *_reports(result), state=state)
        return TrialScheduler.CONTINUE if decision == "continue" else TrialScheduler.STOP


class DriverCallback(Callback, _Shell):
    """Ends trials, and redraws the progress.

    Parameters
    ----------
    driver : Driver
    redraw : callable
        Called without arguments after anything that a viewer would want to see.
    say : callable
        Told in one line what no row will tell.
    """

    def __init__(self, driver: Driver, redraw: Callable[[], None], say: Say = silent) -> None:
        self.driver, self.redraw, self.say = driver, redraw, say
        self.worker_rss_mib = 0.0

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record what the scheduler was not shown; end the trial if this was its last result."""
        trial_id, weights = trial.config["trial_id"], result.pop(WEIGHTS, NOTHING).take()
        result.pop(STATE, None)  # the scheduler had what is in it
        _delivered(trial)
        self.worker_rss_mib = max(self.worker_rss_mib, result.get("worker_rss_mib", 0.0))
        if "ended" in result:
            last = _reports(result)
            self.driver.end(trial_id, reports=last, weights=weights, **result["ended"])
        elif "refused" in result:
            self.driver.report(trial_id, *_reports(result))
            self.driver.refuse(trial_id, result["refused"])
        elif result.get("done"):
            self.driver.leave(trial_id, seconds=result["elapsed"])
        self.redraw()

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A worker died: another one goes on with its trial, unless the memory was too small."""
        _delivered(trial)
        trial_id = trial.config["trial_id"]
        error = deaths.error_of(trial)
        why = deaths.told(error)
        if deaths.worn(error):
            self.say(f"{why}: replaced before trial {trial_id}")
            self.driver.renew(trial_id, why)
            deaths.close(trial)
            return
        failed = error is not None and not isinstance(error, RayActorError)
        if isinstance(error, deaths.NoMemoryError) or (failed and deaths.lacks_memory(why)):
            # Ray kills several at once: one that has told nothing yet was beside those that grew.
            failed = failed or bool(trial.run_metadata.last_result)
            self.driver.crowd(sum(t.status == Trial.RUNNING for t in trials) + 1)
        if failed:
            seconds = self.driver.history.spell(trial_id)
            self.driver.end(trial_id, "failed", error=why, seconds=seconds)
        else:
            self.driver.lose(trial_id, why)
        deaths.close(trial)
        self.redraw()

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Let the clock run."""
        self.redraw()


def fit(
    driver: Driver, trainable: Any, slots: int, redraw: Callable[[], None], say: Say = silent
) -> float:
    """Run the driver's trials on Ray, to the end or to a Ctrl-C; the workers' peak memory in MiB.

    Raises
    ------
    UserError
        What the driver met: a disk that cannot be written.
    """
    # So many trials may wait for a free worker: with fewer, Ray fills the slots one by one.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
    # Ray warns of log files that are not wanted, and shouts of rows that the log has as failed.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    callback = DriverCallback(driver, redraw, say)
    with _scratch() as scratch, _own_faults(), _own_signals(), deaths.deaths_of_workers():
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=DriverSearcher(driver),
                scheduler=DriverScheduler(driver),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                callbacks=[callback],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()
    return callback.worker_rss_mib


@contextmanager
def _scratch() -> Iterator[str]:
    """A folder for what Ray insists on writing; nothing in it is read again."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="kdsearch-", ignore_cleanup_errors=True)
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; set TMPDIR to a folder with room"
        raise UserError(tempfile.gettempdir(), fault) from None
    with folder as name:
        yield name


@contextmanager
def _own_faults() -> Iterator[None]:
    """Ray raises the text of what its callbacks raised: the error itself is further down."""
    try:
        yield
    except TuneError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__context__
        if cause is None:
            raise
        raise cause from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray Tune takes Ctrl-C over, and keeps it: the next one would be lost."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _delivered(trial: Any) -> None:
    """Ray keeps the configs of all trials: the state that a worker went on from is none of it."""
    trial.config["state"].take()


def _reports(result: dict[str, Any]) -> list[EpochReport]:
    return [EpochReport(**report) for report in json.loads(result["reports"])]
