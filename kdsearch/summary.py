"""What `kdsearch check` says of a search."""

from __future__ import annotations

import math

from kdsearch.check import Summary
from kdsearch.meter import THREADS
from kdsearch.meter.device import device_name
from kdsearch.search_config import SearchConfig

FORWARD_AND_BACKWARD = 3  # a backward pass costs about two forwards


def summary_lines(config: SearchConfig, summary: Summary) -> list[str]:
    """Choices, cheapest and dearest student, and what a trial takes, as plain lines."""
    outline, fixed = summary.outline, config.fixed
    channels, height, width = outline.shape
    lines = [
        f"search {fixed.search}: valid",
        f"data: {outline.train_images:,} training images of {channels} x {height} x {width}, "
        f"{len(outline.classes)} classes" + (f"; {outline.held}" if outline.held else ""),
    ]
    lines += [
        f"teacher: {price.parameters:,} parameters, {price.macs:,} macs, "
        + (f"weights from {section.weights}" if section.weights else f"{section.epochs} epochs")
        for section, _, price in summary.teachers
    ]
    if summary.teachers:
        lines.append(str(summary.stock))
    free = "" if summary.assignments != math.inf else ", times a continuum of hyper-parameters"
    lines.append(f"students: {_count(summary.students)}{free}")
    for word, (_, price) in (("cheapest", summary.cheapest), ("dearest", summary.dearest)):
        lines.append(
            f"{word} student: {price.parameters:,} parameters, {price.macs:,} macs, "
            f"{price.size_bytes:,} bytes" + (f" at {fixed.bits} bits" if fixed.bits != 32 else "")
        )
    lines += [
        f"measured before each trial: {o.name} on "
        f"{device_name(o.device, THREADS)}, batch {o.batch_size}"
        for o in fixed.measured
    ]
    lines.append(_trial_line(config, summary))
    return lines


def _trial_line(config: SearchConfig, summary: Summary) -> str:
    resources = config.fixed.resources
    plan = next(iter(config.plans()))[1]
    epochs = plan.training.last_epoch
    low, high = (
        FORWARD_AND_BACKWARD * epochs * summary.outline.train_images * price.macs / 1e12
        for _, price in (summary.cheapest, summary.dearest)
    )
    share = "of a GPU, if there is one, what students need"
    gpu = share if resources.gpu == "auto" else f"{resources.gpu:g} GPU"
    cpu = "as many CPUs as pay" if resources.cpu == "auto" else f"{resources.cpu:g} CPU"
    return (
        f"a trial: {cpu}, {gpu}; up to {epochs} epochs, "
        f"{low:.2g} to {high:.2g} tera-macs for the student"
    )


def _count(number: float) -> str:
    return "a continuum" if number == math.inf else f"{number:,.0f}"
