"""A warm worker: one actor that trains one student after another."""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from ray import tune

from kdsearch.config import TrialSpec
from kdsearch.data import ImageData
from kdsearch.errors import line_of
from kdsearch.results.records import EpochReport
from kdsearch.schemes import StateError
from kdsearch.teachers import TeacherRecord, TeacherStore, weights_to_bytes
from kdsearch.trial import Surroundings, Training, run_trial
from kdsearch.tune.deaths import lacks_memory
from kdsearch.tune.watchdog import Watchdog
from kdsearch.tune.wear import Wear

# Parcels that the callback takes out of a result before Ray keeps it.
WEIGHTS, STATE = "weights", "state"
# An epoch of 50 ms would be told at a cost of 10 ms, so short ones travel together; a longer one
# is on the driver's disk when the next begins.
GATHER_SECONDS = 1.0
KEPT_SHARE = 0.1  # of a worker's time, at most, that packing states of running trials may take


class Parcel:
    """Megabytes on their way through Ray: in a trial's config, or in a result.

    Ray copies configs, sends them back with every result and keeps them, and it spells out results
    for a log that nobody reads. A parcel is short in words, a copy of it in one process is the
    parcel itself, and all of them are nothing once it is empty.
    """

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def take(self) -> bytes | None:
        """What is in it; it is empty from now on."""
        content, self.content = self.content, None
        return content

    def __deepcopy__(self, memo: Any) -> Parcel:
        return self

    def __repr__(self) -> str:
        return "" if self.content is None else f"{len(self.content)} bytes"


class StudentTrial(tune.Trainable):
    """One step is an epoch, or several short ones; `reset_config` begins the next trial.

    Data, teachers and what they say come out of the object store: arrays are mapped, not copied.
    """

    def setup(  # type: ignore[override] - Ray passes what `with_parameters` was given
        self,
        config: dict[str, Any],
        data: ImageData,
        teachers: Mapping[str, TeacherRecord],
        device: str,
        stores: Mapping[tuple[str, str], TeacherStore] | None = None,
    ) -> None:
        """Keep what all trials share, and begin the first."""
        self.data, self.teachers, self.device = data, teachers, device
        self.stores = stores or {}
        self.training: Training | None = None
        self.last_step = time.perf_counter()
        self.kept_at, self.kept_cost = 0.0, 0.0
        self.watchdog, self.wear = Watchdog(), Wear(device)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Drop what the last trial left, and begin the next.

        Raises
        ------
        WornError
            It did not let go of its memory: the next trial is for another worker.
        """
        if self.training is not None:
            self.training.close()
        self.training = None
        if self.device == "cuda":
            torch.cuda.empty_cache()
        self.wear.check()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train until there is something to decide, or to tell.

        A trial that raises ends as a row with its error, and the worker lives on; an error of the
        GPU ends the worker too, for the process cannot be trusted after it, and so does one of
        memory, which the driver is to know. One whose state cannot be read is handed back.
        """
        reports: list[EpochReport] = []
        try:
            result = self._train(reports)
        except StateError as error:
            result = {"done": True, "refused": str(error)}
        except Exception as error:
            line = line_of(error)
            if "CUDA" in line or lacks_memory(line):
                raise
            result = self._ended("failed", error=line)
        # As text: Ray flattens nested results on their way to the scheduler.
        result["reports"] = json.dumps([asdict(report) for report in reports])
        self.watchdog.rest()
        self.last_step = time.perf_counter()
        return {"elapsed": self.last_step - self.started, **result}

    def cleanup(self) -> None:
        """Drop the last trial."""
        if self.training is not None:
            self.training.close()

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing: the log is the search's memory."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""

    def _begin(self, config: dict[str, Any]) -> None:
        self.spec = TrialSpec.model_validate_json(config["spec"])
        teacher = self.teachers.get(self.spec.teacher_id) if self.spec.teacher_id else None
        self.pauses, state = config["pauses"], config["state"].take()
        store = self.stores.get((self.spec.teacher_id or "", self.spec.plan.data.augment))
        around = Surroundings(self.data, teacher, self.device, store)
        self.training = run_trial(self.spec, around, state)
        self.started = time.perf_counter()
        self.idle = self.started - self.last_step
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def _train(self, reports: list[EpochReport]) -> dict[str, Any]:
        assert self.training is not None
        began = time.perf_counter()
        while True:
            self.watchdog.begin()
            report = next(self.training)
            self.watchdog.end(report.seconds)
            reports.append(report)
            if not (math.isfinite(report.train_loss) and math.isfinite(report.validation_loss)):
                return self._ended("diverged")
            if report.epoch == self.spec.plan.training.last_epoch:
                break
            if report.epoch in self.spec.rungs:
                # With the report: a trial that Ray ends is not asked again.
                return self._kept(always=self.pauses)
            if time.perf_counter() - began > GATHER_SECONDS:
                return self._kept(always=False)
        try:
            next(self.training)
        except StopIteration as stop:
            return {**self._ended("complete"), WEIGHTS: Parcel(weights_to_bytes(stop.value))}
        raise RuntimeError("the scheme reported its last epoch and went on")

    def _kept(self, always: bool) -> dict[str, Any]:
        """What the trial goes on from, should this worker or the driver die."""
        assert self.training is not None
        began = time.perf_counter()
        if not always and began - self.kept_at < self.kept_cost / KEPT_SHARE:
            return {}
        state = Parcel(self.training.state())
        self.kept_at = time.perf_counter()
        self.kept_cost = self.kept_at - began
        return {STATE: state}

    def _ended(self, status: str, error: str | None = None) -> dict[str, Any]:
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.device == "cuda" else None
        return {
            "done": True,
            "ended": {
                "status": status,
                "error": error,
                "seconds": time.perf_counter() - self.started,
                "peak_memory_mib": peak,
                "idle_seconds": self.idle,
            },
            "worker_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
