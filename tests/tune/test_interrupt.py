"""A user's own network and loss beside the search file, faults among them, and a Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from kdsearch import pareto_front, read_trials
from tests.tune.made import events_of

pytestmark = [pytest.mark.ray, pytest.mark.kill]

NETS = """
import os
import torch
from torch import nn

FAULTS = {6: "wired the wrong way", 12: "CUDA out of memory. Tried to allocate 2.00 GiB"}

class Broken(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def forward(self, maps):
        if maps.device.type != "meta":
            raise RuntimeError(self.fault)
        return maps

def narrow(input, classes, width):
    if width == 9 and not torch.zeros(1).is_meta:
        os._exit(1)  # as if the system had killed the worker
    return nn.Sequential(
        nn.Conv2d(input[0], width, 3, stride=2), nn.BatchNorm2d(width), nn.ReLU(),
        Broken(FAULTS[width]) if width in FAULTS else nn.Identity(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
"""
LOSSES = """
import torch.nn.functional as F
from kdsearch.losses import DistillationLoss

class Cosine(DistillationLoss):
    '''One minus the cosine of the logits.'''
    def forward(self, student, teacher, batch):
        return 1 - F.cosine_similarity(student.logits, teacher.logits).mean()
"""
SEARCH = """
search: own
data: {name: digits, batch_size: 32, images: 800}
teacher: {architecture: {family: "nets_beside_a_file:narrow", width: 16}, epochs: 1}
student: {family: "nets_beside_a_file:narrow", width: {int: [3, 12]}}
losses: [{method: "losses_beside_a_file:Cosine", weight: 0.5}]
training: {epochs: 12}
scheduler: {name: none}
proposer: {name: random}
budget: {trials: 10}
resources: {cpu: CPUS, gpu: 0}
""".replace("CPUS", str(((os.cpu_count() or 1) + 1) // 2))  # two at a time
COMMAND = [sys.executable, "-c", "from kdsearch.cli import main; main()", "run", "files/own.yaml"]


@dataclass
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str
    trials: pd.DataFrame


def command(room: Path, interrupt_after: int | None = None) -> Run:
    """Run the search; Ctrl-C, to all of the terminal's processes, after so many trials."""
    log = room / "results" / "own"
    process = subprocess.Popen(
        COMMAND, cwd=room, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while interrupt_after is not None and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)
            if (log / "log.jsonl").exists() and len(events_of(log, "end")) >= interrupt_after:
                os.killpg(process.pid, signal.SIGINT)
                break
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return Run(process.returncode, out, err, read_trials(log))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, Path]:
    """The command interrupted, the same command again, and their folder."""
    room = tmp_path_factory.mktemp("room")
    (room / "files").mkdir()
    (room / "files" / "own.yaml").write_text(SEARCH)
    (room / "files" / "nets_beside_a_file.py").write_text(NETS)
    (room / "files" / "losses_beside_a_file.py").write_text(LOSSES)
    return command(room, interrupt_after=2), command(room), room


def test_ctrl_c_ends_cleanly_and_keeps_the_rows(runs: tuple[Run, Run, Path]) -> None:
    first, _, _ = runs
    assert first.code == 130, first.err
    assert 2 <= len(first.trials) < 10
    assert "finished trials kept; the same command goes on" in first.out
    assert "Traceback" not in first.err + first.out and "WARNING" not in first.err
    assert "front of" in first.out


def test_test_accuracy_waits_for_the_end(runs: tuple[Run, Run, Path]) -> None:
    room = runs[2]
    kinds = [e["event"] for e in events_of(room / "results" / "own")]
    assert "test" not in kinds[: kinds.index("end")] and kinds.count("test") > 0
    last_end = len(kinds) - 1 - kinds[::-1].index("end")
    assert "test" not in kinds[:last_end]


def test_the_same_command_ends_with_exactly_its_budget(runs: tuple[Run, Run, Path]) -> None:
    first, second, _ = runs
    assert second.code == 0, second.err
    assert sorted(second.trials["trial_id"]) == [f"{i:05d}" for i in range(10)]
    assert second.trials["architecture_key"].is_unique
    pd.testing.assert_frame_equal(second.trials.head(len(first.trials)), first.trials)
    assert "Traceback" not in second.err


def test_what_was_in_flight_started_again_as_it_was(runs: tuple[Run, Run, Path]) -> None:
    first, _, room = runs
    started: dict[str, list[dict]] = {}
    for event in events_of(room / "results" / "own", "trial"):
        started.setdefault(event["trial_id"], []).append(event)
    twice = [events for events in started.values() if len(events) > 1]
    assert 1 <= len(twice) <= 4  # those that two workers had, or had been given
    for events in twice:
        assert events[0]["trial_id"] not in set(first.trials["trial_id"])
        assert all(e["spec"] == events[0]["spec"] for e in events)


def test_a_student_that_raises_is_a_row_and_the_others_go_on(runs: tuple[Run, Run, Path]) -> None:
    trials = runs[1].trials.set_index("student.width")
    assert trials.loc[6, "status"] == "failed"
    assert "wired the wrong way" in str(trials.loc[6, "error"])
    assert set(trials.drop([6, 9, 12])["status"]) == {"complete"}
    assert trials.loc[6, "trial_id"] not in set(pareto_front(runs[1].trials)["trial_id"])


def test_a_worker_that_dies_costs_its_own_trial_alone(runs: tuple[Run, Run, Path]) -> None:
    trials = runs[1].trials.set_index("student.width")
    assert trials.loc[9, "status"] == "failed" and trials.loc[9, "error"]
    assert trials.loc[9, "epochs"] == 0
    assert "its worker process has died" in trials.loc[9, "error"]


def test_what_runs_out_of_memory_fails_at_once_with_its_reason(runs: tuple[Run, Run, Path]) -> None:
    row = runs[1].trials.set_index("student.width").loc[12]
    assert row["status"] == "failed"
    assert str(row["error"]).startswith("RuntimeError: CUDA out of memory")
