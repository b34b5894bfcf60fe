"""Files at an address that are gone, cut, changed or a stranger's: one line, nothing written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import UserError
from kdsearch.results.remote import WorkingCopy, reading
from kdsearch.results.remote.carrying import kind_of
from kdsearch.results.remote.segments import Segment
from kdsearch.results.store import ResultStore, read_trials
from tests.results.remote.made import (
    broken_off,
    log_there,
    lose,
    of,
    opened,
    outcome,
    put_there,
    read_there,
    searched,
    searched_here,
    there,
)
from tests.results.remote.server import Server


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"file://{tmp_path}/far"


def segment(name: str) -> Segment:
    from kdsearch.results.remote.segments import read_name

    found = read_name(name.removeprefix("made/log/"))
    assert found is not None
    return found


def refused(uri: str) -> str:
    with pytest.raises(UserError) as caught, opened(uri):
        pass
    (line,) = str(caught.value).splitlines()
    with pytest.raises(UserError) as read, reading(of(uri)):
        pass
    assert str(read.value) == line
    return line


@pytest.fixture
def scattered(uri: str, cache: Path) -> str:
    """A search whose log is several files, on another machine's disk."""
    whole = searched(uri)
    (name,) = log_there(uri)
    content, last = read_there(uri, name), segment(name)
    put_there(uri, name, None)
    lines = content.splitlines(keepends=True)
    for first in range(0, len(lines), 10):
        start = len(b"".join(lines[:first]))
        part = b"".join(lines[first : first + 10])
        piece = Segment(last.generation, last.writer, start, start + len(part))
        put_there(uri, f"made/log/{piece.name}", part)
    assert whole.exists() and len(log_there(uri)) > 3
    lose(cache)
    return uri


def test_several_files_are_one_log(scattered: str, tmp_path: Path) -> None:
    assert outcome(searched(scattered)) == outcome(searched_here(tmp_path / "plain"))
    assert len(log_there(scattered)) == 1


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_file_that_is_gone(scattered: str, which: int) -> None:
    put_there(scattered, log_there(scattered)[which], None)
    line = refused(scattered)
    assert "/made/log: " in line and "missing" in line
    assert "restore that file, or run this on" in line


