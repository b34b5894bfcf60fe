"""The front as files: dtypes kept, pictures the same for the same front."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kdsearch.errors import UserError
from kdsearch.results.finished import FINISH_COLUMNS
from kdsearch.results.front import read_front, write_front
from kdsearch.results.report import comparison_rows, front_rows
from kdsearch.results.store import ResultStore
from tests.results.made import finished, header, story


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


def test_columns_of_the_table_follow_the_objectives(tmp_path: Path) -> None:
    _, front, _ = read_front(searched(tmp_path, story()))
    front = front.assign(latency_ms=[0.12345, float("nan")], validation_loss=0.5)
    asked = ["latency_ms", "validation_accuracy", "size_bytes", "parameters", "validation_loss"]
    columns, lines = front_rows(front, [{"name": name} for name in asked])
    assert columns[:5] == ["trial", "parameters", "ms", "bytes", "loss"]
    assert lines[0][:5] == ["00001", "500", "0.123", "4,000", "0.5000"] and lines[1][2] == ""
    assert "macs" in front_rows(front, [{"name": "macs"}])[0]


def test_what_repeats_say_is_written_with_the_front(tmp_path: Path) -> None:
    with_front(tmp_path, finished({"00000": ([0.8, 0.9], [0.7, 0.7])}))
    schema = pq.read_schema(tmp_path / "front.parquet")
    kinds = {"double": "float64", "string": "string", "int64": "int64"}
    assert {n: kinds[str(schema.field(n).type)] for n in FINISH_COLUMNS} == FINISH_COLUMNS
    assert pd.read_csv(tmp_path / "front.csv")["test_mean"].tolist() == [pytest.approx(0.85)]


def test_the_table_shows_intervals_and_marks_what_noise_may_have_made(tmp_path: Path) -> None:
    students = {
        "00000": ([0.80, 0.84], [0.70, 0.70]),
        "00001": ([0.81, 0.85, 0.86], [0.60, 0.61, 0.59]),
        "00002": ([0.99], [0.98]),
    }
    _, front, objectives = read_front(searched(tmp_path, finished(students)))
    columns, lines = front_rows(front, objectives)
    assert columns == ["trial", "parameters", "validation", "test", "gain", "tied"]
    cells = [dict(zip(columns, line, strict=True)) for line in lines]
    assert [c["test"] for c in cells] == ["82.00 ± 25.41", "84.00 ± 6.57", "99.00 %"]
    assert [c["gain"].strip() for c in cells] == ["+12.00 ± 25.41 ~", "+24.00 ± 7.45", "+1.00 ?"]
    assert [c["tied"] for c in cells] == ["00001", "00000", ""]
    names, compared = comparison_rows(front)
    assert [dict(zip(names, line, strict=True))["labels alone"] for line in compared] == [
        "70.00 %",
        "60.00 ± 2.48",
        "98.00 %",
    ]


def test_the_table_of_many_objectives_fits_a_hundred_columns(tmp_path: Path) -> None:
    students = {f"{i:05d}": ([0.8, 0.84, 0.85], [0.7, 0.72, 0.71]) for i in range(5)}
    _, front, _ = read_front(searched(tmp_path, finished(students)))
    front = front.assign(parameters=12_345_678, latency_ms=0.123, peak_memory_mib=12.3)
    names = ["parameters", "size_bytes", "latency_ms", "peak_memory_mib"]
    columns, lines = front_rows(front, [{"name": name} for name in names])
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    assert sum(widths) + 2 * (len(widths) - 1) <= 100


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no search"):
        read_front(tmp_path)
