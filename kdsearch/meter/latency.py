"""How long one forward of a student takes."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

WARM_UPS, WARM_SECONDS = 3, 0.02  # both at least
REPEATS, SECONDS = 30, 0.1  # both at least,
MOST_SECONDS = 1.0  # but no more than this,
FEWEST = 3  # short of which nothing is a median
UNDISTURBED = 10  # so many repeats without a disturbance speak for all


def latency_ms(
    student: nn.Module, input: tuple[int, int, int], batch: int, device: torch.device
) -> float:
    """Median wall time of one forward in milliseconds, float32, after warm-up.

    Evaluation mode, no gradients, made-up images that are on the device already. On a CPU, repeats
    in which the system gave the processor to another process do not count where there are enough of
    the others: trials train meanwhile. On a GPU, between two events in its own stream.

    Parameters
    ----------
    student : nn.Module
        On the device.
    input : tuple of int
        Channels, height, width.
    batch : int
        Samples of one forward.
    """
    images = torch.randn(batch, *input, generator=torch.Generator().manual_seed(0)).to(device)
    student.eval()
    once = _on_gpu if device.type == "cuda" else _on_cpu
    with torch.inference_mode():
        _repeat(lambda: once(student, images), WARM_UPS, WARM_SECONDS)
        taken = _repeat(lambda: once(student, images), REPEATS, SECONDS)
    quiet = [ms for ms, disturbed in taken if not disturbed]
    return statistics.median(quiet if len(quiet) >= UNDISTURBED else [ms for ms, _ in taken])


def _repeat(
    once: Callable[[], tuple[float, bool]], repeats: int, seconds: float
) -> list[tuple[float, bool]]:
    taken: list[tuple[float, bool]] = []
    began = time.perf_counter()
    while True:
        taken.append(once())
        spent = time.perf_counter() - began
        if len(taken) >= repeats and spent >= seconds:
            return taken
        if len(taken) >= FEWEST and spent >= MOST_SECONDS:
            return taken


def _on_cpu(student: nn.Module, images: Tensor) -> tuple[float, bool]:
    before = _disturbances()
    began = time.perf_counter()
    student(images)
    ended = time.perf_counter()
    return 1000 * (ended - began), _disturbances() > before


def _on_gpu(student: nn.Module, images: Tensor) -> tuple[float, bool]:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with torch.cuda.device(images.device):
        torch.cuda.synchronize()
        begin.record()
        student(images)
        end.record()
        torch.cuda.synchronize()
    return begin.elapsed_time(end), False


def _disturbances() -> int:
    """How often this process had to give its processor away."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
