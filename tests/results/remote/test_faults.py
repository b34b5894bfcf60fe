"""A server that fails for a while costs nothing; for good, it stops the search, which keeps all."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from kdsearch.errors import UserError
from kdsearch.proposers import Wait
from kdsearch.results.remote import objects, patience
from kdsearch.results.remote.address import read_address
from kdsearch.results.remote.objects import Objects, UnreachableError
from tests.results.remote.made import (
    broken_off,
    hurried,
    log_there,
    lose,
    of,
    opened,
    outcome,
    searched,
    searched_here,
    there,
)
from tests.results.remote.server import MIXED, Server
from tests.tune.made import STATE, made_report, mixed, play, started


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched_here(tmp_path_factory.mktemp("plain"))


def until(seen, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_fails_now_and_then_is_tried_again_and_comes_out_equal(
    server: Server, plain: Path, cache: Path
) -> None:
    uri, before = server.uri("mixed"), server.spoken.copy()
    with server.failing("mixed", 0.2):
        broken_off(uri, epochs=11)
        lose(cache)
        searched(uri)
        assert outcome(of(uri)) == outcome(plain)
    met = server.spoken - before
    assert all(met[fault] > 1 for fault in MIXED)
    assert outcome(of(uri)) == outcome(plain) and len(log_there(uri)) == 1
    assert not [key for key in there(uri) if "/states/" in key]


@pytest.mark.parametrize("fault", MIXED)
def test_every_call_is_tried_again(server: Server, fault: str) -> None:
    address, _ = read_address(server.uri("calls"), patience.USUAL)
    objects = Objects(address, patience.USUAL, trying=5.0)
    key, seen = "made/states/1.1.state", set[str]()

    def first(method: str, path: str) -> bool:
        """The first call of each kind and place."""
        new = f"{method} {path}" not in seen
        seen.add(f"{method} {path}")
        return new

    server.meets = first
    with server.failing(fault):
        objects.put(key, b"state")
        assert objects.read(key) == b"state" and list(objects.files("made")) == [key]
        objects.remove(key)
        objects.remove(key)
        assert objects.read(key) is None and objects.find(key) is None
    assert {"PUT", "GET", "HEAD", "DELETE"} <= {kind.split()[0] for kind in seen}


def test_a_server_that_says_nothing_is_given_up_and_asked_again(
    server: Server, plain: Path
) -> None:
    uri, hung = server.uri("hang"), []

    def first(method: str, path: str) -> bool:
        met = method == "HEAD" and path.endswith("/writer.json") and not hung
        hung.extend([path] * met)
        return met

    server.meets = first
    hurried(connect=1.0, request=1.0)
    with server.failing("hang"):
        searched(uri)
    assert hung and outcome(of(uri)) == outcome(plain)


def test_without_an_answer_nothing_new_starts_and_with_one_it_does(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    uri = server.uri("pause")
    hurried(pause=1.0)
    with opened(uri) as driver:
        launch = started(driver)
        with server.failing("drop"):
            until(lambda: driver.store.paused)
            assert isinstance(driver.next(), Wait)
            driver.report(launch.trial_id, made_report(1, 0.5), state=STATE + b"1")  # goes on
        until(lambda: not driver.store.paused)
        assert started(driver).trial_id == "00001"
        until(lambda: "made/states/00000.1.state" in there(uri))
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(" ", 1)[1] for line in said] == [
        "does not answer: nothing new is started until it does",
        "answers",
    ]


def test_without_an_answer_for_long_it_stops_and_the_same_command_sends_the_rest(
    server: Server, cache: Path
) -> None:
    uri = server.uri("stop")
    hurried(pause=0.3, stop=0.8, request=0.5)
    with pytest.raises(UserError) as stopped, opened(uri) as driver:
        launch = started(driver)
        driver.report(launch.trial_id, made_report(1, 0.1), state=STATE + b"1")
        with server.failing("denied"):
            driver.end(launch.trial_id, "complete", weights=b"w")
            until(lambda: driver.store.paused)
            until(lambda: driver.next() is None)  # it never starts one: it stops
    line = str(stopped.value)
    assert "cannot be reached since" in line and str(cache) in line and "\n" not in line
    assert "the same command goes on and sends what is missing" in line
    server.fault = None
    hurried(pause=60.0, stop=120.0)
    searched(uri)
    rows = outcome(of(uri))
    assert rows[0] == ("00000", "complete", 1) and len(rows) == 8


def test_an_end_that_cannot_be_sent_is_told_and_sent_by_the_next_run(
    server: Server, plain: Path
) -> None:
    uri = server.uri("end")
    hurried(closing=0.5)
    with pytest.raises(UserError, match="does not take the end of the search"):  # noqa: SIM117
        with opened(uri) as driver:
            play(driver, slots=1, train=mixed)
            server.fault = "error"
    server.fault = None
    searched(uri)
    assert outcome(of(uri)) == outcome(plain)


@pytest.mark.parametrize("finished", [True, False])
def test_an_address_that_only_reads_pauses_and_stops_and_ends(
    server: Server, cache: Path, finished: bool
) -> None:
    uri = server.uri(f"full-{finished}")
    hurried(pause=0.3, stop=1.0, request=0.5, closing=0.5)
    with pytest.raises(UserError) as stopped, opened(uri) as driver:
        launch = started(driver)
        server.meets = lambda method, path: method == "PUT"
        server.fault = "error"
        driver.report(launch.trial_id, made_report(1, 0.1), state=STATE + b"1")
        until(lambda: driver.store.paused)
        if not finished:
            until(lambda: driver.next() is None)
    line = str(stopped.value)
    said = "does not take the end" if finished else "cannot be reached since"
    assert said in line and str(cache) in line and "\n" not in line


def test_a_long_upload_that_fails_again_at_the_same_place_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = read_address(f"file://{tmp_path}/far", patience.USUAL)
    objects_of = Objects(address, patience.USUAL)
    monkeypatch.setattr(objects, "PIECE", 2)
    monkeypatch.setattr(objects_of, "_move", lambda *_: (_ for _ in ()).throw(OSError("full")))
    told: list[bool] = []
    for _ in range(2):
        with pytest.raises(UnreachableError, match="full"):
            objects_of.put("made/a.json", b"123456", told.append)
    assert told == [False, True, True, False, False, False]
    assert not there(f"file://{tmp_path}/far")  # nor is half of it left aside


class Strict:
    """A file system that renames over nothing, as HDFS."""

    type_name = "hdfs"

    def __init__(self) -> None:
        self.local = fs.LocalFileSystem()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.local, name)

    def move(self, source: str, target: str) -> None:
        if Path(target).exists():
            raise OSError(f"{target} exists")
        self.local.move(source, target)


@pytest.mark.parametrize("within", ["file", "subtree", "strict"])
def test_every_call_on_other_file_systems(tmp_path: Path, within: str) -> None:
    address, _ = read_address(f"file://{tmp_path}/far", patience.USUAL)
    if within == "subtree":
        tree = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
        address = replace(address, filesystem=tree, path="far")
    if within == "strict":
        address = replace(address, filesystem=Strict())
    objects = Objects(address, patience.USUAL)
    with objects.opening() as patient:
        assert not patient.files("made")
    for content in (b"", b"a state", BytesIO(b"of a file")):
        objects.put("made/states/1.1.state", content)
    assert objects.read("made/states/1.1.state") == b"of a file"
    (found,) = objects.files("made").values()  # nothing is left aside
    assert found.size == 9 and found == objects.find("made/states/1.1.state")
    objects.remove("made/states/1.1.state")
    objects.remove("made/states/1.1.state")
    assert objects.find("made/states/1.1.state") is None and not objects.files("made")
    assert abs((objects.now("clock") - datetime.now(UTC)).total_seconds()) < 60
