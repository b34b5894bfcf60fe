"""Figures of the front: accuracy against each size, hypervolume over trials and over work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsearch.results.page.searches import Objective, Search
from kdsearch.results.page.style import INK, SOFT, Figure, color, faded, figure, log_axis, symbol
from kdsearch.results.page.words import hover_text, is_share, label, plain, time_unit
from kdsearch.results.pareto import hypervolume_history, pareto_front, reference_box

if TYPE_CHECKING:
    import pandas as pd

MOST_POINTS = 1500  # stopped, and complete, trials drawn beside the fronts of all searches
CROWD = 600  # trials above which their points are smaller and fainter
HOVER = "%{text}<extra></extra>"


def front_figure(searches: Sequence[Search], size: Objective) -> Figure:
    """All trials of all searches, and each search's front as a line.

    Parameters
    ----------
    size : (name, direction, scale)
        The horizontal axis; the vertical one is the searches' `height`.
    """
    height, (name, _, scale) = searches[0].height, size
    crowded = sum(len(search.trials) for search in searches) > CROWD
    ink, sizes = (0.2, (4, 5)) if crowded else (0.45, (5, 7))
    traces: list[dict[str, Any]] = []
    for i, search in enumerate(searches):
        for status in ("stopped", "complete"):
            rows = drawn(search, status, MOST_POINTS // len(searches))
            marker = {
                "size": sizes[status == "complete"],
                "symbol": symbol(i) + ("" if status == "complete" else "-open"),
                "color": faded(i, ink),
                "line": {"width": 1 if status == "stopped" else 0, "color": faded(i, ink)},
            }
            traces.append(_points(rows, search, height[0], name, len(searches) > 1) | {
                "mode": "markers", "marker": marker, "name": status,
                "showlegend": len(searches) == 1,
            })  # fmt: skip
    lows: list[dict[str, Any]] = []
    for i, search in enumerate(searches):
        line = pareto_front(search.front, [height, size], mix_data=True)
        title = search.name if len(searches) > 1 else "front"
        traces.append({
            "type": "scatter", "mode": "lines", "line": {"color": color(i), "width": 2,
            "shape": "hv"}, "x": numbers(line[name]), "y": heights(line[height[0]], height[0]),
            "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
        traces.append(_points(search.front, search, height[0], name, len(searches) > 1) | {
            "mode": "markers", "name": plain(title, 40),
            "marker": {"size": 11, "symbol": symbol(i), "color": color(i),
                       "line": {"width": 1.5, "color": "#ffffff"}},
        })  # fmt: skip
        traces += _bars(search, name, i)
        lows += teachers(search) if height[0] == "validation_accuracy" else []
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "layer": "below",
         "line": {"color": SOFT, "width": 1, "dash": "dash"}}
        for y in {low["y"] for low in lows}
    ]  # fmt: skip
    scaled = log_axis(_all(searches, name)) if scale == "log" else {}
    return figure(
        traces, label(name), label(height[0]), 460, xaxis=scaled, showlegend=True,
        shapes=shapes, annotations=list({low["y"]: low for low in lows}.values()),
    )  # fmt: skip


def drawn(search: Search, status: str, most: int) -> pd.DataFrame:
    """The rows of a status that a picture shows: all, or a fixed sample where there are many."""
    rows = search.trials.loc[search.trials["status"] == status]
    rows = rows.loc[~rows["trial_id"].isin(search.front["trial_id"])]
    return rows if len(rows) <= most else rows.sample(most, random_state=0).sort_index()


def thinned(searches: Sequence[Search]) -> bool:
    """Whether some trials are in no picture."""
    most = MOST_POINTS // len(searches)
    counts = [s.trials["status"].value_counts().drop("failed", errors="ignore") for s in searches]
    return any(count.max() > most for count in counts if len(count))


def _points(
    rows: pd.DataFrame, search: Search, height: str, size: str, several: bool
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": numbers(rows[size]),
        "y": heights(rows[height], height),
        "text": [hover_text(row, search, several) for row in rows.to_dict("records")],
        "customdata": [plain(name) for name in rows["trial_id"]],
        "hovertemplate": HOVER,
    }


def over_seeds(search: Search) -> pd.DataFrame:
    """Students with an interval over seeds, which validation accuracy alone has, as an axis."""
    import pandas as pd

    frames = search.finished if search.height[0] == "validation_accuracy" else []
    rows = pd.concat(frames, ignore_index=True) if frames else search.trials.head(0)
    return rows.dropna(subset=["validation_interval"]) if len(rows) else rows


def _bars(search: Search, size: str, number: int) -> list[dict[str, Any]]:
    rows = over_seeds(search)
    if not len(rows):
        return []
    said = [
        f"trial {row['trial_id']}<br>{100 * row['validation_mean']:.2f} ± "
        f"{100 * row['validation_interval']:.2f} % over {row['finish_seeds']} seeds"
        for row in rows.to_dict("records")
    ]
    return [{
        "type": "scatter", "mode": "markers", "name": "over seeds", "showlegend": False,
        "x": numbers(rows[size]), "y": heights(rows["validation_mean"], "validation_accuracy"),
        "error_y": {"type": "data", "thickness": 1.4, "width": 5, "color": color(number),
                    "array": heights(rows["validation_interval"], "validation_accuracy")},
        "marker": {"symbol": "line-ew-open", "size": 9, "color": color(number)},
        "text": said, "customdata": [plain(name) for name in rows["trial_id"]],
        "hovertemplate": HOVER,
    }]  # fmt: skip


def teachers(search: Search) -> list[dict[str, Any]]:
    """A note at the height of each teacher's accuracy."""
    found = sorted(search.trials["teacher_validation_accuracy"].dropna().unique())
    return [
        {"xref": "paper", "x": 0, "y": round(100 * y, 3), "xanchor": "left", "yanchor": "bottom",
         "showarrow": False, "text": f"teacher {100 * y:.1f} %", "font": {"size": 11, "color": INK}}
        for y in found[-3:]
    ]  # fmt: skip


