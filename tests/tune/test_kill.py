"""Processes of a real search are killed: its trials go on, in another worker or another run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from kdsearch.results.store import read_epochs, read_trials
from tests.tune.made import events_of

pytestmark = [pytest.mark.ray, pytest.mark.kill]

TRIALS = 6
SEARCH = {
    "search": "kill",
    "data": {"name": "digits", "batch_size": 16},
    "student": {"family": "resnet", "blocks": [1, 1], "widths": {"each": 2, "int": [8, 24]}},
    "training": {"epochs": 8, "lr": {"float": [0.02, 0.2], "log": True}},
    "proposer": {"name": "random"},
    "scheduler": {"name": "none"},
    "budget": {"trials": TRIALS},
    "resources": {"cpu": max(1, (os.cpu_count() or 2) // 2), "gpu": 0},
}
COMMAND = [sys.executable, "-c", "from kdsearch.cli import main; main()", "run", "kill.yaml"]


def begun(room: Path) -> subprocess.Popen:
    told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*COMMAND, "--quiet"], cwd=room, **told)


def wait_until(seen: Callable[[], bool]) -> None:
    until = time.monotonic() + 240
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_nothing_recorded_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    (tmp_path / "kill.yaml").write_text(yaml.safe_dump(SEARCH))
    folder = tmp_path / "results" / "kill"

    def epochs() -> int:
        return len(events_of(folder, "epoch")) if (folder / "log.jsonl").exists() else 0

    first = begun(tmp_path)
    wait_until(lambda: epochs() >= 4)
    started = psutil.Process(first.pid).children(recursive=True)
    workers = [p for p in started if p.is_running() and "ResourceTrainable" in p.cmdline()[0]]
    workers[0].kill()
    before = epochs()
    wait_until(lambda: epochs() >= before + 6)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert len(read_trials(folder)) <= TRIALS  # readable as it was left
    assert begun(tmp_path).wait(240) == 0
    trials, rows = read_trials(folder), read_epochs(folder)
    assert set(trials["status"]) == {"complete"} and len(trials) == TRIALS
    assert trials["trial_id"].is_unique and len(rows) == 8 * TRIALS
    told = Counter((e["trial_id"], e["epoch"]) for e in events_of(folder, "epoch"))
    assert sum(told.values()) - len(told) <= 2  # trained again: what no state had come with yet
    assert len(events_of(folder, "resume")) >= 2
    assert not (folder / "states").exists()
