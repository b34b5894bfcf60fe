"""``report.html``: figures, tables and Plotly's own script in one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.page import tables
from kdsearch.results.page.edit_section import edit_section
from kdsearch.results.page.front_figures import (
    MOST_POINTS,
    front_figure,
    histories_of,
    hypervolume_figures,
    over_seeds,
    thinned,
)
from kdsearch.results.page.importance import hole_importance
from kdsearch.results.page.parallel import parallel_figure
from kdsearch.results.page.picture import write_pictures
from kdsearch.results.page.searches import Search, mixtures, read_searches
from kdsearch.results.page.style import Figure
from kdsearch.results.page.trial_figures import curve_figure, importance_figures, rung_figure
from kdsearch.results.page.words import amount, label
from kdsearch.results.pareto import reference_box
from kdsearch.results.pareto.comparable import values_of
from kdsearch.results.report import NOISE
from kdsearch.results.tables import write_aside

HERE = Path(__file__).parent


def write_report(
    folders: Sequence[Path], out: Path | None = None, mix_data: bool = False
) -> list[Path]:
    """Write ``report.html``, ``report.svg`` and ``report.png`` of one search or several.

    Parameters
    ----------
    folders : sequence of path
        Of the searches; the first one's objectives are the axes.
    out : path, optional
        A folder, made if it is not there; the first search's by default.
    mix_data : bool
        Whether searches on different data may stand in one picture.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    UserError
        What `read_searches` refuses, plotly missing, or a folder that cannot be written.
    """
    searches = read_searches(folders, mix_data)
    out = Path(out or folders[0])
    page = page_text(searches)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(str(out), f"cannot be made: {error.strerror or error}") from None
    path = out / "report.html"
    write_aside(path, lambda part: part.write_text(page, encoding="utf-8"))
    return [path, *write_pictures(searches, out)]


def page_text(searches: Sequence[Search]) -> str:
    """The page, whole.

    Raises
    ------
    UserError
        Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError("report", 'needs plotly: pip install "kdsearch[report]"') from None
    figures, sections = _sections(searches)
    scripts = [get_plotlyjs(), (HERE / "page.js").read_text(encoding="utf-8")]
    # Only these two scripts may run, and nothing may be fetched, whatever a file's names say.
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    names = ", ".join(search.name for search in searches)
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:",
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        title=escape(names),
        about=_about(searches),
        sections=sections,
        figures=_script_json(figures),
        plotly=scripts[0],
        script=scripts[1],
    )


def _sections(searches: Sequence[Search]) -> tuple[dict[str, Figure], str]:
    figures: dict[str, Figure] = {}
    histories = histories_of(searches)
    importances = [hole_importance(search) for search in searches]
    height = label(searches[0].height[0]).partition(" (")[0]

    def chart(name: str, figure: Figure, heading: str = "", kind: str = "") -> str:
        figures[name] = figure
        top = f"<h3>{escape(heading)}</h3>" if heading else ""
        size = figure["layout"]["height"]
        return f'<div class="{kind}">{top}<div class="chart" id="{name}" style="height:{size}px">'\
            "</div></div>"  # fmt: skip

    fronts = [
        chart(f"front-{name}", front_figure(searches, size), f"against {label(name)}")
        for size in searches[0].sizes
        for name in size[:1]
    ]
    trials, work = hypervolume_figures(searches)
    bars = [
        chart(f"importance-{name}", figure, f"for {label(name).partition(' (')[0]}")
        for name, figure in importance_figures(searches, importances).items()
    ]
    curves = curve_figure(searches)
    runs = [chart("rungs", rung_figure(searches), "Trials that reached each rung")]
    runs += [chart("curves", curves, "Learning curves")] if curves else []
    finished = tables.finished_table(searches)
    parts = [
        _section("Searches", "", tables.search_table(searches, histories)),
        _section(height[0].upper() + height[1:], _front_note(searches), _grid(fronts)),
        _section("Students of the front", _table_note(searches), tables.front_table(searches)),
        *([_section("Test accuracy over seeds", _seeds_note(), finished)] if finished else []),
        _section(
            "Hypervolume",
            _box_note(searches),
            _grid([chart("hypervolume-trials", trials), chart("hypervolume-work", work)]),
        ),
        _section("What mattered", _importance_note(bool(bars)), _grid(bars, "grid narrow")),
    ]
    if edits := edit_section(searches, chart):
        parts.append(_section("Edits of the teacher", *edits))
    if found := parallel_figure(searches, importances):
        note = "A line a trial; hover over a line for the trial, click to copy its id."
        note += f" {found[1]} holes that fewer trials have are left out." if found[1] else ""
        body = '<div class="wide">' + chart("parallel", found[0], kind="parallel") + "</div>"
        parts.append(_section("Holes and objectives", note, body))
    parts.append(_section("How trials went", "", _grid(runs)))
    parts.append(
        _section(
            "Who proposed what",
            "Hypervolume gained: what the front grew by when the proposer's trials ended.",
            tables.proposer_table(searches, histories),
        )
    )
    return figures, "\n".join(parts)


