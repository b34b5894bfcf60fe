"""The front for the eye: a table, a picture, a page to hover over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
CELLS = {  # of the table: heading and format
    "size_bytes": ("bytes", ","),
    "latency_ms": ("ms", ".3g"),
    "peak_memory_mib": ("MiB", ".3g"),
    "validation_loss": ("loss", ".4f"),
}
COUNTS = ("seeds", "failed")
SHOWN_TIES = 2
NOISE = (
    "±: 95 % interval over seeds, on this test split; ~: a gain inside the noise; ?: of one seed "
    "or equal ones, noise unknown; tied: students that the seeds do not tell apart; kept as: id to "
    "export"
)
INK, ACCENT, FAINT = "#1f2933", "#0b7285", "#adb5bd"


def front_rows(
    front: pd.DataFrame, objectives: Sequence[Mapping[str, Any]] = ()
) -> tuple[list[str], list[list[str]]]:
    """The front as words: column names, and a line a student.

    Parameters
    ----------
    front : DataFrame
        As `read_front` gives it. Students that were trained again over seeds stand there with their
        mean over them and its 95 % interval; the others with their one run.
    objectives : sequence of mapping
        As declared; those that are not in percent are columns, `parameters` always is.
    """
    declared = [o["name"] for o in objectives if o["name"] != "validation_accuracy"]
    columns: dict[str, Callable[[Any], str]] = {"trial": lambda r: r["trial_id"]}
    for name in dict.fromkeys(["parameters", *declared]):
        heading, form = CELLS.get(name, (name, ","))
        columns[heading] = lambda r, name=name, form=form: _number(r[name], form)
    columns["validation"] = lambda r: _reached(r, "validation", r["validation_accuracy"])
    columns["test"] = lambda r: _reached(r, "test", r.get("test_accuracy"))
    if "finish_seeds" in front:
        columns |= {"gain": _gain, "tied": lambda r: _ids(r["tied_with"])}
    else:
        columns["teacher"] = lambda r: _percent(r["teacher_validation_accuracy"])
    return list(columns), [[cell(row) for cell in columns.values()] for _, row in front.iterrows()]


def noise(front: pd.DataFrame) -> str:
    """How to read the intervals of a table; nothing where there are none."""
    return NOISE if "finish_seeds" in front else ""


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


def comparison_rows(*students: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The same students with and without a teacher, over seeds, on test.

    Parameters
    ----------
    students : DataFrame
        As `read_front` and `read_near` give them.

    Returns
    -------
    list of str, list of list of str
        Column names, and a line for every student that was trained again.
    """
    names = ["trial", "seeds", "epochs", "distilled", "labels alone", "gain", "kept as"]
    frames = [frame for frame in students if "finish_seeds" in frame]
    rows: list[dict[str, Any]] = [row for frame in frames for row in frame.to_dict("records")]
    return names, [
        [
            row["trial_id"],
            " and ".join(_seeds(row, purpose) for purpose in ("finish", "baseline")),
            _number(row["finish_epochs"], ","),
            _reached(row, "test", None),
            _reached(row, "baseline_test", None),
            _gain(row),
            "" if _missing(row["kept_as"]) else row["kept_as"],
        ]
        for row in rows
        if any(row[f"{kind}_{what}"] for kind in ("finish", "baseline") for what in COUNTS)
    ]


def _searched(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.loc[(trials["purpose"] == "search") & trials["validation_accuracy"].notna()]


def _steps(front: pd.DataFrame, size: str) -> pd.DataFrame:
    """What of a front, which may have more objectives, is a front of these two."""
    return pareto_front(front, [("validation_accuracy", "max"), (size, "min")])


def _percent(value: Any) -> str:
    return "" if _missing(value) else f"{100 * value:.2f} %"


def _seeds(row: Any, purpose: str) -> str:
    """The seeds behind a mean, and those whose training failed or diverged."""
    failed = row[f"{purpose}_failed"]
    return f"{row[f'{purpose}_seeds']}" + (f" ({failed} failed)" if failed else "")


def _number(value: Any, form: str) -> str:
    return "" if _missing(value) else f"{value:{form}}"


def _reached(row: Any, name: str, once: Any) -> str:
    """The mean over seeds and its interval; without repeats, the one run's value."""
    mean, half = row.get(f"{name}_mean"), row.get(f"{name}_interval")
    if _missing(mean):
        return _percent(once)
    return _percent(mean) if _missing(half) else f"{100 * mean:.2f} ± {100 * half:.2f}"


def _gain(row: Any) -> str:
    """The difference in points; `~` where the noise may have made it, `?` where none is known."""
    gain, half = row["gain"], row["gain_interval"]
    if _missing(gain):
        return ""
    if _missing(half):
        return f"{100 * gain:+.2f} ?"
    return f"{100 * gain:+.2f} ± {100 * half:.2f}{' ~' if abs(gain) <= half else '  '}"


def _ids(tied: Any) -> str:
    ids = [] if _missing(tied) else str(tied).split()
    return " ".join(ids[:SHOWN_TIES]) + (f" +{n}" if (n := len(ids) - SHOWN_TIES) > 0 else "")


def _missing(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))
