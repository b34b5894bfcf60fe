"""Tables of the page: searches, front, proposers. Every word from a file is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from kdsearch.results.page.front_figures import work_of
from kdsearch.results.page.searches import Search
from kdsearch.results.page.style import color
from kdsearch.results.page.words import amount, architecture_words, label, loss_words, span
from kdsearch.results.pareto import knee_point
from kdsearch.results.report import comparison_rows

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 200  # of a front's table


def search_table(searches: Sequence[Search], histories: Sequence[pd.DataFrame]) -> str:
    """A row a search: what it tried, what it found and what that cost."""
    column, _ = work_of(searches)
    height = searches[0].height
    said = label(height[0]).partition(" (")[0]
    head = ["search", "trials", "complete", "stopped", "failed", "on the front", f"best {said}"]
    head += ["hypervolume", "GPU time" if column == "gpu_seconds" else "time of work"]
    rows = []
    for i, (search, history) in enumerate(zip(searches, histories, strict=True)):
        counts = Counter(search.trials["status"])
        complete = search.trials.loc[search.trials["status"] == "complete", height[0]]
        best = complete.max() if height[1] == "max" else complete.min()
        rows.append(
            [
                f"{_dot(i)}{escape(search.name)}",
                str(len(search.trials)),
                str(counts["complete"]),
                str(counts["stopped"]),
                str(counts["diverged"] + counts["failed"]),
                str(len(search.front)),
                amount(height[0], best),
                f"{history['hypervolume'].iloc[-1]:.3f}",
                span(history[column].iloc[-1]),
            ]
        )
    return _table(head, rows, words={0})


def front_table(searches: Sequence[Search]) -> str:
    """A row a student of a front; the knee of each front is marked."""
    axes = [searches[0].height, *searches[0].sizes]
    tested = any(search.tests for search in searches)
    several = len(searches) > 1
    head = ["trial", *(["search"] if several else [])]
    head += [label(name).replace(" (%)", "") for name, *_ in axes]
    head += [*(["test accuracy"] if tested else []), "architecture", "losses"]
    rows = []
    for i, search in enumerate(searches):
        if not len(search.front):
            continue
        knee = knee_point(search.trials, search.objectives, mix_data=True)["trial_id"]
        for row in search.front.head(MOST_ROWS).to_dict("records"):
            name = escape(row["trial_id"])
            mark = ' <span class="mark">knee</span>' if row["trial_id"] == knee else ""
            cells = [f'<button class="id" data-id="{name}" title="Copy">{name}</button>{mark}']
            cells += [f"{_dot(i)}{escape(search.name)}"] if several else []
            cells += [amount(axis, row[axis]) for axis, *_ in axes]
            if tested:
                cells.append(amount("test_accuracy", search.tests.get(row["trial_id"])))
            words = (architecture_words(row["architecture"]), loss_words(row, search))
            rows.append(cells + [escape(text) for text in words])
    if not rows:
        return "<p>No trial is complete yet: there is no front.</p>"
    first = 2 if several else 1
    return _table(head, rows, words={0, *range(1, first), len(head) - 2, len(head) - 1})


def finished_table(searches: Sequence[Search]) -> str:
    """A row a student that was trained again over seeds; nothing where none was."""
    names: list[str] = []
    rows = []
    for i, search in enumerate(searches):
        names, lines = comparison_rows(*search.finished)
        for trial_id, *cells in lines:
            place = [f"{_dot(i)}{escape(search.name)}"] if len(searches) > 1 else []
            rows.append([escape(trial_id), *place, *map(escape, cells)])
    names = [*names[:1], *(["search"] if len(searches) > 1 else []), *names[1:]]
    return _table(names, rows, words={0, len(names) - 1}) if rows else ""


def proposer_table(searches: Sequence[Search], histories: Sequence[pd.DataFrame]) -> str:
    """A row a proposer of a search: what it proposed, and the hypervolume that came of it."""
    head = ["search", "proposer", "trials", "complete", "on the front", "hypervolume gained"]
    rows = []
    for i, (search, history) in enumerate(zip(searches, histories, strict=True)):
        on = search.trials["trial_id"].isin(search.front["trial_id"]).to_numpy(dtype=bool)
        gains = history["gained"].to_numpy(dtype=float)
        whole = float(gains.sum())
        for name in sorted(search.trials["proposer"].unique()):
            mine = (search.trials["proposer"] == name).to_numpy(dtype=bool)
            complete = mine & (search.trials["status"] == "complete").to_numpy(dtype=bool)
            gained = float(gains[mine].sum())
            share = gained / whole if whole > 0 else 0.0
            rows.append(
                [
                    f"{_dot(i)}{escape(search.name)}",
                    escape(str(name)),
                    str(mine.sum()),
                    str(complete.sum()),
                    str((mine & on).sum()),
                    f'<span class="bar"><i style="width:{100 * share:.1f}%;'
                    f'background:{color(i)}"></i></span> {gained:.3f}',
                ]
            )
    return _table(head, rows, words={0, 1})


def _dot(number: int) -> str:
    return f'<i class="dot" style="background:{color(number)}"></i>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], words: set[int]) -> str:
    """Rows of cells that are HTML already; columns in `words` are set to the left."""
    kinds = ["" if i in words else ' class="n"' for i in range(len(head))]
    top = "".join(f"<th{k}>{escape(name)}</th>" for k, name in zip(kinds, head, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{k}>{c}</td>" for k, c in zip(kinds, cells, strict=True)) + "</tr>"
        for cells in rows
    ]
    body = "\n".join(lines)
    return f'<div class="wide"><table><tr>{top}</tr>\n{body}\n</table></div>'
