"""One student, one optimizer at a time, one loop over the epochs of all phases."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.data import Batch
from kdsearch.results.records import EpochReport
from kdsearch.schemes.optimizer import build_optimizer, clip_gradients
from kdsearch.schemes.parts import Parts
from kdsearch.schemes.phases import Phase, autocast, phases
from kdsearch.schemes.schedule import lr_factor
from kdsearch.schemes.state import Judged, Standing, restore


def single(parts: Parts) -> Iterator[EpochReport]:
    """Train, and yield a report after every epoch; the last one is the epoch `training.last_epoch`.

    A non-finite loss ends the training after the report that shows it. Closing the generator ends
    it at once.

    Parameters
    ----------
    parts : Parts
        The student is trained in place, the adapters of the losses with it. Pre-training that a
        loss asks for takes the first of the epochs. With a saved state the epochs after it follow,
        exactly as they would have without the pause.

    Raises
    ------
    StateError
        A saved state that does not fit.
    """
    training, saved = parts.training, parts.saved
    for phase in phases(parts):
        if saved is not None and phase.last < saved["epoch"]:
            continue  # but it came by: what its end freezes is frozen again
        optimizer = build_optimizer(phase.modules, training)
        first = phase.first
        judged: Judged | None = None
        if saved is not None:
            first, judged = saved["epoch"] + 1, restore(parts, optimizer, saved)
            parts.saved = saved = None
        for epoch in range(first, min(phase.last, training.last_epoch) + 1):
            started = time.perf_counter()
            for module in phase.modules:
                module.train()
            total, terms = _train_epoch(parts, phase, optimizer, epoch)
            if judged is None or phase.trains(parts.student):
                with parts.clock.part("evaluation"):
                    validation = parts.batches.validation()
                    judged = evaluate(parts.student, validation, autocast=autocast(parts))
            accuracy, validation_loss = judged
            parts.standing = Standing(epoch, optimizer, judged)
            yield EpochReport(
                epoch=epoch,
                train_loss=total,
                terms=terms,
                validation_accuracy=accuracy,
                validation_loss=validation_loss,
                lr=optimizer.param_groups[0]["lr"],
                seconds=time.perf_counter() - started,
                stage=phase.name,
                weights={t.name: float(t.factor) for t in parts.terms if t.found is not None},
            )
            if not (math.isfinite(total) and math.isfinite(validation_loss)):
                return


def _train_epoch(
    parts: Parts, phase: Phase, optimizer: torch.optim.Optimizer, epoch: int
) -> tuple[float, dict[str, float]]:
    training, clock, steps = parts.training, parts.clock, parts.batches.steps_per_epoch
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    rungs = [rung - phase.first + 1 for rung in parts.rungs if rung >= phase.first]
    sums: Tensor | None = None
    names: list[str] = []
    for step, batch in enumerate(clock.each("data", parts.batches.epoch(epoch))):
        # The middle of the step: the first one is not lost to a rate of zero.
        progress = epoch - phase.first + (step + 0.5) / steps
        factor = lr_factor(phase.schedule, progress, phase.epochs, training.warmup, rungs)
        for group in optimizer.param_groups:
            group["lr"] = training.lr * factor
        with clock.part("losses"):  # but for the networks' forward passes in them
            loss = phase.step(batch, progress)
        with clock.part("backward"):
            for parameter in parameters:  # `zero_grad` reports to the profiler too
                parameter.grad = None
            loss.total.backward()
        with clock.part("optimizer"):
            if training.clip is not None:
                clip_gradients(parameters, training.clip)
            optimizer.step()
        if parts.teacher is not None and loss.student is not None and loss.teacher is not None:
            parts.teacher.observe(batch, loss.student, loss.teacher)
        names = list(loss.terms)
        row = torch.stack([v.detach().float() for v in (loss.total, *loss.terms.values())])
        sums = row if sums is None else sums + row
    assert sums is not None  # a training split has a batch
    total_mean, *means = (sums / steps).tolist()  # the one wait for the device in an epoch
    return total_mean, dict(zip(names, means, strict=True))


@torch.inference_mode()
def evaluate(
    network: nn.Module, batches: Iterator[Batch], *, autocast: bool = False
) -> tuple[float, float]:
    """Accuracy (fraction) and mean cross-entropy of a network in eval mode; its mode is kept."""
    training = network.training
    network.eval()
    correct = loss = torch.zeros(())
    count = 0
    for batch in batches:
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=autocast):
            logits = network(batch.inputs).logits
        logits = logits.float()
        correct = correct.to(logits.device) + (logits.argmax(1) == batch.labels).sum()
        loss = loss.to(logits.device) + F.cross_entropy(logits, batch.labels, reduction="sum")
        count += len(batch.labels)
    network.train(training)
    return correct.item() / count, loss.item() / count
