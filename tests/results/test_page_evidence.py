"""The report: what cannot be compared, what has no place on a scale, what seeds say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kdsearch.errors import UserError
from kdsearch.results.page import write_report
from kdsearch.results.page.page import page_text
from kdsearch.results.page.searches import read_searches
from tests.results.made import finished
from tests.results.pages import figures_in, search, written

go = pytest.importorskip("plotly.graph_objects")
ACCURACY = {"name": "validation_accuracy", "direction": "max"}
SIZES = [
    ACCURACY,
    {"name": "parameters", "direction": "min", "scale": "log"},
    {"name": "macs", "direction": "min", "scale": "log"},
]


def page_of(*folders: Path, mix_data: bool = False) -> str:
    return page_text(read_searches(folders, mix_data))


def drawn_ids(page: str, name: str = "front-parameters") -> set[str]:
    return {i for trace in figures_in(page)[name]["data"] for i in trace.get("customdata", ())}


@pytest.mark.parametrize("name", ["macs", "validation_accuracy", "parameters"])
@pytest.mark.parametrize("value", [0, -1])
def test_what_a_log_scale_has_no_place_for_is_counted_and_the_rest_is_drawn(
    tmp_path: Path, name: str, value: int
) -> None:
    objectives = [{**o, "scale": "log"} for o in SIZES]
    folder = search(tmp_path / "made", header={"config": {"objectives": objectives}})
    path = folder / "trials.parquet"
    table = pq.read_table(path)
    rows = table.to_pandas()
    rows.loc[[0, 2], name] = value  # a complete and a stopped one
    pq.write_table(type(table).from_pandas(rows, table.schema, preserve_index=False), path)
    paths = write_report([folder])
    page = paths[0].read_text()
    assert "no place for 0 and less: 2 trials" in page and "lack an objective" not in page
    front = set(read_searches([folder])[0].front["trial_id"])
    assert front and front <= drawn_ids(page) and "00000" not in front
    assert "log scale has no place" not in page_of(search(tmp_path / "well"))


def test_students_that_were_trained_again_have_a_table_and_bars(tmp_path: Path) -> None:
    students = {"00000": ((0.8, 0.82, 0.84), (0.7, 0.71, 0.72)), "00001": ((0.9,), (0.9,))}
    folder = written(tmp_path / "made", finished(students))
    paths = write_report([folder])
    page = paths[0].read_text()
    assert "Test accuracy over seeds" in page and "labels alone" in page and "+11.00 ±" in page
    (bars,) = [t for t in figures_in(page)["front-parameters"]["data"] if "error_y" in t]
    assert bars["customdata"] == ["00000"]  # of one seed there is no interval
    assert bars["y"] == [pytest.approx(72.0)] and bars["error_y"]["array"][0] > 0
    go.Figure(figures_in(page)["front-parameters"])
    plain = written(tmp_path / "plain", [e for e in finished({"00000": ((), ())})][:-1])
    assert "Test accuracy over seeds" not in page_of(plain)
    both = page_of(folder, plain)
    assert "Test accuracy over seeds" in both


@pytest.mark.parametrize(
    ("name", "mark", "unlike", "fault"),
    [
        ("latency_ms", "latency_device", ("cpu: A, batch 1", "cuda: B, batch 8"), "latencies of"),
        ("peak_memory_mib", "memory_device", ("cpu, batch 1", "cpu, batch 2"), "peak memory of"),
        ("size_bytes", "size_bits", (32, 8), "sizes at different bits: 32 in a; 8 in b"),
    ],
)
def test_what_was_measured_differently_is_refused_where_it_is_an_axis(
    tmp_path: Path, name: str, mark: str, unlike: tuple[Any, Any], fault: str
) -> None:
    config = {
        "objectives": [
            {"name": "validation_accuracy", "direction": "max"},
            {"name": name, "direction": "min", "scale": "log"},
        ]
    }
    for folder, header_of in (("axis", {"config": config}), ("none", {})):
        a, b = (
            search(tmp_path / folder / n, header=header_of, **{name: 4, mark: value})
            for n, value in zip("ab", unlike, strict=True)
        )
        if header_of:
            with pytest.raises(UserError, match=f"{fault}.*--mix-data"):
                page_of(a, b)
            assert fault in page_of(a, b, mix_data=True)
            page_of(a)
        else:  # no axis: nobody compares it
            page_of(a, b)


def test_a_table_that_does_not_say_its_bits_is_told_apart_by_its_log(tmp_path: Path) -> None:
    sizes = [{"name": "validation_accuracy", "direction": "max"}]
    folders = []
    for name, bits in (("a", 8), ("b", 32)):
        size = {"name": "size_bytes", "direction": "min", "bits": bits}
        folder = search(tmp_path / name, header={"config": {"objectives": [*sizes, size]}})
        path = folder / "trials.parquet"
        pq.write_table(pq.read_table(path).drop_columns(["size_bits", "memory_device"]), path)
        folders.append(folder)
    with pytest.raises(UserError, match="sizes at different bits: 32 in b; 8 in a"):
        page_of(*folders)
