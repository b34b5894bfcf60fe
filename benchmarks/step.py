"""Which layout, optimizer and precision make a training step cheap on a CPU, and is compiling it?

One step: forward, cross-entropy, backward, update, on one thread, of small students at the sizes
that searches train. Two variants take turns in one process, some steps each, and are compared by
the processor time of their thread; shown is the median over the rounds. The compiled student pays
for its compilation (in processor time too, from an empty cache) in a training of 27 epochs of 60
steps.

Kept: channels first on a CPU, fused optimizers, freed memory that stays with the process (see
`kdsearch.allocator`; in processes of their own), nothing compiled. bfloat16 changes what a training
gives, so that it is the search file's to choose; its ratio is shown and not judged.
Target: by the median over the students, the default is not slower than its alternative by more
than 5 %.

    python benchmarks/step.py [--rounds 5] [--only layout fused memory amp compile]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from typing import Any

import torch
import torch.nn.functional as F

from kdsearch.allocator import keep_freed_memory
from kdsearch.config import TrainingConfig
from kdsearch.schemes.optimizer import build_optimizer
from kdsearch.students import build_student, describe

STEPS = 4  # of one variant before it is the other's turn
TRAINING = 27 * 60  # steps
MARGIN = 0.05
RESNET = {"family": "resnet", "blocks": [1, 1, 1], "widths": [16, 32, 64]}
CONVNET = {"family": "convnet", "widths": [16, 32, 64]}
MOBILENET = {"family": "mobilenet", "blocks": [1, 1, 1], "widths": [8, 16, 24]}
STUDENTS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "resnet 8x8": (RESNET, (1, 8, 8)),
    "resnet 28x28": (RESNET, (1, 28, 28)),
    "resnet 32x32": (RESNET, (3, 32, 32)),
    "convnet 28x28": (CONVNET, (1, 28, 28)),
    "convnet 32x32": (CONVNET, (3, 32, 32)),
    "mobilenet 28x28": (MOBILENET, (1, 28, 28)),
}
JUDGED = {
    "layout": "channels first / channels last",
    "fused": "fused / unfused",
    "memory": "kept / given back",
    "amp": "float32 / bfloat16",
    "compile": "plain / compiled",
}
Step = Callable[[], object]


@dataclass(frozen=True)
class Variant:
    """How a student is trained; as it stands, the default."""

    student: str
    batch: int = 64
    amp: bool = False
    channels_last: bool = False
    fused: bool = True
    optimizer: str = "sgd"
    compiled: bool = False
    kept: bool = True

    def __str__(self) -> str:
        precision = "bfloat16" if self.amp else "float32"
        return f"{self.student}, {self.batch}, {precision}, {self.optimizer}"

    def step(self) -> Step:
        """One training step of a student of its own."""
        section, shape = STUDENTS[self.student]
        student = build_student(describe(section, shape, 10), seed=0).train()
        draw = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.batch, *shape, generator=draw)
        labels = torch.randint(10, (self.batch,), generator=draw)
        if self.channels_last:
            student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        config = TrainingConfig.model_validate({"epochs": 1, "optimizer": self.optimizer})
        optimizer = build_optimizer([student], config)
        if not self.fused:
            groups = [{**group, "fused": False} for group in optimizer.param_groups]
            optimizer = type(optimizer)(groups)  # pyright: ignore[reportCallIssue]
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


def pairs(kind: str) -> Iterator[tuple[Variant, Variant]]:
    """The default and its alternative, for every student."""
    if kind == "layout":
        for name, batch, amp in product(STUDENTS, (64, 128), (False, True)):
            default = Variant(name, batch, amp)
            yield default, replace(default, channels_last=True)
    elif kind == "fused":
        for name, optimizer in product(STUDENTS, ("sgd", "adamw")):
            default = Variant(name, optimizer=optimizer)
            yield default, replace(default, fused=False)
    elif kind == "memory":
        for name in ("resnet 8x8", "convnet 28x28", "resnet 28x28", "mobilenet 28x28"):
            default = Variant(name, 128)
            yield default, replace(default, kept=False)
    elif kind == "amp":
        for name in STUDENTS:
            yield Variant(name), Variant(name, amp=True)
    else:
        for name in ("resnet 8x8", "convnet 28x28"):
            yield Variant(name), Variant(name, compiled=True)


def compared(default: Variant, other: Variant, rounds: int) -> tuple[float, float, float]:
    """Milliseconds a step of both, and the median ratio of the first to the second."""
    if not other.kept:
        return in_processes(default, other, rounds)
    began = used()
    steps = [default.step(), other.step()]
    for step in steps:
        seconds(step)
    made = used() - began if other.compiled else 0.0
    found = [(seconds(steps[0]), seconds(steps[1])) for _ in range(rounds)]
    each = made / TRAINING  # what compiling adds to a step
    ratio = statistics.median(one / (two + each) for one, two in found)
    first, second = (statistics.median(times) for times in zip(*found, strict=True))
    return 1000 * first, 1000 * (second + each), ratio


def in_processes(default: Variant, other: Variant, rounds: int) -> tuple[float, float, float]:
    """The same of what cannot be taken back: each turn is a process of its own."""
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        times: list[float] = []
        for variant in (default, other):
            with get_context("spawn").Pool(1) as pool:
                times.append(pool.apply(alone, (variant,)))
        found.append((times[0], times[1]))
    first, second = (statistics.median(times) for times in zip(*found, strict=True))
    return 1000 * first, 1000 * second, statistics.median(one / two for one, two in found)


def alone(variant: Variant) -> float:
    torch.set_num_threads(1)
    if variant.kept:
        keep_freed_memory()
    step = variant.step()
    return statistics.median(seconds(step) for _ in range(4))


def seconds(step: Step) -> float:
    began = time.thread_time()
    for _ in range(STEPS):
        step()
    return (time.thread_time() - began) / STEPS


def used() -> float:
    """Processor seconds of this process and of those that it has ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=JUDGED, default=list(JUDGED))
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    missed = False
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for kind in args.only:
            print(f"{JUDGED[kind]:36}{'ms a step':>12}{'other':>10}{'ratio':>8}")
            ratios: list[float] = []
            for default, other in pairs(kind):
                first, second, ratio = compared(default, other, args.rounds)
                print(f"  {default!s:34}{first:12.2f}{second:10.2f}{ratio:8.3f}", flush=True)
                ratios.append(ratio)
            median = statistics.median(ratios)
            word = "met" if median <= 1 + MARGIN else "missed"
            word = "not judged" if kind == "amp" else word
            missed |= word == "missed"
            print(f"  median {median:.3f}, target {1 + MARGIN}: {word}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