@pytest.mark.parametrize("which", [1, -1])
def test_a_file_that_a_list_left_out_once_is_no_gap(
    scattered: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[int] = []

    def listed(*given: Any) -> dict[str, Segment]:
        found = kept(*given)
        lists.append(len(found))
        if len(lists) < 3:
            del found[sorted(found)[which]]
        return found

    module = sys.modules["kdsearch.results.remote.reading"]  # the name is its function's too
    kept = module.segments_there
    monkeypatch.setattr(module, "segments_there", listed)
    with reading(of(scattered)) as folder:
        assert len((folder / "log.jsonl").read_bytes().splitlines()) > 10
    assert len(lists) == 3


def test_a_file_that_is_cut_short(scattered: str) -> None:
    name = log_there(scattered)[1]
    put_there(scattered, name, read_there(scattered, name)[:-5])
    assert f"{name}: is cut short" in refused(scattered)


def test_a_file_that_was_changed(scattered: str) -> None:
    name = log_there(scattered)[2]
    content = read_there(scattered, name)
    put_there(scattered, name, content.replace(b'"epoch"', b'"epocg"', 1))
    assert f"{name}: is not what was written" in refused(scattered)


def test_what_was_sent_from_here_is_sent_again(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    copy = searched(uri)
    (name,) = log_there(uri)
    put_there(uri, name, read_there(uri, name)[:-9])
    searched(uri)
    (said,) = caplog.messages
    assert "is cut short" in said and said.endswith("; it is sent again from here")
    assert outcome(of(uri)) == outcome(copy) and len(outcome(copy)) == 8


def test_what_is_damaged_there_is_not_replaced_by_less(uri: str) -> None:
    copy = searched(uri)
    (name,) = log_there(uri)
    put_there(uri, name, read_there(uri, name)[:-9])
    before, lines = there(uri), (copy / "log.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "log.jsonl").write_bytes(b"".join(lines[:-3]))
    with pytest.raises(UserError, match="is cut short"), opened(uri):
        pass
    assert {name: before[name]}.items() <= there(uri).items() and len(log_there(uri)) == 1


def test_a_log_here_that_cannot_be_read_is_one_line(uri: str) -> None:
    (WorkingCopy.at(uri, "made").folder / "log.jsonl").mkdir(parents=True)
    copy = WorkingCopy.at(uri, "made")
    with pytest.raises(UserError, match=r"log\.jsonl: cannot be read") as caught, copy.brought():
        pass
    assert "\n" not in str(caught.value)


def test_what_a_dead_writer_put_late_is_no_part_of_it(scattered: str, tmp_path: Path) -> None:
    last = segment(log_there(scattered)[-1])
    searched(scattered)  # a later generation has begun where that one ends
    late = Segment(last.generation, last.writer, last.end, last.end + 3)
    put_there(scattered, f"made/log/{late.name}", b"xx\n")
    assert outcome(of(scattered)) == outcome(searched_here(tmp_path / "plain"))
    searched(scattered)


def test_a_search_that_was_removed_there_is_not_brought_back_unasked(uri: str) -> None:
    copy = searched(uri)
    for key in there(uri):
        put_there(uri, key, None)
    with pytest.raises(UserError, match=r"holds 0 bytes of the log, but had \d+; ") as caught:  # noqa: SIM117
        with opened(uri):
            pass
    assert f"remove {copy}" in str(caught.value)
    shutil.rmtree(copy)
    assert len(outcome(searched(uri))) == 8


def test_another_search_here_is_not_mixed_with_the_one_there(
    uri: str, tmp_path: Path, cache: Path
) -> None:
    copy = broken_off(uri, epochs=5)
    other = broken_off(f"file://{tmp_path}/else", epochs=9)
    shutil.copy(other / "log.jsonl", copy / "log.jsonl")
    with pytest.raises(UserError, match="tell different searches from byte") as caught:  # noqa: SIM117
        with opened(uri):
            pass
    assert str(copy) in str(caught.value) and f"{uri}/made" in str(caught.value)


def test_a_plain_results_folder_is_no_address(tmp_path: Path) -> None:
    plain = searched_here(tmp_path / "far")
    before = there(f"file://{tmp_path}/far")
    line = refused(f"file://{tmp_path}/far")
    assert there(f"file://{tmp_path}/far") == before
    assert "give its path as --results" in line
    with ResultStore.open(plain) as store:
        assert len(store.history.rows) == 8


HOSTILE = ("../evil", "../../evil", "students/../../evil", "students/1/../../../evil", "/evil",
           "states/..", "students//evil", "states/1.1.state/../../../evil", "a\\b", ".lock",
           ".remote.json", "log.jsonl", "students/1/.hidden", "states/x.1.state", "con\x00x",
           "students/1/a/b", "writer.json", "log/x.parquet")  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_other_forms_are_none_of_ours(name: str) -> None:
    assert kind_of(f"made/{name}", "made") is None
    assert kind_of(name, "made") is None
    assert kind_of(f"teachers/{name}", "made") is None


def test_hostile_names_there_never_leave_the_working_folder(
    server: Server, tmp_path: Path, cache: Path
) -> None:
    uri = server.uri("a/b")
    broken_off(uri, epochs=5)
    lose(cache)
    for key in ("../evil", "students/../../../evil", "states/../evil", "students/00009/../../x"):
        server.keep(f"a/b/made/{key}", b"evil")
    server.keep("a/b/made/students/00099/../../../../evil", b"evil")
    searched(uri)
    with reading(of(uri)) as folder:
        assert folder.is_dir()
    found = [path for path in tmp_path.rglob("*") if path.name in ("evil", "x")]
    assert not found
    assert len(read_trials(of(uri))) == 8
