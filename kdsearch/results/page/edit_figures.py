"""Figures of a search of edits: rewards, what the policy keeps, the best student layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsearch.results.page.edits import Kept, Layer, edited_trials
from kdsearch.results.page.front_figures import numbers
from kdsearch.results.page.searches import Search
from kdsearch.results.page.style import FAINT, Figure, color, faded, figure, symbol
from kdsearch.results.page.words import amount, plain

WINDOW = 10  # complete trials, of which the mean is drawn
# From gone to kept: told apart by the colour-blind too, and white where the policy has no opinion.
SCALE = [[0, "#D55E00"], [0.5, "#ffffff"], [1, "#0072B2"]]


def reward_figure(searches: Sequence[Search]) -> Figure:
    """R of every edit over trials, with the best so far and the mean of the last complete ones."""
    traces: list[dict[str, Any]] = []
    several = len(searches) > 1
    for i, search in enumerate(searches):
        rows = edited_trials(search)
        number = np.arange(1, len(rows) + 1)
        whole = (rows["status"] == "complete").to_numpy(dtype=bool)
        for done in (False, True):
            part = (rows["status"] == ("complete" if done else "stopped")).to_numpy(dtype=bool)
            ink = {"width": 0 if done else 1, "color": faded(i, 0.5)}
            traces.append({
                "type": "scatter", "mode": "markers", "showlegend": not several,
                "name": "complete" if done else "stopped", "x": numbers(number[part]),
                "y": numbers(rows.loc[part, "reward"]),
                "marker": {"size": 6, "symbol": symbol(i) + ("" if done else "-open"),
                           "color": faded(i, 0.5), "line": ink},
                "text": [_words(row) for row in rows.loc[part].to_dict("records")],
                "customdata": [plain(str(name)) for name in rows.loc[part, "trial_id"]],
                "hovertemplate": "%{text}<extra></extra>",
            })  # fmt: skip
        values = rows.loc[whole, "reward"]
        name = plain(search.name, 40)
        for title, curve, line in (
            ("best so far", values.cummax(), {"width": 2, "shape": "hv"}),
            (f"mean of the last {WINDOW}", values.rolling(WINDOW, 1).mean(), {"dash": "dot"}),
        ):
            traces.append({
                "type": "scatter", "mode": "lines", "line": {"color": color(i), **line},
                "x": numbers(number[whole]), "y": numbers(curve),
                "name": f"{name}, {title}" if several else title,
                "hovertemplate": f"{title}: %{{y:.4f}}<extra></extra>",
            })  # fmt: skip
    return figure(traces, "trials, as they ended", "R", 340, showlegend=True)


def _words(row: dict[Any, Any]) -> str:
    said = [f"trial {row['trial_id']}: {row['status']} after {row['epochs']} epochs"]
    said.append(f"R {row['reward']:.4f}")
    said += [f"{name.replace('_', ' ')}: {amount(name, row[name])}"
             for name in ("validation_accuracy", "parameters")]  # fmt: skip
    return "<br>".join(plain(line) for line in said)


def kept_figure(told: Kept) -> Figure:
    """A row a removable block, a column a trial: with what probability the policy kept it."""
    names = [plain(name) for name in told.names]
    trace: dict[str, Any] = {
        "type": "heatmap", "y": names, "x": list(range(1, len(told.trials) + 1)),
        "z": [[None if p is None else round(p, 4) for p in row] for row in told.probabilities],
        "zmin": 0, "zmax": 1, "colorscale": SCALE, "hoverongaps": False, "xgap": 0, "ygap": 2,
        "customdata": [[plain(name) for name in told.trials] for _ in names],
        "hovertemplate": "trial %{customdata}<br>%{y}: kept with %{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 12, "tickvals": [0, 0.5, 1], "outlinewidth": 0,
                     "ticktext": ["0: goes", "0.5", "1: stays"]},
    }  # fmt: skip
    return figure(
        [trace], "trials, as they were proposed", "", 110 + max(24 * len(names), 140),
        yaxis={"autorange": "reversed", "ticks": "", "showgrid": False, "type": "category"},
        xaxis={"showgrid": False}, plot_bgcolor="#eef1f4",
    )  # fmt: skip


def layer_figure(found: Sequence[Layer], number: int) -> Figure:
    """The teacher's widths, and over them what is left, from input to output.

    Parameters
    ----------
    found : sequence of Layer
    number : int
        Of the search, whose colour it takes.
    """
    names = [plain(layer.name) for layer in found]
    left = [layer.left or 0 for layer in found]
    said = ["removed" if layer.left is None else f"{layer.left} of {layer.width}"
            for layer in found]  # fmt: skip
    bars: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "name": "teacher", "y": names,
            "x": [layer.width for layer in found], "text": said, "textposition": "outside",
            "cliponaxis": False, "width": 0.75,
            "marker": {"color": ["#ffffff" if layer.left is None else "#e4e8ec" for layer in found],
                       "line": {"color": FAINT, "width": 1}},
            "hovertemplate": "%{y}: %{text}<extra></extra>",
        },
        {
            "type": "bar", "orientation": "h", "name": "student", "y": names, "x": left,
            "text": said, "textposition": "none", "width": 0.45, "marker": {"color": color(number)},
            "hovertemplate": "%{y}: %{text}<extra></extra>",
        },
    ]  # fmt: skip
    widest = max(layer.width for layer in found)
    return figure(
        bars, "width (channels or units)", "", 100 + 24 * len(found), barmode="overlay",
        showlegend=True, xaxis={"range": [0, 1.18 * widest]},
        yaxis={"autorange": "reversed", "ticks": "", "showgrid": False, "type": "category"},
    )  # fmt: skip