def hypervolume_figures(searches: Sequence[Search]) -> tuple[Figure, Figure]:
    """The hypervolume over trials, and over the seconds of work that they took."""
    histories = histories_of(searches)
    column, said = work_of(searches)
    factor, unit = time_unit(max(float(history[column].to_numpy()[-1]) for history in histories))
    figures = []
    axes = (("trials", "trials", 1.0), (column, f"{said} ({unit})", factor))
    for name, title, by in axes:
        traces = []
        for i, (search, history) in enumerate(zip(searches, histories, strict=True)):
            kept = history.loc[_steps(history["hypervolume"].to_numpy())]
            traces.append({
                "type": "scatter", "mode": "lines", "name": plain(search.name, 40),
                "line": {"color": color(i), "width": 2, "shape": "hv"},
                "x": [0, *numbers(kept[name] / by)], "y": [0, *numbers(kept["hypervolume"])],
                "hovertemplate": f"{plain(search.name)}<br>%{{y:.3f}} at %{{x:,}}<extra></extra>",
            })  # fmt: skip
        figures.append(
            figure(traces, title, "hypervolume (share of the box)", 320,
                   yaxis={"rangemode": "tozero"}, showlegend=len(searches) > 1)
        )  # fmt: skip
    return figures[0], figures[1]


def histories_of(searches: Sequence[Search]) -> list[pd.DataFrame]:
    """The growth of each search's hypervolume, in one box of them all."""
    objectives = searches[0].objectives
    tables = [search.trials for search in searches]
    box = reference_box(*tables, objectives=objectives, mix_data=True)
    return [hypervolume_history(table, objectives, box, mix_data=True) for table in tables]


def work_of(searches: Sequence[Search]) -> tuple[str, str]:
    """The column of work, and its name: seconds of GPU where every search used one."""
    if all(search.trials["gpu_seconds"].fillna(0).sum() > 0 for search in searches):
        return "gpu_seconds", "GPU time, summed over trials"
    return "seconds", "time, summed over trials"


def _steps(values: np.ndarray) -> np.ndarray:
    """Where a rising curve changes, and its end: all that a staircase needs."""
    kept = np.diff(values, prepend=-1.0) != 0
    kept[-1:] = True
    return kept


def numbers(values: Any) -> list[float | None]:
    """Numbers as short as a picture needs them; None, which leaves a gap, for what is none."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def heights(values: Any, name: str) -> list[float | None]:
    """As `numbers`, shares in percent."""
    return numbers(np.asarray(values, dtype=float) * (100 if is_share(name) else 1))


def _all(searches: Sequence[Search], name: str) -> np.ndarray:
    values = np.concatenate([s.trials[name].to_numpy(dtype=float) for s in searches])
    values = values[np.isfinite(values) & (values > 0)]
    return values if len(values) else np.ones(1)
