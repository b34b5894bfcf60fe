"""Any file from a stranger, damaged in any way, is read or refused in one line."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdsearch.errors import UserError
from kdsearch.results.history import fold
from kdsearch.results.log import read_events
from kdsearch.results.pareto import pareto_front
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.results.tables import epoch_table, stamp, trial_table
from kdsearch.student_folder import StudentCard, load_student, write_student
from kdsearch.student_folder.card import own_form
from kdsearch.students import build_student, describe
from kdsearch.teachers import weights_to_bytes
from tests.hostile import as_json, log_bytes, mutated, torn
from tests.results.made import story

NUMBERS = {"NaN": '"nan"', "-Infinity": '"-inf"', "Infinity": '"inf"'}
TINY = describe({"family": "mlp", "widths": [2]}, (1, 2, 2), 2)
CARD = StudentCard("s", "00001", TINY.to_json(), ("a", "b"), (0.5,), (0.5,), "digits", 0.5)
attempts = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
chances = st.randoms(use_true_random=False)


def spelt() -> list[dict]:
    """The events of a small search, as the log writes them."""
    text = json.dumps(story())
    for word, written in NUMBERS.items():
        text = text.replace(word, written)
    return json.loads(text)


def refused_or_read(read: Callable[[], object]) -> None:
    try:
        read()
    except UserError as error:
        assert len(str(error).splitlines()) == 1


@attempts
@given(chances)
def test_a_log(tmp_path: Path, chance: random.Random) -> None:
    events = spelt()
    at = chance.randrange(len(events))
    content = torn(log_bytes(events), chance)
    if chance.random() < 0.7:
        events[at] = mutated(events[at], chance)
        content = log_bytes([event for event in events if isinstance(event, dict)])
    (tmp_path / "log.jsonl").write_bytes(content)

    def read() -> None:
        history = fold(read_events(tmp_path / "log.jsonl"))
        trial_table(history.rows, history.header.get("columns", {}))
        epoch_table(epoch for epochs in history.epochs.values() for epoch in epochs)

    refused_or_read(read)


@attempts
@given(chances)
def test_a_table(tmp_path: Path, chance: random.Random) -> None:
    history = fold(spelt())
    epochs = [epoch for epochs in history.epochs.values() for epoch in epochs]
    which = chance.random() < 0.3
    columns = history.header["columns"]
    table = epoch_table(epochs) if which else trial_table(history.rows, columns)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    (tmp_path / "t.parquet").write_bytes(torn(sink.getvalue(), chance))
    if which:
        refused_or_read(lambda: read_epochs(tmp_path / "t.parquet"))
    else:
        refused_or_read(lambda: pareto_front(read_trials(tmp_path / "t.parquet")))


@attempts
@given(chances)
def test_a_student(tmp_path: Path, chance: random.Random) -> None:
    folder = tmp_path / "student"
    write_student(folder, weights_to_bytes(build_student(TINY, seed=0)), CARD)
    content = torn(own_form(CARD), chance)
    if chance.random() < 0.7:
        tree = json.loads(own_form(CARD))
        tree["architecture"] = json.loads(tree["architecture"])
        tree = mutated(tree, chance)
        if isinstance(tree, dict) and "architecture" in tree:
            tree["architecture"] = json.dumps(tree["architecture"])
        content = as_json(tree)
    (folder / "student.json").write_bytes(content)
    refused_or_read(lambda: load_student(folder))


def test_what_is_damaged_here_is_read_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(log_bytes(spelt()))
    history = fold(read_events(tmp_path / "log.jsonl"))
    assert len(history.rows) == 4
    pq.write_table(trial_table(history.rows, history.header["columns"]), tmp_path / "t.parquet")
    assert len(read_trials(tmp_path / "t.parquet")) == 4


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event": "search", "schema": 99, "config": 3}, "schema 99 is newer"),
        ({"event": "search", "columns": {"x": "object"}}, "columns.x"),
        (
            {"event": "search", "config": {"objectives": [{"name": "x", "direction": "min"}]}},
            "config",
        ),
        ({"event": "trial", "seed": 2**64}, "seed"),
        ({"event": "trial", "seconds": "1"}, "seconds"),
        ({"event": "trial", "trial_id": 7}, "trial_id"),
        ({"event": "epoch", "terms": {"kd": "much"}}, "terms.kd"),
        ({"event": "epoch", "stage": "\ud800"}, "not an event"),
        ({"event": "trial", "started_at": "yesterday"}, "started_at"),
    ],
)
def test_values_of_events_are_named(tmp_path: Path, event: dict, words: str) -> None:
    first = [] if event["event"] == "search" else spelt()[:1]
    (tmp_path / "log.jsonl").write_bytes(log_bytes([*first, event]))
    with pytest.raises(UserError, match=words) as caught:
        read_events(tmp_path / "log.jsonl")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.append_column("x", pa.array([b"x"] * len(t))), "'x' is binary"),
        (lambda t: t.append_column("seed", t["seed"]), "stands twice"),
        (lambda t: t.set_column(0, "search", pa.nulls(len(t), pa.string())), "has nulls"),
        (lambda t: t.drop_columns("seed").append_column("seed", t["search"]), "'seed' is string"),
        (lambda t: t.replace_schema_metadata({"kdsearch_schema": "9" * 5000}), "not written by"),
    ],
)
def test_columns_of_tables_are_named(tmp_path: Path, change: Callable, words: str) -> None:
    history = fold(spelt())
    table = change(trial_table(history.rows, history.header["columns"]))
    named = (table.schema.metadata or {}).get(b"kdsearch_schema", b"")
    pq.write_table(table if len(named) > 9 else stamp(table), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=words):
        read_trials(tmp_path / "t.parquet")
