"""What commands print: lines, tables, the front."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from kdsearch.tune.profile import Profile


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], wrapped: bool = False) -> Table:
    """A table whose cells are to the right and whole; or `wrapped`: to the left, and folded."""
    made = Table(box=None, pad_edge=False)
    for i, name in enumerate(columns):
        justify, flows = "left" if wrapped else "right", wrapped and i > 0
        made.add_column(name, justify=justify, no_wrap=not flows, overflow="fold")
    for row in rows:
        made.add_row(*(escape(shown(text)) for text in row))
    return made


def shown(text: str) -> str:
    """Text without what a terminal would obey: results may come from anyone."""
    return "".join(c if c.isprintable() or c == "\n" else f"{c!r}"[1:-1] for c in text)


def grid(texts: Iterable[tuple[str, str]]) -> Table:
    """Labels, and the texts that they stand before."""
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True, style="bold")
    for label, text in texts:
        made.add_row(escape(label), escape(text))
    return made


def say(console: Console, line: str) -> None:
    """One line as it is, however long."""
    console.print(shown(line), markup=False, highlight=False, soft_wrap=True)


def print_front(
    console: Console,
    results: str | os.PathLike[str],
    *,
    write: bool,
    html: bool = False,
    name: str | None = None,
) -> None:
    """Print the front of a search, with what its repeats say of it; and write its files.

    Parameters
    ----------
    results : path
        Its folder or its address.
    name : str, optional
        What it is called instead.
    """
    from kdsearch.results.remote import reading, shown

    with reading(results) as folder:
        _print_front(console, folder, name or shown(results), write, html)


def _print_front(console: Console, folder: Path, name: str, write: bool, html: bool) -> None:
    from kdsearch.results.front import read_front, read_near, write_front
    from kdsearch.results.report import comparison_rows, front_rows, noise

    trials, best, objectives = read_front(folder)
    near = read_near(folder, trials, best)
    statuses = list(trials[trials["purpose"] == "search"]["status"])
    said = ", ".join(f"{statuses.count(s)} {s}" for s in sorted(set(statuses)))
    say(console, f"front of {name}: {len(best)} students; trials: {said or 'none yet'}")
    console.print(table(*front_rows(best, objectives)))
    if len(near):
        say(console, f"near the front, and trained again too: {len(near)} students")
        console.print(table(*front_rows(near, objectives)))
    if lines := noise(best):
        say(console, "test accuracy over seeds, with the teacher and on labels alone")
        console.print(table(*comparison_rows(best, near)))
        say(console, lines)
    if write:  # last: a folder that cannot be written still shows its front
        write_front(trials, best, objectives, folder, folder.resolve().name, html)


def print_report(
    console: Console, results: Sequence[str | os.PathLike[str]], out: Path | None, mix_data: bool
) -> None:
    """Write the report of searches, and print its files."""
    from kdsearch.errors import UserError
    from kdsearch.results.page import write_report
    from kdsearch.results.remote import reading, shown

    names = [shown(one) for one in results]
    with ExitStack() as stack:
        for name in names:
            if "://" in name and names.count(name) > 1:
                raise UserError(name, "given twice; give each search once")
        folders = [stack.enter_context(reading(one)) for one in results]
        for path in write_report(folders, out, mix_data):
            place = str(path).replace(str(folders[0]), names[0])
            say(console, f"{place}: {path.stat().st_size / 1e6:.1f} MB")


def print_profile(console: Console, profile: Profile) -> None:
    """Print where the time of trials goes, and what a trial should take."""
    from kdsearch.tune.profile import PARTS

    rows: list[list[str]] = []
    for trial in profile.trials:
        parts = [f"{1000 * trial.parts[name]:.2f}" for name in PARTS]
        whole = [trial.step, trial.floor]
        said = [f"{trial.parameters:,}", trial.losses, *parts, *(f"{1000 * s:.2f}" for s in whole)]
        rows.append([*said, f"{trial.step / trial.floor:.2f}", f"{trial.evaluation:.3f}"])
    columns = ["parameters", "terms", *PARTS, "a step", "floor", "over floor", "evaluation, s"]
    say(console, "milliseconds a step; floor: the student alone, on tensors that are there")
    console.print(table(columns, rows))
    if profile.gap is not None:
        say(console, f"between two trials a worker waits {1000 * profile.gap:.1f} ms (median)")
    tried = ", ".join(f"{n}: {1000 * s:.2f} ms" for n, s in profile.threads.items())
    say(console, f"a step of the dearest student alone by CPU threads: {tried}")
    say(console, f"resources: {{cpu: {profile.cpus}}} trains most on all CPUs together")


def print_methods(console: Console, name: str | None) -> None:
    """Print the card of one loss; or a line for each, as a table where somebody looks at it."""
    from kdsearch.losses import card

    if name is not None:
        console.print(grid(card.card_texts(card.read_card(name))), highlight=False)
    elif console.is_terminal:
        rows = [card.card_row(each) for each in card.read_cards()]
        console.print(table(card.COLUMNS, rows, wrapped=True))
    else:
        for each in card.read_cards():
            say(console, card.card_line(each))
