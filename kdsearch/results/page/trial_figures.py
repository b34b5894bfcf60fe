"""Figures of how trials went: importance of holes, parallel coordinates, rungs, learning curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsearch.results.page.front_figures import heights, numbers
from kdsearch.results.page.searches import Search
from kdsearch.results.page.style import Figure, color, faded, figure
from kdsearch.results.page.words import label, plain

if TYPE_CHECKING:
    import pandas as pd

MOST_HOLES = 12  # bars of a chart of importance
MOST_CURVES = 60  # learning curves beside those of the fronts, of all searches together


def importance_figures(
    searches: Sequence[Search], importances: Sequence[pd.DataFrame]
) -> dict[str, Figure]:
    """By objective: bars of the share that each hole explains, a colour a search."""
    first = searches[0]
    figures = {}
    for name, *_ in (first.height, *first.sizes):
        columns = [table[name] for table in importances if name in table]
        if not columns:
            continue
        totals: dict[str, float] = {}
        for column in columns:
            for hole, share in zip(column.index, column.to_numpy(dtype=float), strict=True):
                totals[str(hole)] = totals.get(str(hole), 0.0) + share
        holes = sorted(totals, key=lambda hole: totals[hole])[-MOST_HOLES:]
        traces = [
            {
                "type": "bar", "orientation": "h", "name": plain(search.name, 40),
                "y": [plain(hole, 34) for hole in holes],
                "x": numbers(table[name].reindex(holes).fillna(0)),
                "marker": {"color": color(i)},
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            }
            for i, (search, table) in enumerate(zip(searches, importances, strict=True))
            if name in table
        ]  # fmt: skip
        title = "share of the explained variance"
        size = 90 + (16 + 10 * len(traces)) * len(holes)
        figures[name] = figure(
            traces, title, "", size, showlegend=len(searches) > 1, bargap=0.35,
            xaxis={"tickformat": ".0%", "rangemode": "tozero"},
            yaxis={"ticks": "", "showgrid": False},
        )  # fmt: skip
    return figures


def rungs_of(search: Search) -> list[int]:
    """The epochs at which the scheduler decided."""
    raw = search.config.get("scheduler", {})
    last = int(judged_epochs(search).max())
    reduction = max(2, int(raw.get("reduction", 3)))
    rungs, rung = [], max(1, int(raw.get("grace", 1)))
    while raw.get("name", "asha") == "asha" and rung < last:
        rungs.append(rung)
        rung *= reduction
    return rungs


def judged_epochs(search: Search) -> np.ndarray:
    """Epochs of each trial that a scheduler counts: those after its pre-training."""
    epochs = search.trials["epochs"].to_numpy(dtype=int)
    if search.epochs is None or "stage" not in search.epochs:
        return epochs
    before = Counter(search.epochs.loc[search.epochs["stage"].notna(), "trial_id"])
    return epochs - np.array([before[name] for name in search.trials["trial_id"]])


def rung_figure(searches: Sequence[Search]) -> Figure:
    """How many trials reached each rung."""
    traces = []
    for i, search in enumerate(searches):
        epochs, rungs = judged_epochs(search), rungs_of(search)
        counts = [int((epochs >= rung).sum()) for rung in rungs]
        counts.append(list(search.trials["status"]).count("complete"))
        traces.append({
            "type": "bar", "name": plain(search.name, 40), "marker": {"color": color(i)},
            "x": [*(f"epoch {rung}" for rung in rungs), "end"], "y": counts, "text": counts,
            "textposition": "outside", "cliponaxis": False,
            "hovertemplate": "%{y} of " f"{len(epochs)} trials reached %{{x}}<extra></extra>",
        })  # fmt: skip
    every = sorted({rung for search in searches for rung in rungs_of(search)})
    order = [*(f"epoch {rung}" for rung in every), "end"]
    return figure(
        traces, "", "trials that reached it", 320, showlegend=len(searches) > 1,
        bargap=0.6, margin={"l": 58, "r": 14, "t": 40, "b": 40},
        xaxis={"type": "category", "categoryorder": "array", "categoryarray": order},
        yaxis={"rangemode": "tozero"},
    )  # fmt: skip


def curve_figure(searches: Sequence[Search]) -> Figure | None:
    """Accuracy over epochs: the fronts' trials, and a faint sample of the others."""
    faint, bold = [], []
    for i, search in enumerate(searches):
        if search.epochs is None:
            continue
        others = drawn_ids(search, MOST_CURVES // len(searches))
        for names, into, said, line in (
            (others, faint, "others", {"color": faded(i, 0.22), "width": 1}),
            (list(search.front["trial_id"]), bold, "front", {"color": color(i), "width": 2}),
        ):
            x, y, ids = _curves(search.epochs, names)
            if x:
                into.append({
                    "type": "scatter", "mode": "lines", "x": x, "y": y, "customdata": ids,
                    "line": line, "name": plain(search.name if len(searches) > 1 else said, 40),
                    "showlegend": len(searches) == 1 or said == "front", "connectgaps": False,
                    "hovertemplate": "trial %{customdata}: %{y:.2f} % at epoch %{x}<extra></extra>",
                })  # fmt: skip
    if not faint + bold:
        return None
    return figure(faint + bold, "epoch", label("validation_accuracy"), 320, showlegend=True)


def drawn_ids(search: Search, most: int) -> list[str]:
    """A sample of the trials that are not on the front."""
    rows = search.trials.loc[~search.trials["trial_id"].isin(search.front["trial_id"])]
    rows = rows if len(rows) <= most else rows.sample(most, random_state=0).sort_index()
    return list(rows["trial_id"])


def _curves(epochs: pd.DataFrame, names: Sequence[str]) -> tuple[list[Any], list[Any], list[Any]]:
    """The curves of some trials as one, with gaps between them."""
    x: list[Any] = []
    y: list[Any] = []
    ids: list[Any] = []
    of = epochs.loc[epochs["trial_id"].isin(list(names))].groupby("trial_id", sort=False)
    for name, curve in of:
        x += [*map(int, curve["epoch"]), None]
        y += [*heights(curve["validation_accuracy"], "validation_accuracy"), None]
        ids += [plain(str(name))] * (len(curve) + 1)
    return x, y, ids
