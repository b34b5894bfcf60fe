"""The log: whole lines only, on the disk once `append` returns, the same live or replayed."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.results.history import History, fold
from kdsearch.results.log import EventLog, read_events
from tests.results.made import end, epoch, header, story, trial


def written(path: Path, events: list[dict]) -> Path:
    log = EventLog(path)
    for event in events:
        log.append(event)
    log.close()
    return path


def told(history: History) -> str:
    return repr(history)  # repr, so that nan equals nan


def test_a_log_cut_after_any_event_folds_to_the_state_at_that_moment(tmp_path: Path) -> None:
    log, live = EventLog(tmp_path / "log.jsonl"), History()
    lengths, states = [], []
    for event in story():
        log.append(event)
        live.add(event)
        lengths.append((tmp_path / "log.jsonl").stat().st_size)
        states.append(told(live))
    log.close()
    content = (tmp_path / "log.jsonl").read_bytes()
    for length, state in zip(lengths, states, strict=True):
        (tmp_path / "cut.jsonl").write_bytes(content[:length])
        assert told(fold(read_events(tmp_path / "cut.jsonl"))) == state


def test_folding_reads_and_changes_nothing() -> None:
    events = story()
    before = repr(events)
    first, second = told(fold(events)), told(fold(events))
    assert first == second
    assert repr(events) == before


def test_a_trial_started_again_voids_its_earlier_epochs() -> None:
    history = fold(story())
    row = next(row for row in history.rows if row.trial_id == "00001")
    assert (row.epochs, row.validation_accuracy, row.best_validation_accuracy) == (1, 0.4, 0.4)
    assert list(history.trials) == ["00000", "00001", "00002", "00003", "00004"]
    assert list(history.running) == ["00004"]


def test_last_and_best_accuracy_are_kept_apart() -> None:
    row = fold(story()).rows[0]
    assert (row.epochs, row.validation_accuracy, row.best_validation_accuracy) == (3, 0.6, 0.7)


def test_a_diverged_trial_keeps_the_best_of_its_finite_epochs(tmp_path: Path) -> None:
    written(tmp_path / "log.jsonl", story())
    row = fold(read_events(tmp_path / "log.jsonl")).rows[3]
    assert row.status == "diverged"
    assert row.validation_accuracy is not None and math.isnan(row.validation_accuracy)
    assert row.best_validation_accuracy == 0.3


def test_the_best_epoch_is_found_after_one_that_is_nan() -> None:
    nan = float("nan")
    events = [header(), trial("0"), epoch("0", 1, nan), epoch("0", 2, 0.5), end("0")]
    assert fold(events).rows[0].best_validation_accuracy == 0.5


def test_a_log_whose_trial_line_was_taken_out_is_refused_by_line() -> None:
    with pytest.raises(UserError, match=r"log\.jsonl:2: .*'0'"):
        fold([header(), epoch("0", 1, 0.5), end("0")])


def test_a_trial_that_failed_before_its_first_epoch_has_no_accuracy() -> None:
    history = fold([header(), trial("00000"), end("00000", "failed", error="out of memory")])
    row = history.rows[0]
    assert (row.epochs, row.validation_accuracy, row.best_validation_accuracy) == (0, None, None)


def test_every_line_is_json_that_any_reader_takes(tmp_path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    written(tmp_path / "log.jsonl", story())
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_left_out_and_cut_off_on_opening(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path / "log.jsonl", [header(), trial("00000")])
    whole = path.read_bytes()
    torn = json.dumps(epoch("00000", 1, 0.5)).encode()
    path.write_bytes(whole + torn[:keep])
    assert len(read_events(path)) == 2
    written(path, [epoch("00000", 1, 0.6)])
    events = read_events(path)
    assert [e["event"] for e in events] == ["search", "trial", "epoch"]
    assert events[-1]["validation_accuracy"] == 0.6


def test_a_torn_first_line_is_no_search_yet(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"event":"search","sch')
    assert read_events(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize("garbage", [b"oops", b'{"event":"epoch","train_loss":NaN}', b"[1]", b"{}"])
def test_garbage_in_the_middle_is_refused_by_line(tmp_path: Path, garbage: bytes) -> None:
    path = written(tmp_path / "log.jsonl", [header(), trial("00000")])
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + garbage + b"\n" + second)
    with pytest.raises(UserError, match=r"log\.jsonl:2: "):
        read_events(path)


@pytest.mark.parametrize("change", ["lost", "swapped", "twice", "edited"])
def test_a_line_that_is_not_as_it_was_written_is_found(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "log.jsonl", story())
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"event":"epoch"' in line)
    if change == "lost":
        del lines[at]
    elif change == "swapped":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif change == "twice":
        lines.insert(at, lines[at])
    else:
        lines[at] = lines[at].replace(b'"epoch":1', b'"epoch":2')
    path.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match=rf"log\.jsonl:{at + 1 + (change == 'twice')}: damaged"):
        read_events(path)


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", story())
    content = bytearray(path.read_bytes())
    for place in range(0, 8 * (len(content) - 1), 37):  # the last byte ends the last line
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises(UserError):
            read_events(path)
        content[place // 8] ^= 1 << place % 8


def test_the_sums_go_on_where_the_log_was_closed(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl", story()).read_bytes()
    path = tmp_path / "log.jsonl"
    for event in story():
        written(path, [event])
    assert path.read_bytes() == whole and read_events(path) == read_events(tmp_path / "whole.jsonl")


def test_a_log_from_before_there_were_sums_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    old = [json.dumps(event) + "\n" for event in [header(), trial("00000")]]
    path.write_text("".join(old))
    written(path, [epoch("00000", 1, 0.5)])
    assert [e["event"] for e in read_events(path)] == ["search", "trial", "epoch"]
    path.write_bytes(path.read_bytes().replace(b'"epoch":1', b'"epoch":2'))
    with pytest.raises(UserError, match=r"log\.jsonl:3: damaged"):
        read_events(path)


def test_a_later_schema_is_refused_with_both_versions_and_the_remedy(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", [header(schema=2)])
    with pytest.raises(UserError, match=r"2 .*1.* update kdsearch"):
        read_events(path)


def test_another_file_is_no_log_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for content in (b'{"event":"trial"}\n', b"notes of mine, one line without an end"):
        path.write_bytes(content)
        with pytest.raises(UserError):
            read_events(path)
        assert path.read_bytes() == content


class Disk:
    """A disk that can be full: lines reach the file, but `os.fsync` fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self._fsync = False, os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, file: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._fsync(file)


