"""A search at an address is the search that a plain folder would hold, wherever it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.results.store import read_epochs
from tests.results.remote.made import (
    broken_off,
    config,
    kinds,
    log_there,
    lose,
    of,
    outcome,
    put_there,
    searched,
    searched_here,
    there,
)
from tests.tune.made import events_of


@pytest.fixture
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", None) == "s3":
        return request.getfixturevalue("server").uri("far/away")
    return f"file://{tmp_path}/far/away"


both = pytest.mark.parametrize("uri", ["s3", "file"], indirect=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched_here(tmp_path_factory.mktemp("plain"))


def files(folder: Path, pattern: str) -> set[str]:
    return {f"made/{path.relative_to(folder).as_posix()}" for path in folder.glob(pattern)}


@both
def test_what_is_there_in_the_end_is_what_a_plain_folder_holds(uri: str, plain: Path) -> None:
    copy = searched(uri)
    assert outcome(of(uri)) == outcome(plain) and kinds(copy) == kinds(plain)
    (log,) = log_there(uri)  # gathered
    found = there(uri)
    assert found[log] == (copy / "log.jsonl").stat().st_size
    assert {key for key in found if "/students/" in key} == files(plain, "students/*/*")
    assert not [key for key in found if "/states/" in key or key.endswith(".part")]
    assert files(plain, "*.yaml") | files(plain, "*.parquet") <= set(found)


@pytest.mark.parametrize(
    ("uri", "disk"), [("s3", "lost"), ("file", "lost"), ("file", "kept")], indirect=["uri"]
)
def test_a_search_that_was_broken_off_goes_on(
    uri: str, plain: Path, cache: Path, disk: str
) -> None:
    first = broken_off(uri, epochs=11)
    assert {key for key in there(uri) if "/states/" in key} == files(first, "states/*")
    assert len(events_of(first, "epoch")) == len(read_epochs(of(uri))) >= 7
    if disk == "lost":
        lose(cache)
    copy = searched(uri)
    assert outcome(of(uri)) == outcome(copy) == outcome(plain)
    told = [(e["trial_id"], e["epoch"]) for e in events_of(copy, "epoch")]
    assert len(set(told)) == len(told)


def test_two_machines_in_turn(
    uri: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for turn, machine in enumerate("abab", 1):
        monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / machine))
        broken_off(uri, epochs=4 if turn < 4 else 100)
    assert outcome(of(uri)) == outcome(plain)


def test_a_raised_budget_goes_on_at_the_address(uri: str, plain: Path, cache: Path) -> None:
    searched(uri, config(budget={"trials": 3}))
    assert len(outcome(of(uri))) == 3
    lose(cache)
    searched(uri)
    assert len(outcome(of(uri))) == 8


def test_what_was_only_here_is_sent_by_the_next_run(uri: str, plain: Path) -> None:
    copy = broken_off(uri, epochs=11)
    for key in there(uri):  # it never got there
        if key.startswith(("made/log/", "made/writer")) or "/states/" in key:
            put_there(uri, key, None)
    (copy / ".remote.json").unlink()
    searched(uri)
    assert outcome(of(uri)) == outcome(plain)
