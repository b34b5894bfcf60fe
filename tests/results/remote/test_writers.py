"""One writer at a time; who was taken for dead writes nothing more."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import UserError
from tests.results.remote.made import (
    broken_off,
    hurried,
    of,
    opened,
    outcome,
    put_there,
    read_there,
    searched,
    there,
)
from tests.tune.made import STATE, made_report, started


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"file://{tmp_path}/far"


def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str = "other") -> None:
    """From here on this is another machine."""
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / name))


def one_line(caught: pytest.ExceptionInfo[UserError]) -> str:
    (line,) = str(caught.value).splitlines()
    return line


def test_a_second_run_is_refused_while_the_first_lives(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(stale=30.0)
    with opened(uri) as driver:
        launch = started(driver)
        with pytest.raises(UserError) as here, opened(uri):
            pass
        assert "another process runs this search" in one_line(here)  # the lock of the folder
        before = there(uri)
        elsewhere(monkeypatch, tmp_path)
        with pytest.raises(UserError) as there_too, opened(uri):
            pass
        line = one_line(there_too)
        assert "runs this search, and wrote" in line and "run this again in" in line
        assert set(before) <= set(there(uri))
        driver.report(launch.trial_id, made_report(1, 0.5), state=STATE + b"1")
    with opened(uri) as driver:  # it has ended well: nobody waits
        assert driver.history.epoch_count == 1


def killed(uri: str) -> None:
    """The writer's file as a killed run leaves it: open."""
    said = json.loads(read_there(uri, "made/writer.json"))
    put_there(uri, "made/writer.json", json.dumps({**said, "open": True}).encode())


def test_a_dead_writer_is_followed_after_a_while_and_at_once_where_it_ran(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(uri, epochs=5)
    killed(uri)
    broken_off(uri, epochs=2)  # the same working copy: its lock says that the other one is dead
    killed(uri)
    elsewhere(monkeypatch, tmp_path)
    hurried(stale=0.6)
    with pytest.raises(UserError, match="runs this search, and wrote"), opened(uri):
        pass
    time.sleep(0.7)
    searched(uri)
    assert len(outcome(of(uri))) == 8


def test_a_writer_that_was_replaced_stops_and_uploads_nothing_more(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(beat=60.0)
    left: dict[str, int] = {}
    rows: list[tuple[str, str, int]] = []
    with pytest.raises(UserError) as stopped, opened(uri) as driver:
        launch = started(driver)
        time.sleep(0.2)
        killed(uri)
        with monkeypatch.context() as patch:
            elsewhere(patch, tmp_path)
            hurried(stale=0.0)
            rows = outcome(searched(uri))
        left = there(uri)
        driver.report(launch.trial_id, made_report(1, 0.5), state=STATE + b"1")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            driver.next()  # sooner or later it stops
            time.sleep(0.01)
    line = one_line(stopped)
    assert "has taken over this search, and this one stops" in line and "process" in line
    assert there(uri) == left and outcome(of(uri)) == rows
    with pytest.raises(UserError, match="tell different searches from byte"), opened(uri):
        pass  # its rows are here, the other's there: neither is thrown away
    assert there(uri).keys() == left.keys() and outcome(of(uri)) == rows


@pytest.mark.parametrize("last", [False, True])
def test_a_writer_that_slept_in_a_round_removes_nothing_of_its_successor(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    hurried(beat=60.0)
    copy = broken_off(uri, epochs=7)
    left: dict[str, int] = {}
    with pytest.raises(UserError) as stopped, opened(uri) as driver:
        mirror = driver.store._mirror
        assert mirror is not None
        mirror.close(finished=True)  # from here on this test makes the rounds
        rounds = mirror.rounds
        put = rounds.sender._put if last else rounds.sender.send
        weights = "made/students/00099/model.safetensors"
        if last:  # there is something to gather
            (whole,) = rounds.sender.segments()
            line = (copy / "log.jsonl").read_bytes().splitlines(keepends=True)[0]
            put_there(uri, f"made/log/{replace(whole, end=len(line)).name}", line)
        else:  # and something to remove
            rounds.sent[weights] = (0, 0)
            rounds.objects.put(weights, b"weights")

        def slept(*given: Any) -> Any:
            nonlocal left
            done = put(*given)
            if not left:
                killed(uri)
                with monkeypatch.context() as patch:
                    elsewhere(patch, tmp_path)
                    hurried(stale=0.0)
                    searched(uri)
                if not last:
                    rounds.objects.put(weights, b"weights")
                left = there(uri)
            return done

        monkeypatch.setattr(rounds.sender, "_put" if last else "send", slept)
        rounds.go(last)
    assert "has taken over this search" in one_line(stopped) and copy.is_dir()
    assert left and left.items() <= there(uri).items()


def test_a_search_that_is_removed_while_it_runs_stops_it(uri: str) -> None:
    with pytest.raises(UserError, match=r"writer\.json is gone: was this search removed"):  # noqa: SIM117
        with opened(uri) as driver:
            started(driver)
            time.sleep(0.1)
            put_there(uri, "made/writer.json", None)
            time.sleep(0.3)
            driver.next()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 9999, b'{"nonce": 1}', b"\xff", b'{"end": -1}']
)
def test_a_writer_file_of_another_kind_is_refused(uri: str, content: bytes) -> None:
    searched(uri)
    put_there(uri, "made/writer.json", content)
    with pytest.raises(UserError, match="not a writer's") as caught, opened(uri):
        pass
    assert one_line(caught).startswith(f"{uri}/made/writer.json")
