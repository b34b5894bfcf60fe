"""The store: one writer, views that are whole at any moment, dtypes as promised."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsearch.errors import UserError
from kdsearch.results.history import fold
from kdsearch.results.log import read_events
from kdsearch.results.store import ResultStore, read_epochs, read_trials
from tests.results.made import COLUMNS, end, epoch, header, story, trial

TEXT = (
    "search", "trial_id", "proposer", "parent_id", "purpose", "status", "architecture",
    "architecture_key", "teacher_id", "data_id", "latency_device", "memory_device",
    "error",
)  # fmt: skip
WHOLE = ("seed", "epochs", "parameters", "macs", "size_bytes", "size_bits")
REAL = (
    "validation_accuracy", "best_validation_accuracy", "validation_loss", "latency_ms",
    "teacher_validation_accuracy", "peak_memory_mib", "seconds", "gpu_seconds",
)  # fmt: skip


def kept(folder: Path, events: list[dict]) -> Path:
    with ResultStore.open(folder) as store:
        for event in events:
            store.append(event)
    return folder


@pytest.mark.parametrize("events", [story(), story()[:1]], ids=["rows", "no row yet"])
def test_the_dtypes_are_those_of_the_design(tmp_path: Path, events: list[dict]) -> None:
    schema = pq.read_schema(kept(tmp_path, events) / "trials.parquet")
    wanted = dict.fromkeys(TEXT, "string") | dict.fromkeys(WHOLE, "int64")
    wanted |= dict.fromkeys(REAL, "double") | {"started_at": "timestamp[us, tz=UTC]"}
    wanted |= {name: dtype.replace("float64", "double") for name, dtype in COLUMNS.items()}
    assert {field.name: str(field.type) for field in schema} == wanted
    assert schema.names[-len(COLUMNS) :] == list(COLUMNS)  # holes come last, in the space's order
    epochs = pq.read_schema(tmp_path / "epochs.parquet")
    assert str(epochs.field("epoch").type) == "int64"
    assert str(epochs.field("train_loss").type) == "double"


def test_holes_are_null_where_the_choice_went_elsewhere(tmp_path: Path) -> None:
    table = pq.read_table(kept(tmp_path, story()) / "trials.parquet").to_pydict()
    assert table["trial_id"] == ["00000", "00001", "00002", "00003"]
    assert table["student.widths[0]"] == [8, None, 8, 8]
    assert table["losses[1].at.weight"] == [None, 30.0, None, None]
    assert table["losses[1]"] == ["none", "at", "none", "none"]
    assert table["started_at"][0] == pd.Timestamp("2026-01-02T03:04:05.678901Z")


def test_a_row_has_the_last_loss_and_what_was_measured_before_the_trial(tmp_path: Path) -> None:
    read = {"latency_ms": 0.5, "latency_device": "cpu: made, batch 1", "peak_memory_mib": 2.0}
    events = [
        header(),
        trial("00000", **read),
        epoch("00000", 1, 0.5, validation_loss=0.9),
        epoch("00000", 2, 0.5, validation_loss=0.7),
        end("00000", peak_memory_mib=900.0),  # of the training
        trial("00001"),  # as a log of an earlier version has it
        end("00001", "failed", peak_memory_mib=900.0),
    ]
    rows = read_trials(kept(tmp_path, events))
    for name, value in {**read, "validation_loss": 0.7}.items():
        assert rows[name].iloc[0] == value and pd.isna(rows[name].iloc[1])


def test_a_table_of_an_earlier_version_is_read_with_nulls(tmp_path: Path) -> None:
    path = kept(tmp_path, story()) / "trials.parquet"
    new = read_trials(path)
    pq.write_table(pq.read_table(path).drop_columns(["validation_loss", "memory_device"]), path)
    old = read_trials(path)
    assert old["validation_loss"].dropna().empty and not new["validation_loss"].dropna().empty
    assert old.dtypes.to_dict() == new.dtypes.to_dict() and len(old) == len(new)
    pq.write_table(pq.read_table(path).drop_columns("size_bits"), path)
    assert read_trials(path)["size_bits"].isna().all()


def test_a_log_of_an_earlier_version_says_by_its_config_what_was_measured(tmp_path: Path) -> None:
    asked = [
        {"name": "size_bytes", "direction": "min", "bits": 8},
        {"name": "peak_memory_mib", "direction": "min", "batch_size": 4},
    ]
    events = [
        header(config={"objectives": asked}),
        trial("00000", peak_memory_mib=0.5),
        end("00000"),
        trial("00001", size_bits=16, peak_memory_mib=0.5, memory_device="cuda: B, batch 1"),
        end("00001"),
    ]
    rows = read_trials(kept(tmp_path, events))
    assert list(rows["size_bits"]) == [8, 16]
    assert list(rows["memory_device"]) == ["cpu, batch 4", "cuda: B, batch 1"]


def test_a_search_without_a_row_is_a_valid_table_of_none(tmp_path: Path) -> None:
    kept(tmp_path, [header()])
    trials, epochs = read_trials(tmp_path), read_epochs(tmp_path)
    assert len(trials) == len(epochs) == 0
    assert "validation_accuracy" in trials and "train_loss" in epochs


def test_epochs_have_a_column_a_term_and_none_of_a_voided_start(tmp_path: Path) -> None:
    epochs = read_epochs(kept(tmp_path, story()))
    assert {"label_loss", "kd_loss", "at_loss"} <= set(epochs)
    again = epochs[epochs["trial_id"] == "00001"]
    assert again["at_loss"].tolist() == [2.0]
    assert again["kd_loss"].isna().all()
    assert epochs["label_loss"].max() == float("inf")  # what diverged is shown as it was


def test_views_are_those_of_the_log(tmp_path: Path) -> None:
    kept(tmp_path / "live", story())
    (tmp_path / "again").mkdir()
    log = (tmp_path / "live" / "log.jsonl").read_bytes()
    (tmp_path / "again" / "log.jsonl").write_bytes(log)
    kept(tmp_path / "again", [])
    for name in ("trials.parquet", "epochs.parquet"):
        live, again = (pq.read_table(tmp_path / f / name) for f in ("live", "again"))
        assert repr(live.to_pydict()) == repr(again.to_pydict())  # repr: nan equals nan


def test_a_reader_sees_whole_tables_while_a_writer_flushes(tmp_path: Path) -> None:
    faults, counts, done = [], [], threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                with (tmp_path / "trials.parquet").open("rb") as file:
                    counts.append(len(pd.read_parquet(file)))
                rows = read_trials(tmp_path)
                assert len(rows) >= counts[-1]
                assert set(rows["trial_id"]) <= set(read_epochs(tmp_path)["trial_id"])
            except Exception as fault:
                faults.append(fault)

    with ResultStore.open(tmp_path) as store:
        store.append(header())
        store.flush(force=True)
        reader = threading.Thread(target=read)
        reader.start()
        for number in range(80):
            for event in (trial(str(number)), epoch(str(number), 1, 0.5), end(str(number))):
                store.append(event)
            store.flush(force=True)
        done.set()
        reader.join()
    assert not faults
    assert counts == sorted(counts) and counts[-1] > 0


def test_rows_reach_the_views_even_if_the_search_breaks_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ResultStore.open(tmp_path) as store:
        for event in story():
            store.append(event)
        raise KeyboardInterrupt
    assert len(read_trials(tmp_path)) == 4


def test_views_left_behind_by_a_kill_are_whole_again_on_opening(tmp_path: Path) -> None:
    kept(tmp_path, story())
    kept_rows = read_trials(tmp_path)
    (tmp_path / "trials.parquet").unlink()
    (tmp_path / ".trials.parquet.0a1b.part").write_bytes(b"half")
    with ResultStore.open(tmp_path):
        pd.testing.assert_frame_equal(read_trials(tmp_path), kept_rows)
    assert not list(tmp_path.glob(".*.part"))


def test_flushing_is_rare_unless_forced(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path) as store:
        store.append(header())
        store.flush()  # the first is never late
        store._views._wait()  # for its thread
        for event in story()[1:]:
            store.append(event)
        store.flush()
        assert len(read_trials(tmp_path)) == 0
        store.flush(force=True)
        assert len(read_trials(tmp_path)) == 4


def test_a_full_disk_leaves_the_old_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ResultStore.open(tmp_path) as store:
        for event in story():
            store.append(event)
        store.flush(force=True)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(UserError, match=r"\.parquet: cannot be written"):
                store.flush(force=True)
            with pytest.raises(UserError, match=r"log\.jsonl"):
                store.append(end("00004"))
        assert len(read_trials(tmp_path)) == 4
        assert "00004" in store.history.running
    assert repr(store.history) == repr(fold(read_events(tmp_path / "log.jsonl")))
    assert not list(tmp_path.glob(".*.part"))


HOLD = """
import sys, time
from pathlib import Path
from kdsearch.results.store import ResultStore
with ResultStore.open(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_writer_a_search_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process"), ResultStore.open(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with ResultStore.open(tmp_path) as store:
            store.append(header())
    finally:
        holder.kill()
        holder.wait(10)
        holder.stdout.close()  # type: ignore[union-attr]


def test_what_is_no_table_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_trials(tmp_path)
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(UserError, match="not a Parquet file"):
        read_trials(tmp_path / "text.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UserError, match="not written by kdsearch"):
        read_trials(tmp_path / "other.parquet")
    kept(tmp_path, [header()])
    with pytest.raises(UserError, match="missing"):
        read_trials(tmp_path / "epochs.parquet")


def test_a_later_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    table = pq.read_table(kept(tmp_path, [header()]) / "trials.parquet")
    later = table.replace_schema_metadata({"kdsearch_schema": "2"})
    pq.write_table(later, tmp_path / "trials.parquet")
    with pytest.raises(UserError, match=r"2 .*1.*update kdsearch"):
        read_trials(tmp_path)


def test_reading_results_loads_neither_matplotlib_nor_torch() -> None:
    code = "import sys, kdsearch.results.front; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert {"matplotlib", "plotly", "ray", "torch"}.isdisjoint(answer.stdout.split())
    assert "kdsearch.results.front" in answer.stdout


def test_text_that_is_no_text_ends_neither_the_search_nor_its_log(tmp_path: Path) -> None:
    error = "OSError: donn\udce9es/x.png"  # of a path that is no UTF-8
    with ResultStore.open(tmp_path) as store:
        store.append(header(base="/donn\udce9es"), trial("00000"))
        store.append(end("00000", status="failed", error=error))
        store.flush(force=True)
        live = repr(store.history)
    assert read_trials(tmp_path)["error"].tolist() == ["OSError: donn\\udce9es/x.png"]
    assert repr(fold(read_events(tmp_path / "log.jsonl"))) == live
