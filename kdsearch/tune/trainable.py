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
from kdsearch.teachers import TeacherRecord, weights_to_bytes
from kdsearch.trial import Surroundings, Training, run_trial

WEIGHTS = "weights"  # taken out of the result by the driver before Ray keeps it


class StudentTrial(tune.Trainable):
    """One step is one epoch; `reset_config` begins the next trial in the same process.

    Data and teachers come out of the object store: their arrays are mapped, not copied.
    """

    def setup(  # type: ignore[override] - Ray passes what `with_parameters` was given
        self,
        config: dict[str, Any],
        data: ImageData,
        teachers: Mapping[str, TeacherRecord],
        device: str,
    ) -> None:
        """Keep what all trials share, and begin the first."""
        self.data, self.teachers, self.device = data, teachers, device
        self.training: Training | None = None
        self.last_step = time.perf_counter()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Drop what the last trial left, and begin the next."""
        if self.training is not None:
            self.training.close()
        self.training = None
        if self.device == "cuda":
            torch.cuda.empty_cache()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        A trial that raises ends as a row with its error, and the worker lives on; an error of the
        GPU ends the worker too, for the process cannot be trusted after it.
        """
        try:
            return self._step()
        except Exception as error:
            if "CUDA" in str(error) or "out of memory" in str(error).lower():
                raise
            line = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            return self._ended("failed", error=line)
        finally:
            self.last_step = time.perf_counter()

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
        self.training = run_trial(self.spec, Surroundings(self.data, teacher, self.device))
        self.started = time.perf_counter()
        self.idle = self.started - self.last_step
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def _step(self) -> dict[str, Any]:
        assert self.training is not None
        report = next(self.training)
        # As text: Ray flattens nested results on their way to the scheduler.
        result: dict[str, Any] = {
            "report": json.dumps(asdict(report)),
            "elapsed": time.perf_counter() - self.started,
        }
        if not (math.isfinite(report.train_loss) and math.isfinite(report.validation_loss)):
            return {**result, **self._ended("diverged")}
        if report.epoch < self.spec.plan.training.last_epoch:
            return result
        try:
            next(self.training)
        except StopIteration as stop:
            weights = weights_to_bytes(stop.value)
            return {**result, **self._ended("complete"), WEIGHTS: weights}
        raise RuntimeError("the scheme reported its last epoch and went on")

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
