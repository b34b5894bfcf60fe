"""The commands and the Python API on a search at an address, and on addresses that are none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsearch import load_student, read_epochs, read_trials
from kdsearch.errors import UserError
from kdsearch.export import export_student
from kdsearch.results.front import read_front
from kdsearch.results.remote import WorkingCopy
from kdsearch.results.store import ResultStore
from kdsearch.tune import cluster
from tests.command_line import Line, Said
from tests.results.remote.made import broken_off, hurried, lose, put_there, read_there, there
from tests.results.remote.server import BUCKET, Server
from tests.tune.made import DISTILLED, distilled_here

SECRET = ("AKIATEST", "sec/ret", "sec%2Fret", "127.0.0.1", "endpoint_override")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    def no_ray(*_: object) -> bool:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(cluster, "start", no_ray)
    return Line(monkeypatch, capsys)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilled_here(tmp_path_factory.mktemp("results"))


@pytest.fixture
def uri(once: Path, server: Server, cache: Path) -> str:
    """A finished search on digits, at an address alone."""
    copy = WorkingCopy.at(server.uri("far"), "here")
    shutil.copytree(once.parent, copy.address.folder)
    with ResultStore.open(copy.folder, copy):
        pass
    lose(cache)
    return server.uri("far/here")


def well(said: Said) -> str:
    """What a command said, which is no secret."""
    assert said.code == 0 and not said.err
    assert not [secret for secret in SECRET if secret in said.out]
    return said.out


def test_front_prints_and_writes_there(call: Line, uri: str, server: Server) -> None:
    out = well(call("front", uri))
    assert "front of s3://bkt/far/here: " in out and "2 complete" in out
    assert {"here/front.csv", "here/front.svg", "here/front.parquet"} <= set(
        there(server.uri("far"))
    )
    trials, front, _ = read_front(uri)
    assert len(trials) == 2 == len(read_trials(uri)) and len(read_epochs(uri)) == 4 and len(front)


def test_a_table_that_is_gone_is_named_as_it_is_there(uri: str, server: Server) -> None:
    put_there(server.uri("far"), "here/trials.parquet", None)
    with pytest.raises(UserError) as caught:
        read_trials(uri)
    assert str(caught.value).startswith("s3://bkt/far/here/trials.parquet: ")
    assert "/tmp" not in str(caught.value)


def test_report_is_written_there(call: Line, uri: str, server: Server) -> None:
    pytest.importorskip("plotly")
    out = well(call("report", uri))
    assert "s3://bkt/far/here/report.html: " in out and "/tmp" not in out
    assert b"kdsearch-" not in read_there(server.uri("far"), "here/report.html")[:20_000]
    said = call("report", uri, uri)
    assert (
        said.code == 2
        and said.err == "kdsearch: s3://bkt/far/here: given twice; give each search once\n"
    )


def test_a_student_is_exported_and_loaded_from_there(
    call: Line, uri: str, tmp_path: Path, once: Path
) -> None:
    (kept, *_) = sorted(path.name for path in (once / "students").iterdir())
    before, mark, query = uri.partition("?")
    address = f"{before}/students/{kept}{mark}{query}"
    done = export_student(address, tmp_path / "out", onnx=False)
    assert "student.safetensors" in done.files
    said = call("export", uri, "00077", "--to", tmp_path / "none")
    assert said.code == 2 and f"those of the front are kept ({kept}" in said.err
    assert said.err.startswith("kdsearch: s3://bkt/far/here: keeps no weights")
    assert not load_student(address).training
    with pytest.raises(UserError, match="names no student; give the address of a search"):
        load_student(uri)


def test_a_row_runs_again_with_the_teacher_from_there(call: Line, uri: str, server: Server) -> None:
    out = well(call("trial", uri, "00000"))
    assert "2 of the row's 2 epochs came out the same to the last digit" in out
    assert "its student is in s3://bkt/far/here/students/00002" in out
    assert "teacher" not in out.replace("teacher's outputs", "")  # it was not trained again
    assert "here/students/00002/student.safetensors" in there(server.uri("far"))
    assert len(read_trials(uri)) == 3


def test_run_takes_an_address_and_keeps_its_secrets(
    call: Line, uri: str, server: Server, tmp_path: Path, cache: Path
) -> None:
    file = tmp_path / "here.yaml"
    file.write_text(yaml.safe_dump(DISTILLED))
    out = well(call("run", file, "--results", server.uri("far")))
    assert "s3://bkt/far/here is finished" in out and "front of s3://bkt/far/here" in out
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert kept and not [p for p in kept for secret in SECRET if secret.encode() in p.read_bytes()]
    far = server.uri("far")
    for key in there(far):
        content = read_there(far, key)
        assert not [secret for secret in SECRET if secret.encode() in content], key


def test_an_earlier_search_may_stand_at_an_address(
    call: Line, uri: str, server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(yaml.safe_dump({**DISTILLED, "search": "new"}))
    with pytest.raises(AssertionError, match="Ray was started"):  # so far it comes
        call("run", file, "--results", tmp_path / "results", "--from", uri)
    log = (tmp_path / "results" / "new" / "log.jsonl").read_text()
    assert '"folders":["s3://bkt/far/here"]' in log and "AKIATEST" not in log


# Refused before anything starts


def refused(call: Line, tmp_path: Path, results: Any) -> str:
    file = tmp_path / "here.yaml"
    file.write_text(yaml.safe_dump(DISTILLED))
    said = call("run", file, "--results", results)
    (line,) = said.err.splitlines()
    assert said.code == 2 and not [secret for secret in SECRET if secret in line]
    assert not said.out
    return line


@pytest.mark.parametrize(
    ("results", "fault"),
    [
        ("foo://x/y", "Unrecognized filesystem type"),
        ("s3://", "names no folder"),
        ("s3:///x", "Missing bucket name"),
        ("s3://AKIATEST:sec/ret@bkt/x", "Cannot parse URI"),
        ("s3://bkt/x?nonsense=1", "Unexpected query parameter"),
        ("file://host/x", "Unsupported hostname"),
        ("file://", "cannot be relative: 'file://'"),
    ],
)
def test_what_is_no_address(call: Line, tmp_path: Path, results: str, fault: str) -> None:
    line = refused(call, tmp_path, results)
    assert fault in line and "give s3://bucket/folder" in line


def test_no_bucket_no_leave_and_no_server(call: Line, tmp_path: Path, server: Server) -> None:
    line = refused(call, tmp_path, server.uri("x").replace("@bkt", "@other-bucket"))
    assert "s3://other-bucket/x: is refused: NO_SUCH_BUCKET" in line
    server.meets = lambda method, path: method == "PUT"
    with server.failing("denied"):
        line = refused(call, tmp_path, server.uri("x"))
    assert "s3://bkt/x: is refused: " in line and "may these credentials do it?" in line
    hurried(opening=0.1)
    line = refused(call, tmp_path, server.uri("x").replace(str(server.port), "9"))
    assert "s3://bkt/x: cannot be reached: " in line and "Could not connect" in line


def test_who_may_not_see_the_bucket_may_use_a_folder_in_it(server: Server) -> None:
    server.meets = lambda method, path: path.rstrip("/") == f"/{BUCKET}" and method == "HEAD"
    with server.failing("denied"):
        broken_off(server.uri("folder"), epochs=3)
    assert "made/states/00000.1.state" in there(server.uri("folder"))


def test_a_cache_that_cannot_be_made(
    call: Line, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / "file"))
    line = refused(call, tmp_path, server.uri("x"))
    assert "cannot be written" in line and "set KDSEARCH_CACHE to another folder" in line


def test_an_address_that_was_made_a_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a path has no place for the // of an address"):
        read_trials(Path("s3://bkt/far/here"))
    with pytest.raises(UserError, match="a path has no place for the // of an address"):
        read_trials("s3:/bkt/far/here")


def test_no_search_at_an_address(call: Line, server: Server, tmp_path: Path) -> None:
    for command in ("front", "report", "study", "finish", "trial"):
        more = {"study": ["--storage", "sqlite://"], "trial": ["00000"]}.get(command, [])
        said = call(command, server.uri("far/none"), *more)
        assert said.code == 2, command
        assert said.err.startswith("kdsearch: s3://bkt/far/none: holds no search; give the address")
    said = call("front", server.uri(""))
    assert said.code == 2 and "names no search" in said.err
