"""What `benchmarks/fuzz.py` damages of a search's folder: its log and its tables."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdsearch.own_code import permit_code
from kdsearch.results.front import read_front
from kdsearch.results.log import Event, History, fold, read_events
from kdsearch.results.page import page, write_report
from kdsearch.results.pareto import pareto_front
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.results.tables import epoch_table, stamp, trial_table, write_table
from kdsearch.search_config import recorded_config
from kdsearch.students import describe
from kdsearch.tune.launch import spec_of
from tests.hostile import log_bytes, mutated, torn
from tests.results.made import story

Try = Callable[[random.Random], object]
TINY = describe({"family": "mlp", "widths": [2]}, (1, 2, 2), 2)
SEARCH = {
    "search": "hostile",
    "data": {"name": "digits", "batch_size": 16},
    "teacher": {"architecture": {"family": "mlp", "widths": [4]}},
    "student": {"family": "mlp", "widths": {"each": 1, "int": [1, 4]}},
    "losses": [{"choice": ["none", {"method": "kd", "weight": 0.5}]}],
    "training": {"epochs": 2, "lr": {"float": [0.01, 0.1]}},
    "budget": {"trials": 6},
}


def events() -> list[dict[str, Any]]:
    """The log of a small search that could be run again."""
    plan = {
        "data": SEARCH["data"],
        "student": {"family": "mlp", "widths": [2]},
        "training": {"epochs": 2},
    }
    spec = {"plan": plan, "architecture": TINY.to_json(), "rungs": [2], "seed": 7}
    lines = []
    for event in story():
        if event["event"] == "search":
            event = {**event, "config": SEARCH, "base": "/nowhere"}
        if event["event"] == "trial":
            event = {**event, "spec": spec, "architecture": TINY.to_json()}
        text = json.dumps(event).replace("NaN", '"nan"').replace("Infinity", '"inf"')
        lines.append(json.loads(text))
    return lines


def _epochs(history: History) -> list[Event]:
    return [epoch for epochs in history.epochs.values() for epoch in epochs]


def log(room: Path) -> Try:
    room.mkdir()
    path, good = room / "log.jsonl", events()
    whole = log_bytes(good)

    def attempt(chance: random.Random) -> None:
        kind = chance.random()
        if kind < 0.3:
            path.write_bytes(torn(whole, chance))
        else:
            lines = list(good)
            for _ in range(chance.randint(1, 2)):
                at = chance.randrange(len(lines))
                lines[at] = mutated(lines[at], chance)
            if kind > 0.9:
                chance.shuffle(lines)
            path.write_bytes(log_bytes([line for line in lines if isinstance(line, dict)]))
        history = fold(read_events(path))
        trial_table(history.rows, history.header.get("columns", {}))
        epoch_table(_epochs(history))
        for trial in history.trials.values():
            spec_of(trial)
            permit_code(trial.get("spec"), "log", None)
        if history.header and kind > 0.7:
            recorded_config(history.header, path)

    return attempt


def front(room: Path) -> Try:
    return _folder(room, read_front)


def report(room: Path) -> Try:
    page.write_pictures = lambda *given: []  # a second each, of the same numbers
    return _folder(room, lambda folder: write_report([folder]))


def _folder(room: Path, read: Callable[[Path], object]) -> Try:
    """A search's folder whose log, or whose table, says something else."""
    room.mkdir()
    path, good = room / "log.jsonl", events()
    path.write_bytes(log_bytes(good))
    history = fold(read_events(path))
    whole = trial_table(history.rows, history.header["columns"])
    write_table(epoch_table(_epochs(history)), room / "epochs.parquet")

    def attempt(chance: random.Random) -> None:
        lines, table = list(good), whole
        if chance.random() < 0.6:
            at = 0 if chance.random() < 0.4 else chance.randrange(len(lines))
            lines[at] = mutated(lines[at], chance)
        else:
            table = _other_values(table, chance)
        path.write_bytes(log_bytes([line for line in lines if isinstance(line, dict)]))
        pq.write_table(table, room / "trials.parquet")
        read(room)

    return attempt


def _other_values(table: pa.Table, chance: random.Random) -> pa.Table:
    """A column of values of the same type that nobody would write."""
    at = chance.randrange(table.num_columns)
    kind = table.schema.field(at).type
    odd: list[Any] = ["", "x", "../x", "\x1b[2J", "<script>", "{", None, "complete"]
    if pa.types.is_integer(kind):
        odd = [0, -1, 2**62, -(2**63), None]
    elif pa.types.is_floating(kind):
        odd = [0.0, -1.0, 1e308, float("inf"), float("nan"), None]
    elif pa.types.is_timestamp(kind):
        odd = [0, -(2**60), 2**62, None]
    values = pa.array([chance.choice(odd) for _ in range(len(table))], kind)
    return table.set_column(at, table.column_names[at], values)


def tables(room: Path) -> Try:
    room.mkdir()
    (room / "log.jsonl").write_bytes(log_bytes(events()))
    history = fold(read_events(room / "log.jsonl"))
    kinds = [
        (trial_table(history.rows, history.header["columns"]), read_trials, "trials.parquet"),
        (epoch_table(_epochs(history)), read_epochs, "epochs.parquet"),
    ]
    odd = [pa.int32(), pa.string(), pa.binary(), pa.list_(pa.int64()), pa.bool_(), pa.null()]

    def attempt(chance: random.Random) -> None:
        table, read, name = kinds[chance.random() < 0.3]
        path = room / name
        if chance.random() < 0.2:
            table = _other_values(table, chance)
        elif chance.random() < 0.3:
            at = chance.randrange(table.num_columns)
            kind = chance.choice(odd)
            column = pa.nulls(len(table), kind)
            if chance.random() < 0.3:  # of the right type, and nothing in it
                column = pa.nulls(len(table), table.schema.field(at).type)
            field = chance.choice([table.column_names[at], "x", table.column_names[0]])
            table = stamp(table.set_column(at, field, column))
            if chance.random() < 0.2:
                table = table.replace_schema_metadata({b"kdsearch_schema": b"99999999999"})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression=chance.choice(["none", "snappy"]))
        content = sink.getvalue()
        path.write_bytes(content if chance.random() < 0.2 else torn(content, chance))
        frame = read(path)
        if name == "trials.parquet":
            pareto_front(frame)

    return attempt
