"""The front for the eye: a table, a picture, a page to hover over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.results.pareto import pareto_front
from kdsearch.results.tables import write_aside

if TYPE_CHECKING:
    import pandas as pd

LABELS = {
    "validation_accuracy": "validation accuracy (%)",
    "test_accuracy": "test accuracy (%)",
    "parameters": "parameters",
    "macs": "multiply-accumulates",
    "size_bytes": "size (bytes)",
    "validation_loss": "validation loss (nats)",
    "latency_ms": "latency (ms)",
    "peak_memory_mib": "peak memory of a forward (MiB)",
}
INK, ACCENT, FAINT = "#1f2933", "#0b7285", "#adb5bd"


def front_rows(front: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The front as words: column names, and a line a student."""
    columns = {
        "trial": lambda r: r["trial_id"],
        "parameters": lambda r: f"{r['parameters']:,}",
        "macs": lambda r: f"{r['macs']:,}",
        "validation": lambda r: _percent(r["validation_accuracy"]),
        "test": lambda r: _percent(r.get("test_accuracy")),
        "teacher": lambda r: _percent(r["teacher_validation_accuracy"]),
    }
    return list(columns), [[cell(row) for cell in columns.values()] for _, row in front.iterrows()]


def write_front_svg(
    trials: pd.DataFrame,
    front: pd.DataFrame,
    path: Path,
    title: str,
    size: str = "parameters",
    log: bool = True,
) -> None:
    """Draw validation accuracy against a size: all trials faint, the front as a line.

    Parameters
    ----------
    size : str
        Column of the horizontal axis.
    log : bool
        Whether that axis is logarithmic.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.3), layout="constrained")
    FigureCanvasSVG(figure)
    axes: Any = figure.subplots()
    searched = _searched(trials)
    for status, color, label in (("stopped", FAINT, "stopped"), ("complete", INK, "complete")):
        rows = searched[searched["status"] == status]
        alpha = 0.45 if status == "complete" else 0.6
        axes.scatter(
            rows[size], 100 * rows["validation_accuracy"], s=13, color=color, alpha=alpha,
            linewidths=0, label=f"{label} ({len(rows)})",
        )  # fmt: skip
    steps = _steps(front, size)
    axes.step(
        steps[size], 100 * steps["validation_accuracy"], where="post", color=ACCENT, linewidth=1.6
    )
    axes.plot(
        front[size], 100 * front["validation_accuracy"], color=ACCENT, marker="o", markersize=5,
        linestyle="none", label=f"front ({len(front)})",
    )  # fmt: skip
    for accuracy in sorted(searched["teacher_validation_accuracy"].dropna().unique()):
        axes.axhline(100 * accuracy, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(
            f"teacher {100 * accuracy:.1f} %", (0.995, 100 * accuracy), xytext=(0, 2),
            textcoords="offset points", xycoords=("axes fraction", "data"), ha="right",
            va="bottom", fontsize=8, color=INK,
        )  # fmt: skip
    if log and len(searched):  # an empty axis has no logarithm
        axes.set_xscale("log")
    axes.set_xlabel(LABELS.get(size, size))
    axes.set_ylabel(LABELS["validation_accuracy"])
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    style: Any = {"svg.hashsalt": "kdsearch", "svg.fonttype": "path"}
    with matplotlib.rc_context(style):  # the same front gives the same file
        write_aside(path, lambda part: figure.savefig(part, format="svg", metadata={"Date": None}))


def write_front_html(
    trials: pd.DataFrame,
    front: pd.DataFrame,
    path: Path,
    title: str,
    size: str = "parameters",
    log: bool = True,
) -> bool:
    """A page with the front to hover over; False where the `report` extra is not installed."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        return False
    searched = _searched(trials)
    figure = go.Figure(layout={"title": title, "template": "simple_white"})
    for rows, name, mode in ((searched, "trials", "markers"), (front, "front", "lines+markers")):
        figure.add_scatter(
            x=rows[size],
            y=rows["validation_accuracy"],
            name=name,
            mode=mode,
            text=[f"trial {i}: {s}" for i, s in zip(rows["trial_id"], rows["status"], strict=True)],
            line_shape="hv",
        )
    figure.update_xaxes(type="log" if log else "linear", title=LABELS.get(size, size))
    figure.update_yaxes(title="validation accuracy", tickformat=".1%")
    write_aside(path, lambda part: figure.write_html(part, include_plotlyjs=True))
    return True


def comparison_rows(trials: pd.DataFrame, names: Sequence[str]) -> list[list[str]]:
    """The same students with and without a teacher, over seeds: mean and standard deviation.

    Parameters
    ----------
    trials : DataFrame
        With rows of purpose ``finish`` and ``baseline``, whose parent is a trial of the front.
    names : sequence of str
        Trial ids of the front, in the order wanted.

    Returns
    -------
    list of list of str
        Trial, parameters, seeds, distilled, labels alone, difference in points.
    """
    lines = []
    for trial_id in names:
        taught, alone = (
            trials.loc[(trials["parent_id"] == trial_id) & (trials["purpose"] == purpose)]
            for purpose in ("finish", "baseline")
        )
        if len(taught) and len(alone):
            gain = taught["validation_accuracy"].mean() - alone["validation_accuracy"].mean()
            lines.append(
                [
                    trial_id,
                    f"{taught['parameters'].iloc[0]:,}",
                    f"{len(taught)} and {len(alone)}",
                    _spread(taught["validation_accuracy"]),
                    _spread(alone["validation_accuracy"]),
                    f"{100 * gain:+.2f}",
                ]
            )
    return lines


def _searched(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.loc[(trials["purpose"] == "search") & trials["validation_accuracy"].notna()]


def _steps(front: pd.DataFrame, size: str) -> pd.DataFrame:
    """What of a front, which may have more objectives, is a front of these two."""
    return pareto_front(front, [("validation_accuracy", "max"), (size, "min")])


def _percent(value: Any) -> str:
    return "" if value is None or value != value else f"{100 * value:.2f} %"


def _spread(values: pd.Series) -> str:
    deviation = values.std(ddof=1) if len(values) > 1 else float("nan")
    return f"{100 * values.mean():.2f} ± {100 * deviation:.2f}"
