"""Pairs of networks, images made up, and one training step: what the GPU benchmarks share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.architecture import Architecture
from kdsearch.config import TrainingConfig
from kdsearch.losses.kd import kd_loss
from kdsearch.schemes.optimizer import build_optimizer
from kdsearch.students import build_student, describe

CLASSES, IMAGES, SMOKE_IMAGES = 100, 50_000, 64
TRAINING = TrainingConfig(epochs=1, lr=0.05)
TEMPERATURE, WEIGHT = 4.0, 0.9


def resnet(blocks: int, width: int, stem: int) -> Architecture:
    """A CIFAR resnet of so many blocks in each of three stages."""
    section = {"family": "resnet", "blocks": [blocks] * 3, "stem": stem}
    return describe({**section, "widths": [width, 2 * width, 4 * width]}, (3, 32, 32), CLASSES)


# Teacher and student of two pairs on which the field compares methods.
PAIRS = {
    "resnet32x4 -> resnet8x4": (resnet(5, 64, 32), resnet(1, 64, 32)),
    "resnet56 -> resnet20": (resnet(9, 16, 16), resnet(3, 16, 16)),
}
# Of the same shape and no size, so that the scripts can be seen to work in seconds.
SMOKE = {"smoke": (resnet(2, 8, 8), resnet(1, 4, 4))}


@dataclass
class Images:
    """Made-up images of CIFAR's shape, on the device, and what a teacher said of them."""

    pixels: Tensor
    labels: Tensor
    logits: Tensor
    batch_size: int

    @classmethod
    def made(cls, batch_size: int, device: str, smoke: bool) -> Images:
        """Random ones: no step is faster or slower for them."""
        count = max(SMOKE_IMAGES if smoke else IMAGES, batch_size)
        random = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (count, 3, 32, 32), generator=random, dtype=torch.uint8)
        labels = torch.randint(CLASSES, (count,), generator=random)
        logits = torch.randn(count, CLASSES, generator=random).half()
        return cls(pixels.to(device), labels.to(device), logits.to(device), batch_size)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Inputs in float32, labels, and stored logits; without end."""
        while True:
            order = torch.randperm(len(self.labels), device=self.labels.device)
            for index in order.split(self.batch_size):
                if len(index) == self.batch_size:
                    inputs = self.pixels[index].float().div_(255)
                    yield inputs, self.labels[index], self.logits[index].float()


@dataclass(frozen=True)
class Variant:
    """How a step is run."""

    name: str
    amp: bool = True
    channels_last: bool = True
    compiled: bool = False
    graph: bool = False


Step = Callable[[Tensor, Tensor, Tensor], Any]


def make_step(
    student: nn.Module, teacher: nn.Module | None, mode: str, variant: Variant, smoke: bool
) -> Step:
    """One step of the student: on labels alone, with the teacher in the loop, or with a store."""
    device = next(student.parameters()).device.type
    networks = [net for net in (student, teacher) if net is not None]
    for net in networks:
        if variant.channels_last:
            net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = build_optimizer([student], TRAINING)
    learner: Any = student
    if variant.compiled:  # to see that it runs, nothing needs to be generated
        learner = torch.compile(student, backend="eager" if smoke else "inductor")

    def step(inputs: Tensor, labels: Tensor, stored: Tensor) -> None:
        if variant.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        cast = torch.autocast(device, torch.bfloat16) if variant.amp else nullcontext()
        with cast:
            said = stored
            if mode == "live" and teacher is not None:
                with torch.no_grad():
                    said = teacher(inputs).logits
            logits = learner(inputs).logits
        loss = F.cross_entropy(logits.float(), labels)
        if mode != "alone":
            loss = (1 - WEIGHT) * loss + WEIGHT * kd_loss(logits.float(), said.float(), TEMPERATURE)
        optimizer.zero_grad(set_to_none=not variant.graph)  # a graph writes where it wrote before
        loss.backward()
        optimizer.step()

    return step


def graphed(step: Step, example: tuple[Tensor, Tensor, Tensor]) -> Step:
    """The step as a CUDA graph: captured once, on tensors that stay."""
    held = tuple(tensor.clone() for tensor in example)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(5):
            step(*held)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(*held)

    def replay(*batch: Tensor) -> None:
        for place, tensor in zip(held, batch, strict=True):
            place.copy_(tensor)
        graph.replay()

    return replay


def network(architecture: Architecture, device: str, seed: int = 0) -> nn.Module:
    """Fresh weights, on the device."""
    return build_student(architecture, seed, device)


def clock(device: str) -> float:
    """Seconds, once the device has done what was asked of it."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
