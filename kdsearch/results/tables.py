"""Parquet tables with fixed columns, whole at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdsearch.errors import UserError
from kdsearch.results.records import SCHEMA_VERSION, TrialRow
from kdsearch.whole import write_file

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_KEY = b"kdsearch_schema"
S, I, F = pa.string(), pa.int64(), pa.float64()  # noqa: E741 - three dtypes, used in one table
DTYPES = {"string": S, "int64": I, "float64": F}

TRIAL_COLUMNS: dict[str, pa.DataType] = {
    "search": S, "trial_id": S, "proposer": S, "parent_id": S, "purpose": S, "status": S,
    "seed": I, "architecture": S, "architecture_key": S, "epochs": I, "validation_accuracy": F,
    "best_validation_accuracy": F, "validation_loss": F, "teacher_id": S,
    "teacher_validation_accuracy": F, "data_id": S, "parameters": I, "macs": I, "size_bytes": I,
    "size_bits": I, "latency_ms": F, "latency_device": S, "peak_memory_mib": F, "memory_device": S,
    "seconds": F, "gpu_seconds": F, "started_at": pa.timestamp("us", tz="UTC"), "error": S,
}  # fmt: skip
# Columns that tables of an earlier kdsearch lack: null there.
LATER = {"validation_loss": F, "size_bits": I, "memory_device": S}
# Columns that say of every row what it is.
SURE = (
    "search", "trial_id", "proposer", "purpose", "status", "seed", "architecture", "data_id",
    "epochs", "parameters", "macs", "size_bytes", "seconds", "gpu_seconds", "started_at", "epoch",
)  # fmt: skip
MOST_ROWS = 10_000_000  # a few bytes can claim billions
EPOCH_COLUMNS: dict[str, pa.DataType] = {
    "trial_id": S, "epoch": I, "train_loss": F, "validation_accuracy": F, "validation_loss": F,
    "lr": F, "seconds": F,
}  # fmt: skip


def trial_table(
    rows: Sequence[TrialRow], holes: Mapping[str, str], measures: Iterable[str] = ()
) -> pa.Table:
    """Rows as a table: the fixed columns, then one a hole, null where the choice went elsewhere.

    `measures` that the search asks for, and those that a row has, are columns of their own names.
    """
    columns = {}
    for name, kind in TRIAL_COLUMNS.items():
        columns[name] = _column(name, [getattr(row, name) for row in rows], kind)
    for name, dtype in holes.items():
        columns[name] = _column(name, [row.holes.get(name) for row in rows], DTYPES[dtype])
    for name in dict.fromkeys([*measures, *(name for row in rows for name in row.measures)]):
        columns[name] = pa.array([row.measures.get(name) for row in rows], F)
    return stamp(pa.table(columns))


def epoch_table(epochs: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Epoch events as a table.

    Every loss term is a column ``<term>_loss``, a weight that was found ``<term>_weight``, and a
    measure a column of its own name.
    """
    events = list(epochs)
    columns = {
        name: _column(name, [event[name] for event in events], kind)
        for name, kind in EPOCH_COLUMNS.items()
    }
    columns["stage"] = pa.array([event.get("stage") for event in events], S)
    for kind, suffix in (("terms", "_loss"), ("weights", "_weight"), ("measures", "")):
        rows = [event.get(kind, {}) for event in events]
        for name in dict.fromkeys(name for row in rows for name in row):
            columns[f"{name}{suffix}"] = _column(name, [row.get(name) for row in rows], F)
    return stamp(pa.table(columns))


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of `trial_table`, or of `epoch_table`, as the one that all their rows would make.

    Nothing is copied. Columns that a table lacks are null in its rows.
    """
    try:
        table = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        fault = f"damaged: {' '.join(str(error).split()):.200}; restore the log"
        raise UserError("columns", fault) from None
    if "train_loss" in table.column_names:  # of epochs: terms, then weights, then measures
        table = table.select(sorted(table.column_names, key=_kind))
    return stamp(table)


def _kind(column: str) -> int:
    """The place of a column of epochs among the kinds; within a kind they stay in order."""
    if column in EPOCH_COLUMNS or column == "stage":
        return 0
    ends = [column.endswith(suffix) for suffix in ("_loss", "_weight", "")]
    return 1 + ends.index(True)


def frame_table(
    frame: pd.DataFrame, like: Path, dtypes: Mapping[str, str] | None = None
) -> pa.Table:
    """A DataFrame with the dtypes of a Parquet file of ours; columns it lacks, of `dtypes`.

    Left to itself pandas would make int64 columns with a null float64, and empty ones untyped.
    """
    schema = pq.read_schema(like)
    for name in frame.columns.difference(schema.names, sort=False):
        schema = schema.append(pa.field(name, DTYPES[(dtypes or {}).get(name, "float64")]))
    return stamp(pa.Table.from_pandas(frame, schema, preserve_index=False))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file aside, then rename it: readers see the old one or the new one.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    write_aside(path, lambda part: pq.write_table(table, part))


def write_aside(path: Path, write: Callable[[Path], Any]) -> None:
    """A file that `write` makes, put in place once it is whole and on the disk.

    Raises
    ------
    UserError
        A disk that cannot be written; what stood at `path` still stands.
    """
    try:
        write_file(path, write)
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; make room, or leave to write, there"
        raise UserError(str(path), fault) from None


def read_table(path: Path, needed: Iterable[str]) -> pd.DataFrame:
    """A table of ours as a DataFrame; needed columns of `LATER` that it lacks are null.

    Raises
    ------
    UserError
        No such file, no Parquet, not written by kdsearch, or by a later version of it.
    """
    try:
        # One opening: `pq.read_table`, and with it `pandas.read_parquet` of a path, opens the file
        # twice, and between the two a search that runs may have renamed a newer one into its place.
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise UserError(str(path), f"more than {MOST_ROWS:,} rows; not a table of kdsearch")
            table = file.read()
        table.validate(full=True)
    except FileNotFoundError:
        raise UserError(str(path), "no such file; is this the folder of a search?") from None
    except UserError:
        raise
    except (OSError, ValueError, pa.ArrowException, OverflowError, MemoryError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(str(path), f"not a Parquet file that can be read: {line}") from None
    version = (table.schema.metadata or {}).get(SCHEMA_KEY)
    if version is None or not version.isdigit() or len(version) > 9:
        raise UserError(str(path), "not written by kdsearch")
    if int(version) > SCHEMA_VERSION:
        fault = f"schema {int(version)} is newer than {SCHEMA_VERSION}, which this kdsearch knows"
        raise UserError(str(path), f"{fault}; update kdsearch")
    _check_columns(path, table)
    missing = [name for name in needed if name not in table.column_names]
    if strange := [name for name in missing if name not in LATER]:
        raise UserError(str(path), f"the column {strange[0]} is missing: not a table of kdsearch")
    for name in missing:
        table = table.append_column(name, pa.nulls(len(table), LATER[name]))
    try:
        return table.to_pandas(ignore_metadata=True)
    except (ValueError, pa.ArrowException, OverflowError, MemoryError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(str(path), f"damaged: {line}; run the search again") from None


def _check_columns(path: Path, table: pa.Table) -> None:
    """Refuse columns of other types than ours, and nulls where a row says what it is."""
    known = {**EPOCH_COLUMNS, **TRIAL_COLUMNS}
    for name in table.column_names:
        if table.column_names.count(name) > 1:
            raise UserError(str(path), f"the column {name!r:.80} stands twice")
        kind = table.schema.field(name).type
        if kind not in ((known[name],) if name in known else (S, I, F)):
            raise UserError(str(path), f"the column {name!r:.80} is {kind!s:.80}: not one of ours")
        if pa.types.is_timestamp(kind) and not _on_calendar(table[name]):
            raise UserError(str(path), f"the column {name} has moments that no calendar has")
        if name in SURE and table[name].null_count:
            raise UserError(str(path), f"the column {name} has nulls: not a table of kdsearch")


def _on_calendar(moments: pa.ChunkedArray) -> bool:
    """Whether Python has dates for them: of the years 1970 to 9999."""
    found = [m for m in moments.cast(I).to_pylist() if m is not None]
    return all(0 <= moment < 253_402_300_800_000_000 for moment in found)


def stamp(table: pa.Table) -> pa.Table:
    """The table with our schema version in it."""
    return table.replace_schema_metadata({SCHEMA_KEY: str(SCHEMA_VERSION).encode()})


def _column(name: str, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        if pa.types.is_timestamp(kind):
            values = [datetime.fromisoformat(text) for text in values]
        return pa.array([_typed(value, str(kind)) for value in values], kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        fault = f"damaged: {' '.join(str(error).split()):.200}; restore the log"
        raise UserError(f"column {name}", fault) from None


def _typed(value: Any, dtype: str) -> Any:
    if value is None:
        return None
    if dtype == "double":
        return float(value)  # the log spells nan and inf as words
    if dtype == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value
