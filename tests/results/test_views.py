"""The Parquet views of a history that grows: at any moment those of the log, and nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kdsearch.errors import UserError
from kdsearch.results import views as module
from kdsearch.results.history import History, fold
from kdsearch.results.store import ResultStore, read_epochs, read_trials
from kdsearch.results.tables import epoch_table, trial_table, write_table
from kdsearch.results.views import Views
from tests.results.made import end, epoch, header, story, trial

FILES = ("trials.parquet", "epochs.parquet")


def rest(trial_id: str, number: int) -> dict[str, Any]:
    return {"event": "rest", "trial_id": trial_id, "epoch": number, "seconds": 1.0}


def resume(trial_id: str, number: int) -> dict[str, Any]:
    return {"event": "resume", "trial_id": trial_id, "epoch": number}


def long_story() -> list[dict[str, Any]]:
    """All that becomes of trials, new terms, weights and measures; and one that ends twice."""
    told = {"terms": {"label": 0.1, "at": 1.0}, "weights": {"at": 3.0}, "measures": {"phi": 0.2}}
    return [
        *story(),
        trial("00005"),
        epoch("00005", 1, 0.3, terms={"label": 0.1, "rkd": 2.0}),
        rest("00005", 1),
        epoch("00004", 2, 0.3),
        resume("00004", 1),
        epoch("00004", 2, 0.4, **told),
        end("00004"),
        resume("00005", 1),
        epoch("00005", 2, 0.5),
        trial("00005", again="its state is gone"),
        epoch("00005", 1, 0.4, measures={"kl": 0.5}),
        end("00005"),
        trial("00006"),
        trial("00000", again="no driver does this"),
        epoch("00000", 1, 0.2),
        end("00000"),
        header(started_at="2026-02-02T03:04:05+00:00"),
        epoch("00006", 1, 0.6),
    ]


def written(folder: Path) -> list[Any]:
    tables = [pq.read_table(folder / name) for name in FILES]
    return [(repr(table.to_pydict()), table.schema.metadata) for table in tables]


def test_views_that_follow_a_history_are_those_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)  # rows join the last chunk, or begin another one
    for name in ("live", "fresh"):
        (tmp_path / name).mkdir()
    live, history, events = Views(tmp_path / "live"), History(), long_story()
    for number, event in enumerate(events, 1):
        history.add(event)
        live.write(history)
        Views(tmp_path / "fresh").write(fold(events[:number]))
        assert written(tmp_path / "live") == written(tmp_path / "fresh")


def test_they_hold_what_one_conversion_of_all_would() -> None:
    history = fold(long_story())
    found, wanted = (
        Views(Path()).trials(history),
        trial_table(history.rows, history.header["columns"]),
    )
    assert repr(found.to_pydict()) == repr(wanted.to_pydict())  # repr: nan equals nan
    assert found.schema.equals(wanted.schema, check_metadata=True)


def test_epochs_are_those_of_the_history_by_trial(tmp_path: Path) -> None:
    history = fold(long_story())
    Views(tmp_path).write(history)
    known = [e for epochs in history.epochs.values() for e in epochs]
    write_table(epoch_table(known), tmp_path / "wanted.parquet")
    order = ["trial_id", "epoch"]
    found, wanted = (
        read_epochs(path).sort_values(order, ignore_index=True)
        for path in (tmp_path, tmp_path / "wanted.parquet")
    )
    assert found[sorted(found)].equals(wanted[sorted(wanted)]) and len(found) == len(known)
    kinds = [n.rpartition("_")[2] for n in read_epochs(tmp_path).columns[8:]]
    assert kinds == sorted(kinds, key=["loss", "weight", "phi", "kl"].index)


def test_no_row_that_has_ended_is_converted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[str] = []

    def counted(rows: Any, *args: Any) -> Any:
        converted.extend(row.trial_id for row in rows)
        return trial_table(rows, *args)

    monkeypatch.setattr(module, "trial_table", counted)
    monkeypatch.setattr(module, "CHUNK", 8)
    views, history = Views(tmp_path), fold([header()])
    for number in range(50):
        name = f"{number:05d}"
        for event in (trial(name), epoch(name, 1, 0.5), end(name)):
            history.add(event)
        views.write(history)
    assert converted == [row.trial_id for row in history.rows]
    assert len(views._trials) <= 50 / 8 + 1
    assert list(read_trials(tmp_path)["trial_id"]) == converted


# Written by a thread


class Slow:
    """Writes when it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked, self.go, self.count = threading.Event(), threading.Event(), 0
        patch.setattr(module, "write_table", self.write)
        patch.setattr(module, "WRITE_SECONDS", 0.0)
        patch.setattr(module, "WRITE_SHARE", 1e9)

    def write(self, table: Any, path: Path) -> None:
        self.count += 1
        self.asked.set()
        assert self.go.wait(30)
        write_table(table, path)


def filled(store: ResultStore, name: str = "00000") -> None:
    store.append(trial(name), epoch(name, 1, 0.5), end(name))


def test_nobody_waits_for_a_write_and_one_runs_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ResultStore.open(tmp_path) as store:
        store.append(header())
        slow = Slow(monkeypatch)
        filled(store)
        store.flush()
        assert slow.asked.wait(30)
        filled(store, "00001")  # while the first is written
        store.append(trial("00002"), epoch("00002", 1, 0.1))
        store.flush()
        assert slow.count == 1
        slow.go.set()
        store.flush(force=True)
        assert len(read_trials(tmp_path)) == 2 and len(read_epochs(tmp_path)) == 3


def test_what_is_written_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ResultStore.open(tmp_path) as store:
        store.append(header(), trial("00000"), epoch("00000", 1, 0.5))
        slow = Slow(monkeypatch)
        store.flush()
        assert slow.asked.wait(30)
        store.append(epoch("00000", 2, 0.6), end("00000"))
        slow.go.set()
        store._views._wait()
        assert len(read_epochs(tmp_path)) == 1 and len(read_trials(tmp_path)) == 0
    assert len(read_epochs(tmp_path)) == 2 and len(read_trials(tmp_path)) == 1


def _flush(store: ResultStore) -> None:
    store.flush()


@pytest.mark.parametrize("call", [filled, _flush], ids=["append", "flush"])
def test_a_disk_that_was_full_is_told_once_by_the_next_call_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[ResultStore], None]
) -> None:
    def full(table: Any, path: Path) -> None:
        raise UserError(str(path), "cannot be written: no room")

    with ResultStore.open(tmp_path) as store:
        store.append(header())
        filled(store, "00001")
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_table", full)
            store.flush()
            store._views._wait()
        with pytest.raises(UserError, match="no room"):
            call(store)
        filled(store, "00002")
    assert list(read_trials(tmp_path)["trial_id"]) == ["00001", "00002"]


def test_a_ctrl_c_in_the_middle_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    views, history = Views(tmp_path), fold(story())
    for act in (views.write, views.trials):
        with monkeypatch.context() as patch:
            patch.setattr(module, "epoch_table", interrupted)
            with pytest.raises(KeyboardInterrupt):
                act(history)
    views.write(history)
    assert len(read_trials(tmp_path)) == 4


def test_columns_of_two_types_are_one_line() -> None:
    events = [header(), trial("00000"), epoch("00000", 1, 0.5, measures={"epoch": 0.5})]
    views = Views(Path())
    with pytest.raises(UserError, match=r"damaged: .*restore the log") as error:
        for _ in range(2):
            views.write(fold([*events, end("00000")]))
    assert "\n" not in str(error.value)
