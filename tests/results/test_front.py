"""The front as files: dtypes kept, pictures the same for the same front."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kdsearch.errors import UserError
from kdsearch.results.front import read_front, write_front
from kdsearch.results.report import comparison_rows, front_rows
from kdsearch.results.store import ResultStore
from tests.results.made import end, epoch, header, story, trial


def searched(folder: Path, events: list[dict]) -> Path:
    with ResultStore.open(folder) as store:
        for event in events:
            store.append(event)
    return folder


def with_front(folder: Path, events: list[dict], html: bool = False) -> Path:
    trials, front, objectives = read_front(searched(folder, events))
    write_front(trials, front, objectives, folder, "made", html)
    return folder


def test_test_accuracy_is_null_where_it_was_not_read(tmp_path: Path) -> None:
    _, front, objectives = read_front(searched(tmp_path, story()))
    assert front["trial_id"].tolist() == ["00001", "00000"]
    assert front["test_accuracy"].isna().tolist() == [True, False]
    assert [o["name"] for o in objectives] == ["validation_accuracy", "parameters"]


def test_a_search_without_declared_objectives_has_accuracy_and_size(tmp_path: Path) -> None:
    _, front, objectives = read_front(searched(tmp_path, [header(config={}), *story()[1:]]))
    assert front["trial_id"].tolist() == ["00001", "00000"]
    assert [(o["direction"], o["scale"]) for o in objectives] == [("max", "linear"), ("min", "log")]


@pytest.mark.parametrize("events", [story(), story()[:1]], ids=["front", "no row yet"])
def test_front_parquet_has_the_dtypes_of_the_trials(tmp_path: Path, events: list[dict]) -> None:
    with_front(tmp_path, events)
    trials, front = (pq.read_schema(tmp_path / f"{n}.parquet") for n in ("trials", "front"))
    assert front.names == [*trials.names, "test_accuracy"]
    assert [front.field(n).type for n in trials.names] == trials.types
    assert front.metadata == trials.metadata
    assert str(front.field("test_accuracy").type) == "double"


def test_front_csv_says_the_same_as_front_parquet(tmp_path: Path) -> None:
    with_front(tmp_path, story())
    table = pd.read_csv(tmp_path / "front.csv", dtype={"trial_id": str})
    same = pd.read_parquet(tmp_path / "front.parquet")
    for name in ("trial_id", "parameters", "validation_accuracy", "test_accuracy"):
        pd.testing.assert_series_equal(table[name], same[name], check_dtype=False)


@pytest.mark.parametrize("events", [story(), story()[:1]], ids=["front", "no row yet"])
def test_the_picture_is_the_same_for_the_same_front(tmp_path: Path, events: list[dict]) -> None:
    first = (with_front(tmp_path / "a", events) / "front.svg").read_bytes()
    second = (with_front(tmp_path / "b", events) / "front.svg").read_bytes()
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_the_page_shows_every_trial_of_the_front(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    text = (with_front(tmp_path, story(), html=True) / "front.html").read_text()
    assert "trial 00000: complete" in text and "trial 00001: complete" in text


def test_nothing_is_left_beside_the_files(tmp_path: Path) -> None:
    assert not list(with_front(tmp_path, story()).glob(".*.part"))


def test_the_table_has_a_line_a_student_and_a_gap_for_what_was_not_read(tmp_path: Path) -> None:
    _, front, _ = read_front(searched(tmp_path, story()))
    columns, lines = front_rows(front)
    assert [dict(zip(columns, line, strict=True))["test"] for line in lines] == ["", "58.00 %"]
    assert all(len(line) == len(columns) for line in lines)


def test_distilled_and_alone_are_compared_over_their_seeds(tmp_path: Path) -> None:
    events = [header(), trial("00000"), epoch("00000", 1, 0.5), end("00000")]
    reached = {"finish": (0.80, 0.84), "baseline": (0.70, 0.72)}
    for purpose, accuracies in reached.items():
        for accuracy in accuracies:
            name = f"{len(events):05d}"
            events += [
                trial(name, purpose=purpose, parent_id="00000"),
                epoch(name, 1, accuracy),
                end(name),
            ]
    trials, front, _ = read_front(searched(tmp_path, events))
    assert front["trial_id"].tolist() == ["00000"]  # only the search's own rows
    (line,) = comparison_rows(trials, ["00000"])
    assert line == ["00000", "1,000", "2 and 2", "82.00 ± 2.83", "71.00 ± 1.41", "+11.00"]


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no search"):
        read_front(tmp_path)