def _section(heading: str, note: str, body: str) -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{said}{body}</section>"


def _grid(charts: Sequence[str], kind: str = "grid") -> str:
    return f'<div class="{kind}">{"".join(charts)}</div>'


def _front_note(searches: Sequence[Search]) -> str:
    said = "A point a trial, at its last epoch; open where it was stopped early. Large points are "
    said += "the front: no complete trial is better in all. The line joins those that are best in "
    said += "the two axes. Click a point to copy its trial id."
    if missing := sum(search.left_out for search in searches):
        said += f" Left out, for they lack an objective: {missing} complete trials."
    if lost := sum(len(search.unscaled) for search in searches):
        said += f" Not shown, for a log scale has no place for 0 and less: {lost} trials."
    if any(len(over_seeds(search)) for search in searches):
        said += " Bars: the mean over seeds and its 95 % interval."
    if thinned(searches):
        said += (
            f" Behind the front a sample of at most {MOST_POINTS:,} trials of each kind is drawn."
        )
    return said


def _table_note(searches: Sequence[Search]) -> str:
    said = "The knee lies farthest before the line between the ends of its front."
    tested = any(search.tests for search in searches)
    return said + (" Test accuracy is read once, at the end." if tested else "")


def _seeds_note() -> str:
    return f"Students trained again, with their teacher and on labels alone. {NOISE}."


def _box_note(searches: Sequence[Search]) -> str:
    tables = [search.trials for search in searches]
    box = reference_box(*tables, objectives=searches[0].objectives, mix_data=True)
    if box.isna().any(axis=None):
        return "No trial is complete yet: there is no volume."
    corner = ", ".join(
        f"{label(str(name)).partition(' (')[0]} {amount(str(name), _short(value))}"
        for name, value in zip(box.index, box["reference"].to_numpy(dtype=float), strict=True)
    )
    logs = [label(name).partition(" (")[0] for name, _, s in searches[0].objectives if s == "log"]
    said = "Share of the box between the best values and the reference point that the front "
    said += f"dominates. Reference point: {corner}: a tenth of the range beyond the worst complete "
    said += "trial of all searches here."
    return said + (f" Measured in the logarithm of {' and '.join(logs)}." if logs else "")


def _importance_note(any_bar: bool) -> str:
    if not any_bar:
        return "Too few trials, or no hole that all of them have, to say what mattered."
    return (
        "Share of the explained variance that is a hole's own: fANOVA by Optuna. For accuracy from "
        "complete trials, for sizes from all; holes that only some trials have are left out."
    )


def _about(searches: Sequence[Search]) -> str:
    first = min(search.trials["started_at"].min() for search in searches)
    said = f"Started {first:%Y-%m-%d %H:%M} UTC"
    if mixed := mixtures(searches):
        faults = " ".join(f"{fault}, asked for; they cannot be compared." for fault in mixed)
        return f'{escape(said)} · <strong class="warn">{escape(faults)}</strong>'
    data = sorted({d for search in searches for d in values_of(search.trials, "data_id")})
    return escape(" · ".join([said, *(f"data {d}" for d in data)]))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _script_json(value: Any) -> str:
    """JSON that cannot end the script it stands in."""
    text = json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    """Plain values, null in the place of numbers that no axis has."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
