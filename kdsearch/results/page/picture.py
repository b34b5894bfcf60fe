"""``report.svg`` and ``report.png``: the page's main figures on four panels, for a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdsearch.results.page.front_figures import CROWD, heights, histories_of, over_seeds, work_of
from kdsearch.results.page.searches import Objective, Search
from kdsearch.results.page.style import INK, LINE, MARKERS, SOFT, color
from kdsearch.results.page.trial_figures import MOST_CURVES, drawn_ids
from kdsearch.results.page.words import label, time_unit
from kdsearch.results.pareto import pareto_front
from kdsearch.results.tables import write_aside


def write_pictures(searches: Sequence[Search], out: Path) -> list[Path]:
    """Draw the searches as SVG and PNG; the same searches give the same files.

    The panels: accuracy against the first size, and against the second one, or over epochs where
    there is none, against macs where no epochs were kept; the hypervolume over trials and over
    time.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(2, 2)
    sizes = list(searches[0].sizes)
    if all(search.epochs is None for search in searches):  # no curves: a size that all trials have
        sizes.append(("parameters" if sizes[0][0] == "macs" else "macs", "min", "log"))
    _front(panels[0, 0], searches, sizes[0])
    if len(sizes) > 1:
        _front(panels[0, 1], searches, sizes[1])
    else:
        _curves(panels[0, 1], searches)
    histories = histories_of(searches)
    column, said = work_of(searches)
    factor, unit = time_unit(max(float(history[column].to_numpy()[-1]) for history in histories))
    axes = (("trials", "trials", 1.0), (column, f"{said} ({unit})", factor))
    for panel, (name, title, by) in zip(panels[1], axes, strict=True):
        for i, history in enumerate(histories):
            x = [0, *(history[name] / by)]
            y = [0, *history["hypervolume"]]
            panel.step(x, y, where="post", color=color(i), linewidth=1.7)
        panel.set_ylim(bottom=0)
        _name(panel, title, "hypervolume (share of the box)")
    handles, words = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside upper left", ncols=min(2, len(words)), frameon=False)
    style: Any = {"svg.hashsalt": "kdsearch", "svg.fonttype": "path"}
    svg, png = out / "report.svg", out / "report.png"
    with matplotlib.rc_context(style):
        write_aside(svg, lambda part: figure.savefig(part, format="svg", metadata={"Date": None}))
        write_aside(png, lambda part: figure.savefig(part, format="png", dpi=150))
    return [svg, png]


def _front(panel: Any, searches: Sequence[Search], size: Objective) -> None:
    height, (name, _, scale) = searches[0].height, size
    crowded = sum(len(search.trials) for search in searches) > CROWD
    ink, points = (0.18, 7) if crowded else (0.45, 14)
    for i, search in enumerate(searches):
        for status in ("stopped", "complete"):
            rows = search.trials.loc[search.trials["status"] == status]
            whole = status == "complete"
            panel.scatter(
                rows[name], _floats(rows[height[0]], height[0]), s=(1 if whole else 0.7) * points,
                marker=MARKERS[i % len(MARKERS)], alpha=ink, zorder=2,
                facecolors=color(i) if whole else "none", edgecolors=color(i),
                linewidths=0 if whole else 0.7, rasterized=len(rows) > 2000,
            )  # fmt: skip
        line = pareto_front(search.front, [height, size], mix_data=True)
        panel.step(
            line[name], _floats(line[height[0]], height[0]), where="post", color=color(i),
            linewidth=1.6, zorder=3,
        )  # fmt: skip
        panel.plot(
            search.front[name], _floats(search.front[height[0]], height[0]), color=color(i),
            marker=MARKERS[i % len(MARKERS)], markersize=7, markeredgecolor="white",
            linestyle="none", zorder=4, label=_legend(search),
        )  # fmt: skip
        if len(again := over_seeds(search)):
            panel.errorbar(
                again[name], _floats(again["validation_mean"], height[0]), fmt="_", color=color(i),
                yerr=_floats(again["validation_interval"], height[0]), capsize=3, linewidth=1.2,
                zorder=5,
            )  # fmt: skip
        if height[0] == "validation_accuracy":
            for y in search.trials["teacher_validation_accuracy"].dropna().unique():
                panel.axhline(100 * y, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
                panel.annotate(
                    f"teacher {100 * y:.1f} %", (0.995, 100 * y), xytext=(0, 2), fontsize=8,
                    xycoords=("axes fraction", "data"), textcoords="offset points", color=INK,
                    ha="right",
                )  # fmt: skip
    drawn = [search.trials.loc[search.trials[height[0]].notna(), name] for search in searches]
    shown = [v for sizes in drawn for v in sizes.dropna() if v > 0]
    if scale == "log" and shown:
        panel.set_xscale("log")
        _whole_ticks(panel, min(shown), max(shown))
    _name(panel, label(name), label(height[0]))


def _curves(panel: Any, searches: Sequence[Search]) -> None:
    for i, search in enumerate(searches):
        if search.epochs is None:
            continue
        others = drawn_ids(search, MOST_CURVES // len(searches))
        for names, style in (
            (others, {"alpha": 0.16, "linewidth": 0.8}),
            (list(search.front["trial_id"]), {"linewidth": 1.6}),
        ):
            rows = search.epochs.loc[search.epochs["trial_id"].isin(names)]
            for _, curve in rows.groupby("trial_id"):
                panel.plot(
                    curve["epoch"], 100 * curve["validation_accuracy"], color=color(i), **style
                )
    panel.xaxis.get_major_locator().set_params(integer=True)
    _name(panel, "epoch", label("validation_accuracy"))


def _name(panel: Any, x: str, y: str) -> None:
    panel.set_xlabel(x, color=INK)
    panel.set_ylabel(y, color=INK)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(color=LINE, linewidth=0.6, zorder=0)
    panel.set_axisbelow(True)


def _whole_ticks(panel: Any, low: float, high: float) -> None:
    """Ticks in plain numbers, at 1, 2 and 5 of a decade where there are few decades."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    subs = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    panel.xaxis.set_major_locator(LogLocator(subs=subs))
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _legend(search: Search) -> str:
    """The search in the legend; a dollar would begin a formula."""
    name = search.name if len(search.name) <= 40 else f"{search.name[:39]}…"
    counts = search.trials["status"].value_counts()
    said = f"{counts.get('complete', 0)} complete, {counts.get('stopped', 0)} stopped (open)"
    return f"{name}: front of {len(search.front)}, {said}".replace("$", r"\$")


def _floats(values: Any, name: str) -> np.ndarray:
    return np.array(heights(values, name), dtype=float)
