"""The report: every trial drawn, nothing of a file run, bad input in one line."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kdsearch.errors import UserError
from kdsearch.results.page import write_report
from kdsearch.results.page.front_figures import front_figure
from kdsearch.results.page.importance import hole_importance
from kdsearch.results.page.page import page_text
from kdsearch.results.page.searches import read_searches
from kdsearch.results.page.trial_figures import rung_figure
from kdsearch.results.page.words import architecture_words, loss_words
from tests.results.made import end, epoch, header, story, trial
from tests.results.pages import NETWORK, figures_in, search, written

go = pytest.importorskip("plotly.graph_objects")
TWO_SIZES = {
    "objectives": [
        {"name": "validation_accuracy", "direction": "max"},
        {"name": "parameters", "direction": "min", "scale": "log"},
        {"name": "macs", "direction": "min", "scale": "log"},
    ]
}


def page_of(*folders: Path, mix_data: bool = False) -> str:
    return page_text(read_searches(folders, mix_data))


def drawn_ids(page: str, name: str = "front-parameters") -> set[str]:
    return {i for trace in figures_in(page)[name]["data"] for i in trace.get("customdata", ())}


def test_it_is_one_page_and_two_pictures(tmp_path: Path) -> None:
    paths = write_report([search(tmp_path / "made")], tmp_path / "out")
    assert [path.name for path in paths] == ["report.html", "report.svg", "report.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in paths
    )
    assert ElementTree.parse(paths[1]).getroot().tag.endswith("svg")
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_the_same_search_gives_the_same_files(tmp_path: Path) -> None:
    folder = search(tmp_path / "made")
    first, second = (write_report([folder], tmp_path / name) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_every_figure_is_one_that_plotly_knows(tmp_path: Path) -> None:
    folders = [search(tmp_path / name, header={"config": TWO_SIZES}) for name in "ab"]
    figures = figures_in(page_of(*folders))
    names = {"front-parameters", "front-macs", "hypervolume-trials", "hypervolume-work", "rungs"}
    names |= {"curves", "parallel", *(f"importance-{n}" for n in ("parameters", "macs"))}
    assert names <= set(figures)
    for figure in figures.values():
        go.Figure(figure)  # refuses a word that is not Plotly's


def test_every_trial_with_an_accuracy_is_drawn_and_says_what_it_is(tmp_path: Path) -> None:
    folder = search(tmp_path / "made")
    assert drawn_ids(page_of(folder)) == set(read_searches([folder])[0].trials["trial_id"])
    (one,) = read_searches([folder])
    texts = [
        t for trace in front_figure([one], one.sizes[0])["data"] for t in trace.get("text", ())
    ]
    assert all("resnet 2x8" in text and "training.lr" in text for text in texts)
    assert sum("at (weight 30)" in text for text in texts) == 8
    assert sum("stopped after 1 epochs" in text for text in texts) == 5


def test_words_of_networks_and_losses(tmp_path: Path) -> None:
    assert architecture_words(NETWORK) == "resnet 2x8"
    chain = '{"family":"mlp","stages":[{"blocks":[{"width":8},{"width":4}]}]}'
    assert architecture_words(chain) == "mlp 8-4"
    assert architecture_words('{"family":"torchvision","options":[["model","r18"]]}')
    assert architecture_words("no JSON") == "no JSON"
    (one,) = read_searches([search(tmp_path / "made")])
    assert loss_words({"losses[1]": "none"}, one) == "labels alone"
    assert loss_words({"losses[1]": "at", "losses[1].at.weight": 2.5}, one) == "at (weight 2.5)"


def test_rungs_count_those_that_came_so_far(tmp_path: Path) -> None:
    config = {"scheduler": {"name": "asha", "grace": 1, "reduction": 2}}
    folder = search(tmp_path / "made", 9, header={"config": config})
    (bars,) = rung_figure(read_searches([folder]))["data"]
    assert dict(zip(bars["x"], bars["y"], strict=True)) == {"epoch 1": 9, "epoch 2": 6, "end": 6}


def test_the_hole_that_decides_is_the_important_one(tmp_path: Path) -> None:
    (one,) = read_searches([search(tmp_path / "made", 60)])
    shares = hole_importance(one)["validation_accuracy"]
    assert shares.idxmax() == "training.lr" and shares.max() > 0.8
    assert shares.sum() == pytest.approx(1)
    few = read_searches([search(tmp_path / "few", 6)])[0]
    assert hole_importance(few).empty


# What a file says is text, whatever it looks like


def test_words_of_files_are_escaped(tmp_path: Path) -> None:
    evil = "</script><script>document.title='ran'</script><img src=x onerror=alert(1)>"
    named = tmp_path / "<script>x<b>"
    holes = {"training.lr": 0.1, "losses[1]": evil, "losses[1].at.weight": 1.0}
    search(named, assignment=holes, proposer=evil, data_id=evil, architecture=evil)
    page = page_of(named)
    outside = re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.DOTALL)  # Plotly itself
    assert "<script>x" not in page and evil not in page and "<img" not in outside
    assert page.count("</script>") == 3
    assert "&lt;script&gt;x" in page


def test_only_its_own_scripts_may_run_and_nothing_is_fetched(tmp_path: Path) -> None:
    page = page_of(search(tmp_path / "made"))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy and "default-src 'none'" in policy[1] and policy[1].count("sha256-") == 2
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page.split("<script>")[0])


# Few rows, many rows, rows with gaps


def one_row() -> list[dict]:
    return [header(), trial("00000"), epoch("00000", 1, 0.5), end("00000")]


@pytest.mark.parametrize(
    "events",
    [
        one_row(),
        [*one_row()[:-1], end("00000", "stopped")],
        [header(), trial("00000"), end("00000", "failed", error="out of memory")],
        [header(columns={}), trial("00000", assignment={}), epoch("00000", 1, 0.5), end("00000")],
        [header(config={}), *story()[1:]],
        [header(config={"objectives": TWO_SIZES["objectives"][:1]}), *story()[1:]],
    ],
    ids=["one row", "none complete", "failed", "no hole", "no objectives", "one objective"],
)
def test_a_small_search_has_a_report_too(tmp_path: Path, events: list[dict]) -> None:
    paths = write_report([written(tmp_path / "made", events)])
    figures = figures_in(paths[0].read_text())
    assert {"front-parameters", "hypervolume-trials", "rungs"} <= set(figures)
    for figure in figures.values():
        go.Figure(figure)


def test_a_table_alone_is_enough(tmp_path: Path) -> None:
    folder = search(tmp_path / "made")
    for name in ("log.jsonl", "epochs.parquet"):
        (folder / name).unlink()
    figures = figures_in(page_of(folder))
    assert "curves" not in figures and "parallel" in figures


def test_rows_that_lack_an_objective_are_counted_and_on_no_front(tmp_path: Path) -> None:
    objectives = [*TWO_SIZES["objectives"], {"name": "latency_ms", "direction": "min"}]
    folder = search(tmp_path / "made", header={"config": {"objectives": objectives}})
    page = page_of(folder)
    complete = int((read_searches([folder])[0].trials["status"] == "complete").sum())
    assert f"they lack an objective: {complete} complete trials" in page
    assert "There is no front" in page or "there is no front" in page


def test_a_search_of_thousands_stays_small(tmp_path: Path) -> None:
    folder = search(tmp_path / "made", 60)
    path = folder / "trials.parquet"
    table = pq.read_table(path)
    rows = pd.concat([table.to_pandas()] * 50, ignore_index=True)
    rows["trial_id"] = [f"{i:05d}" for i in range(len(rows))]
    rows["validation_accuracy"] -= [i / len(rows) / 10 for i in range(len(rows))]
    pq.write_table(type(table).from_pandas(rows, table.schema, preserve_index=False), path)
    page = page_of(folder)
    front = read_searches([folder])[0].front
    assert set(front["trial_id"]) <= drawn_ids(page)
    assert len(page) < 8e6 and "a sample of" in page


# Several searches


def test_searches_are_told_apart_by_name_and_share_a_box(tmp_path: Path) -> None:
    a = search(tmp_path / "x" / "made", 12)
    b = search(tmp_path / "y" / "made", 16)
    figures = figures_in(page_of(a, b))
    lines = figures["hypervolume-trials"]["data"]
    assert [line["name"] for line in lines] == ["x/made", "y/made"]
    assert len({line["line"]["color"] for line in lines}) == 2
    assert lines[0]["y"][-1] <= lines[1]["y"][-1] <= 1  # b is a and four trials more


def test_different_data_are_refused_unless_asked_for(tmp_path: Path) -> None:
    a, b = search(tmp_path / "a"), search(tmp_path / "b", data_id="d1")
    with pytest.raises(UserError, match=r"different data: d0 in a; d1 in b.*--mix-data"):
        page_of(a, b)
    assert "they cannot be compared" in page_of(a, b, mix_data=True)


def test_what_is_no_search_to_report_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trial has ended"):
        page_of(written(tmp_path / "empty", [header()]))
    with pytest.raises(UserError, match="no such file"):
        page_of(tmp_path / "nothing")
    folder = search(tmp_path / "made")
    with pytest.raises(UserError, match="given twice"):
        page_of(folder, folder)
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace('"schema":1', '"schema":99', 1))
    with pytest.raises(UserError, match="99 is newer"):
        page_of(folder)
    log.unlink()
    table = pq.read_table(folder / "trials.parquet")
    newer = table.replace_schema_metadata({b"kdsearch_schema": b"99"})
    pq.write_table(newer, folder / "trials.parquet")
    with pytest.raises(UserError, match="99 is newer"):
        page_of(folder)
