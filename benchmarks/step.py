"""Which layout, optimizer and precision make a training step cheap on a CPU, and does compiling pay?

One step: forward, cross-entropy, backward, update, on one thread, of small students at the sizes
that searches train. Two variants take turns in one process, some steps each, and are compared by
the processor time of their thread; shown is the median of the ratios. Below 1 the first is cheaper.

Target: what is the default is not slower than its alternative by more than 5 %.

    python benchmarks/step.py [--rounds 9] [--only layout]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from kdsearch.config import TrainingConfig
from kdsearch.schemes.optimizer import build_optimizer
from kdsearch.students import build_student, describe

STEPS = 4  # of one variant before it is the other's turn
MARGIN = 0.05
RESNET = {"family": "resnet", "blocks": [1, 1, 1], "widths": [16, 32, 64]}
MOBILENET = {"family": "mobilenet", "blocks": [1, 2, 2], "widths": [16, 24, 32]}
STUDENTS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "resnet 8x8": (RESNET, (1, 8, 8)),
    "resnet 28x28": (RESNET, (1, 28, 28)),
    "resnet 32x32": (RESNET, (3, 32, 32)),
    "convnet 28x28": ({"family": "convnet", "widths": [16, 32, 64]}, (1, 28, 28)),
    "convnet 32x32": ({"family": "convnet", "widths": [16, 32, 64]}, (3, 32, 32)),
    "mobilenet 28x28": (MOBILENET, (1, 28, 28)),
    "mobilenet 32x32": (MOBILENET, (3, 32, 32)),
}
Step = Callable[[], object]


@dataclass(frozen=True)
class Variant:
    """How a student is trained."""

    student: str
    batch: int
    amp: bool = False
    channels_last: bool = False
    fused: bool = True
    optimizer: str = "sgd"
    compiled: bool = False

    def step(self) -> Step:
        """One training step of a student of its own."""
        section, shape = STUDENTS[self.student]
        student = build_student(describe(section, shape, 10), seed=0).train()
        draw = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.batch, *shape, generator=draw)
        labels = torch.randint(10, (self.batch,), generator=draw)
        if self.channels_last:
            student = student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            inputs = inputs.to(memory_format=torch.channels_last)
        config = TrainingConfig.model_validate({"epochs": 1, "optimizer": self.optimizer})
        optimizer = build_optimizer([student], config)
        if not self.fused:
            optimizer = type(optimizer)(
                [{**g, "fused": False, "foreach": None} for g in optimizer.param_groups]
            )
        forward = torch.compile(student) if self.compiled else student

        def run() -> object:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.amp):
                logits = forward(inputs).logits
            loss = F.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return loss

        return run


def compared(first: Variant, second: Variant, rounds: int) -> tuple[float, float]:
    """Milliseconds a step of the second, and the median ratio of the first to it."""
    steps = [first.step(), second.step()]
    for step in steps:
        seconds(step)
    pairs = [(seconds(steps[0]), seconds(steps[1])) for _ in range(rounds)]
    ratio = statistics.median(one / other for one, other in pairs)
    return 1000 * statistics.median(other for _, other in pairs), ratio


def seconds(step: Step) -> float:
    began = time.thread_time()
    for _ in range(STEPS):
        step()
    return (time.thread_time() - began) / STEPS
