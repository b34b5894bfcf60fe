"""Words as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], wrapped: bool = False) -> Table:
    """A table whose cells are to the right and whole; or `wrapped`: to the left, and folded."""
    made = Table(box=None, pad_edge=False)
    for i, name in enumerate(columns):
        justify, flows = "left" if wrapped else "right", wrapped and i > 0
        made.add_column(name, justify=justify, no_wrap=not flows, overflow="fold")
    for row in rows:
        made.add_row(*map(escape, row))
    return made


def grid(texts: Iterable[tuple[str, str]]) -> Table:
    """Labels, and the texts that they stand before."""
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True, style="bold")
    for label, text in texts:
        made.add_row(escape(label), escape(text))
    return made
