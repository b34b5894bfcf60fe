"""Parallel coordinates: a line a trial through its holes and objectives.

Drawn as plain lines: Plotly's own parallel coordinates need WebGL, break at a hole that a trial
lacks, and have no hover.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kdsearch.results.page.front_figures import HOVER
from kdsearch.results.page.importance import declared_domains
from kdsearch.results.page.searches import Search
from kdsearch.results.page.style import FAINT, SOFT, Figure, color, faded, figure
from kdsearch.results.page.words import LABELS, amount, label, plain

MOST_AXES = 9  # of holes; the objectives stand behind them
MOST_LINES = 240  # beside those of the fronts, of all searches together
MOST_WORDS = 26  # options that an axis has room to name


def parallel_figure(
    searches: Sequence[Search], importances: Sequence[pd.DataFrame]
) -> tuple[Figure, int] | None:
    """The figure, and how many holes it leaves out; None where there is no hole.

    Holes that at least half of the trials have, the most important for the first objective first
    chosen, in the order of the search file.
    """
    together = pd.concat([search.trials for search in searches], ignore_index=True)
    holes = list(dict.fromkeys(hole for search in searches for hole in search.holes))
    often = [str(h) for h, column in together[holes].items() if _often(column)]
    weight = {h: sum(t.iloc[:, 0].get(h, 0.0) for t in importances if t.size) for h in often}
    chosen = sorted(sorted(often, key=lambda h: -weight[h])[:MOST_AXES], key=holes.index)
    if not chosen:
        return None
    first = searches[0]
    logs = {n for n, _, scale in first.sizes if scale == "log"}
    logs |= {h for s in searches for h, d in declared_domains(s).items() if getattr(d, "log", 0)}
    columns = [*chosen, *(name for name, *_ in (*first.sizes, first.height))]
    scales = {str(n): _Scale(c, n in logs) for n, c in together[columns].items()}
    traces = []
    for bold in (False, True):
        for i, search in enumerate(searches):
            on = search.trials["trial_id"].isin(search.front["trial_id"])
            rows = search.trials.loc[on == bold]
            most = MOST_LINES // len(searches)
            if not bold and len(rows) > most:
                rows = rows.sample(most, random_state=0).sort_index()
            if len(rows):
                traces.append(_lines(rows, search, scales, i, bold, len(searches) > 1))
    return figure(
        traces, "", "", 470, showlegend=True, annotations=_notes(scales),
        margin={"l": 30, "r": 70, "t": 34, "b": 62},
        xaxis={"tickvals": list(range(len(columns))), "ticktext": [_broken(c) for c in columns],
               "range": [-0.15, len(columns) - 0.75], "tickangle": 0,
               "tickfont": {"size": 11}, "showgrid": False, "showline": False, "ticks": "",
               "fixedrange": True},
        yaxis={"visible": False, "range": [-0.07, 1.07], "fixedrange": True},
        shapes=[{"type": "line", "x0": i, "x1": i, "y0": 0, "y1": 1, "layer": "below",
                 "line": {"color": FAINT, "width": 1}} for i in range(len(columns))],
    ), len(holes) - len(chosen)  # fmt: skip


def _often(column: pd.Series) -> bool:
    """Whether half of the trials have this hole, and not all the same value."""
    return bool(2 * column.count() >= len(column)) and column.nunique() > 1


class _Scale:
    """Where the values of a column lie on its axis, 0..1, and what is written beside it."""

    def __init__(self, column: pd.Series, log: bool) -> None:
        self.name = str(column.name)
        present = column.dropna()
        self.words = (
            sorted(map(str, present.unique()), reverse=True)
            if present.dtype.kind not in "if"
            else []
        )
        self.low = self.high = 0.0
        self.log = False
        if not self.words:
            finite = present[np.isfinite(present.to_numpy(dtype=float))]
            self.low, self.high = float(finite.min()), float(finite.max())
            self.log = log and self.low > 0

    def place(self, value: Any) -> float | None:
        if value is None or value != value:
            return None
        if self.words:
            return self.words.index(str(value)) / max(1, len(self.words) - 1)
        low, high, at = self.low, self.high, float(value)
        if not np.isfinite(at):
            return None
        if self.log:
            low, high, at = np.log(low), np.log(high), np.log(at)
        return round(float((at - low) / (high - low)), 4) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        if self.words:
            every = -(-len(self.words) // MOST_WORDS)
            return [(self.place(w) or 0.0, plain(w, 16)) for w in self.words[::every]]
        return [(0.0, amount(self.name, self.low)), (1.0, amount(self.name, self.high))]


def _lines(
    rows: pd.DataFrame, search: Search, scales: dict[str, _Scale], i: int, bold: bool, several: bool
) -> dict[str, Any]:
    x: list[Any] = []
    y: list[Any] = []
    text: list[str] = []
    ids: list[str] = []
    for row in rows.to_dict("records"):
        of = f" of {search.name}" if several else ""
        trial = plain(f"trial {row['trial_id']}{of}")
        x += [*range(len(scales)), None]
        y += [*(scale.place(row.get(name)) for name, scale in scales.items()), None]
        said = [plain(f"{name} {amount(name, row.get(name))}") for name in scales]
        text += [*(f"{trial}<br>{words}" for words in said), ""]
        ids += [plain(row["trial_id"])] * (len(scales) + 1)
    kind = "front" if bold else "others"
    return {
        "type": "scatter", "mode": "lines+markers" if bold else "lines", "x": x, "y": y,
        "text": text, "customdata": ids, "hovertemplate": HOVER, "connectgaps": False,
        "line": {"color": color(i) if bold else faded(i, 0.13), "width": 1.6 if bold else 1},
        "marker": {"size": 5, "color": color(i)},
        "name": plain(search.name if several else kind, 40), "showlegend": bold or not several,
    }  # fmt: skip


def _notes(scales: dict[str, _Scale]) -> list[dict[str, Any]]:
    notes = []
    for i, scale in enumerate(scales.values()):
        for y, text in scale.ticks():
            beside = bool(scale.words)
            notes.append({
                "x": i, "y": y, "text": text, "showarrow": False,
                "xanchor": "left" if beside else "center", "xshift": 4 if beside else 0,
                "yanchor": "middle" if beside else ("bottom" if y else "top"),
                "font": {"size": 10, "color": SOFT}, "bgcolor": "rgba(255,255,255,0.75)",
                "borderpad": 0,
            })  # fmt: skip
    return notes


def _broken(name: str) -> str:
    """A path, or the words of a label, on lines of their own."""
    if name in LABELS:
        return re.sub(r"( |(?<=-))", "<br>", plain(label(name).partition(" (")[0]))
    front, dot, last = name.rpartition(".")
    return f"{plain(front, 22)}{dot}<br>{plain(last, 22)}" if front else plain(last, 22)
