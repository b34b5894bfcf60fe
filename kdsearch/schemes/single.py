"""One student, one optimizer: ``label_weight x CE + sum of weight x loss``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.data import Batch
from kdsearch.results.records import EpochReport
from kdsearch.schemes.optimizer import build_optimizer
from kdsearch.schemes.parts import Parts
from kdsearch.schemes.schedule import lr_factor
from kdsearch.students.outputs import Outputs


def single(parts: Parts) -> Iterator[EpochReport]:
    """Train, and yield a report after every epoch; the last one is the epoch `training.last_epoch`.

    A non-finite loss ends the training after the report that shows it. Closing the generator ends
    it at once.

    Parameters
    ----------
    parts : Parts
        The student is trained in place, the adapters of the losses with it.
    """
    training = parts.training
    losses = [term.loss for term in parts.terms]
    optimizer = build_optimizer([parts.student, *losses], training)
    for epoch in range(1, training.last_epoch + 1):
        started = time.perf_counter()
        parts.student.train()
        for loss in losses:
            loss.train()
        total, terms = _train_epoch(parts, optimizer, epoch)
        accuracy, validation_loss = evaluate(
            parts.student, parts.batches.validation(), autocast=_autocast(parts)
        )
        yield EpochReport(
            epoch=epoch,
            train_loss=total,
            terms=terms,
            validation_accuracy=accuracy,
            validation_loss=validation_loss,
            lr=optimizer.param_groups[0]["lr"],
            seconds=time.perf_counter() - started,
        )
        if not (math.isfinite(total) and math.isfinite(validation_loss)):
            return


def _train_epoch(
    parts: Parts, optimizer: torch.optim.Optimizer, epoch: int
) -> tuple[float, dict[str, float]]:
    training, steps = parts.training, parts.batches.steps_per_epoch
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    sums = torch.zeros(len(parts.terms) + 2, device=parts.device)
    for step, batch in enumerate(parts.batches.epoch(epoch)):
        progress = epoch - 1 + step / steps
        # The middle of the step: the first one is not lost to a rate of zero.
        factor = lr_factor(
            training.lr_schedule, progress + 0.5 / steps, training.epochs, training.warmup,
            parts.rungs,
        )  # fmt: skip
        for group in optimizer.param_groups:
            group["lr"] = training.lr * factor
        values, outputs = _step_losses(parts, batch)
        optimizer.zero_grad(set_to_none=True)
        values[0].backward()
        if training.clip is not None:
            nn.utils.clip_grad_norm_(parameters, training.clip)
        optimizer.step()
        if parts.teacher is not None:
            parts.teacher.observe(batch, *outputs)
        sums += torch.stack([v.detach().float() for v in values])
    means = (sums / steps).tolist()  # the one wait for the device in an epoch
    names = ["label", *(term.name for term in parts.terms)]
    return means[0], dict(zip(names, means[1:], strict=True))


def _step_losses(parts: Parts, batch: Batch) -> tuple[list[Tensor], tuple[Outputs, Any]]:
    """The whole loss, the label loss, every term unweighted; and what both networks said."""
    training = parts.training
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=_autocast(parts)):
        taught = parts.teacher.outputs(batch) if parts.teacher is not None else None
        student = parts.student(batch.inputs)
    label = F.cross_entropy(
        student.logits.float(), batch.labels, label_smoothing=training.label_smoothing
    )
    values = [term.loss(student, taught, batch) for term in parts.terms]
    total = training.label_weight * label
    for term, value in zip(parts.terms, values, strict=True):
        total = total + term.weight * value
    return [total, label, *values], (student, taught)


def _autocast(parts: Parts) -> bool:
    return parts.training.amp == "auto" and parts.device.type == "cuda"


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
