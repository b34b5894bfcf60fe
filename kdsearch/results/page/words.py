"""Trials in words: architecture, losses, amounts with their units."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kdsearch.results.page.searches import Search

LABELS = {
    "validation_accuracy": "validation accuracy (%)",
    "test_accuracy": "test accuracy (%)",
    "macs": "multiply-accumulates",
    "size_bytes": "size (bytes)",
    "latency_ms": "latency (ms)",
    "peak_memory_mib": "peak memory (MiB)",
}
TERM = re.compile(r"losses\[(\d+)\](?:\.(.+))?")


def label(name: str) -> str:
    """A column as the title of an axis."""
    return LABELS.get(name, name.replace("_", " "))


def is_share(name: str) -> bool:
    """Whether a column is a fraction that is read as percent."""
    return name.endswith("accuracy")


def amount(name: str, value: Any) -> str:
    """A value of a column, as a reader expects it; nothing where there is none."""
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if is_share(name):
        return f"{100 * value:.2f} %"
    whole = float(value).is_integer()
    return f"{int(value):,}" if whole else f"{value:.4g}"


def span(seconds: float) -> str:
    """A time in the unit that suits it."""
    factor, unit = time_unit(seconds)
    return f"{seconds / factor:.3g} {unit}"


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds of the unit that suits a time, and its name."""
    if seconds < 300:
        return 1.0, "s"
    return (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def architecture_words(text: str) -> str:
    """A network in one line: ``resnet 1x8, 2x16``: blocks by width, stage by stage.

    Parameters
    ----------
    text : str
        JSON, as the column ``architecture`` holds it; any other text is returned as it is.
    """
    try:
        raw = json.loads(text)
        stages = [_stage(stage) for stage in raw.get("stages", ())]
        options = [f"{name} {value}" for name, value in raw.get("options", ())]
        return " ".join([str(raw["family"]), ", ".join(stages + options)]).strip()
    except (ValueError, TypeError, KeyError, AttributeError):
        return str(text)


def _stage(stage: Mapping[str, Any]) -> str:
    blocks = stage["blocks"]
    if "width" in stage:
        return f"{len(blocks)}x{stage['width']}"
    return "-".join(str(block["width"]) for block in blocks)


def loss_words(row: Mapping[str, Any], search: Search) -> str:
    """The loss terms of a trial: each method with the values of its holes."""
    declared = search.config.get("losses")
    terms: dict[int, tuple[str, list[str]]] = {}
    if isinstance(declared, Sequence):
        for i, term in enumerate(declared):
            method = term.get("method", "") if isinstance(term, Mapping) else term
            terms[i] = (str(row.get(f"losses[{i}]") or method), [])
    for hole in search.holes:
        if not (found := TERM.fullmatch(hole)) or _empty(row.get(hole)):
            continue
        number, rest = int(found[1]), found[2]
        method, values = terms.setdefault(number, (str(row.get(f"losses[{number}]") or ""), []))
        if rest:
            name = rest.removeprefix(f"{method}.")
            values.append(f"{name} {amount(hole, row[hole])}")
    said = [
        f"{method} ({', '.join(values)})" if values else method
        for _, (method, values) in sorted(terms.items())
        if method and method != "none"
    ]
    return " + ".join(said) or "labels alone"


def hover_text(row: Mapping[str, Any], search: Search, several: bool) -> str:
    """What a trial shows under the pointer, lines joined by ``<br>``; all else is escaped."""
    of = f" of {search.name}" if several else ""
    lines = [f"trial {row['trial_id']}{of}: {row['status']} after {row['epochs']} epochs"]
    for name, *_ in (search.height, *search.sizes):
        lines.append(f"{label(name).partition(' (')[0]}: {amount(name, row[name])}")
    lines += [architecture_words(row["architecture"]), loss_words(row, search)]
    for hole in search.holes:
        if not hole.startswith(("student", "losses")) and not _empty(row.get(hole)):
            lines.append(f"{hole} {amount(hole, row[hole])}")
    return "<br>".join(plain(line) for line in lines)


def plain(text: str, most: int = 110) -> str:
    """Text that neither a browser nor Plotly reads as markup, cut where it is too long."""
    return escape(text if len(text) <= most else f"{text[: most - 1]}…", quote=True)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
