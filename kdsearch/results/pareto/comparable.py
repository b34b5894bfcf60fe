"""What may stand on one front: rows of the same data, whose columns were measured alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kdsearch.errors import UserError
from kdsearch.results.records import TOLD_APART

if TYPE_CHECKING:
    import pandas as pd

FAULTS = {
    "data_id": "different data",
    "latency_device": "latencies of different devices or batch sizes",
    "memory_device": "peak memory of different devices or batch sizes",
    "size_bits": "sizes at different bits",
}


def marks(names: Iterable[str]) -> list[str]:
    """The columns in which comparable rows agree, where these are compared."""
    return ["data_id", *(TOLD_APART[name] for name in names if name in TOLD_APART)]


def refuse_mixed(tables: Sequence[pd.DataFrame], names: Iterable[str]) -> None:
    """Raise a `UserError` where rows cannot be compared by these columns.

    Rows that do not say, as those of an earlier kdsearch, are taken for like ones.
    """
    for mark in marks(names):
        found = sorted({said for table in tables for said in values_of(table, mark)})
        if len(found) > 1:
            fault = f"{', '.join(found)}: {FAULTS[mark]} on one front; take one, or mix_data=True"
            raise UserError(mark, fault)


def values_of(table: pd.DataFrame, mark: str) -> list[str]:
    """What the rows of a table say, each once; nothing where there is no such column."""
    found = table[mark].dropna().unique() if mark in table else ()
    return [f"{value:g}" if mark == "size_bits" else str(value) for value in found]
