"""The bare training step of a student: the floor under everything that a trial does."""

from __future__ import annotations

import statistics
import time
from itertools import cycle, islice

import torch
import torch.nn.functional as F

from kdsearch.architecture import Architecture
from kdsearch.config import TrialSpec
from kdsearch.data import Batches, ImageData
from kdsearch.schemes.optimizer import build_optimizer
from kdsearch.students import build_student

WARM = 5  # steps that are not counted


def bare_step(
    spec: TrialSpec, data: ImageData, threads: int, steps: int = 50, device: str | None = None
) -> float:
    """Seconds, median, of a step of the student alone, on tensors that are there.

    Parameters
    ----------
    threads : int
        CPU threads; what the process had before is restored.
    steps : int
        So many are taken, after a few that warm up.
    device : str, optional
        A GPU where torch sees one, by default.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    student = build_student(Architecture.from_json(spec.architecture), 0, device)
    optimizer = build_optimizer([student], spec.plan.training)
    batches = Batches(data, spec.plan.data.batch_size, device=device)
    ready = [(b.inputs, b.labels) for b in islice(batches.epoch(1), steps)]
    times: list[float] = []
    for inputs, labels in islice(cycle(ready), WARM + steps):
        began = wall(device)
        loss = F.cross_entropy(student(inputs).logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        times.append(wall(device) - began)
    torch.set_num_threads(before)
    return statistics.median(times[WARM:])


def wall(device: str) -> float:
    """Seconds of a clock, once the device has done what was asked of it."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