def test_a_full_disk_leaves_the_last_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, path = Disk(monkeypatch), tmp_path / "log.jsonl"
    log = EventLog(path)
    log.append(header())
    whole = path.read_bytes()
    disk.full = True
    for _ in range(2):
        with pytest.raises(UserError, match=r"log\.jsonl"):
            log.append(trial("00000"))
        assert path.read_bytes() == whole
    disk.full = False
    log.append(trial("00001"))
    log.close()
    assert [e.get("trial_id") for e in read_events(path)] == [None, "00001"]


def test_a_real_full_file_system_leaves_the_last_whole_line(tmp_path: Path) -> None:
    """The same by the kernel's own hand: a limit on the size of files, in a process of its own."""
    import subprocess
    import sys

    program = """
import resource, signal, sys
from pathlib import Path
from kdsearch.errors import UserError
from kdsearch.results.log import EventLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = EventLog(Path(sys.argv[1]))
log.append({"event": "search", "schema": 1, "search": "made"})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    log.append({"event": "trial", "note": "x" * 2000})
except UserError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.append({"event": "trial", "note": "after"})
log.close()
"""
    path = tmp_path / "log.jsonl"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    assert [e.get("note") for e in read_events(path)] == [None, "after"]


def test_what_cannot_be_read_or_opened_is_a_line_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be"):
        read_events(tmp_path / "none.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be"):
        EventLog(tmp_path / "folder")
    with pytest.raises(UserError, match="cannot be"):
        EventLog(tmp_path / "nowhere" / "log.jsonl")


def test_an_event_that_json_cannot_say_is_refused_and_not_written(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", [header()])
    whole = path.read_bytes()
    log = EventLog(path)
    with pytest.raises(TypeError):
        log.append({"event": "trial", "trial_id": object()})
    log.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (trial("00009", seed=2**63), "seed"),
        ({"event": "finish", "seeds": 3, "epochs": 3_000_000_000, "near": 0.01}, "epochs"),
    ],
)
def test_an_event_that_no_reader_takes_is_not_written(
    tmp_path: Path, event: dict, word: str
) -> None:
    path = written(tmp_path / "log.jsonl", [header()])
    log = EventLog(path)
    with pytest.raises(UserError, match=f"not written: {word}"):
        log.append(trial("00008"), event)
    log.append(trial("00000"))
    log.close()
    assert [e.get("trial_id") for e in read_events(path)] == [None, "00000"]
