"""One process reads students, each once, and a student that fails harms no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.meter import Meter, Reading
from kdsearch.meter.device import processor
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.students import describe

LATENCY = ObjectiveConfig(name="latency_ms", direction="min", batch_size=4)
MEMORY = ObjectiveConfig(name="peak_memory_mib", direction="min", batch_size=2)
HERE = f"cpu: {processor()}, 1 thread, batch 4"

NETS = """
import os, signal, torch
def made(input, classes, fault="none"):
    print("a user's network may print")
    if fault == "raise":
        raise RuntimeError("no such layer")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))
"""

MAKER = """
import sys, time
from kdsearch.architecture import Architecture
from kdsearch.meter import Meter
from kdsearch.search_sections import ObjectiveConfig
meter = Meter([ObjectiveConfig(name="peak_memory_mib", direction="min")])
meter.read(Architecture.from_json(sys.argv[1]))
assert "torch" not in sys.modules  # the process that measures loads it, not the one that asks
print(meter._process.pid, flush=True)
time.sleep(60)
"""


def network(width: int) -> Architecture:
    return describe({"family": "mlp", "widths": [width]}, (1, 8, 8), 10)


@pytest.fixture(scope="module")
def meter() -> Iterator[Meter]:
    with Meter([LATENCY, MEMORY]) as made:
        yield made


def test_nothing_asked_is_nothing_read_and_no_process() -> None:
    meter = Meter()
    assert meter.read(network(4)) == Reading() and meter._process is None


def test_a_reading_holds_what_was_asked_and_where(meter: Meter) -> None:
    read = meter.read(network(8))
    assert read.latency_ms is not None and read.latency_ms > 0
    assert read.latency_device == HERE and read.memory_device == "cpu, batch 2"
    assert meter.places() == {"latency_device": HERE, "memory_device": "cpu, batch 2"}
    weights = (64 + 1) * 8 + (8 + 1) * 10
    assert read.peak_memory_mib is not None and read.peak_memory_mib * 2**20 > 4 * weights


def test_an_architecture_is_read_once(meter: Meter) -> None:
    assert meter.read(network(16)) is meter.read(network(16))
    assert meter.read(network(16)).peak_memory_mib != meter.read(network(17)).peak_memory_mib


def test_what_the_log_holds_is_not_measured_again() -> None:
    read = Reading(1.5, HERE, 0.25, "cpu, batch 2")
    event = {"architecture_key": network(8).key, **asdict(read)}
    meter = Meter([LATENCY, MEMORY], [{"architecture_key": "of an older log"}, event])
    assert meter.read(network(8)) == read and meter._process is None


@pytest.mark.parametrize(
    ("latency", "memory"),
    [
        ("cpu: another one, 1 thread, batch 4", "cpu, batch 2"),
        (HERE.replace("1 thread", "2 threads"), "cpu, batch 2"),
        (HERE.replace("batch 4", "batch 1"), "cpu, batch 2"),
        (HERE, "cpu, batch 1"),
        (HERE, None),
    ],
)
def test_what_was_measured_elsewhere_is_measured_again(
    meter: Meter, latency: str, memory: str | None
) -> None:
    read = Reading(1e9, latency, 1e9, memory)
    event = {"architecture_key": network(8).key, **asdict(read)}
    with Meter([LATENCY, MEMORY], [event]) as again:
        now = again.read(network(8))
    assert now.latency_device == HERE and now.memory_device == "cpu, batch 2"
    assert now.peak_memory_mib == meter.read(network(8)).peak_memory_mib


def test_a_student_that_fails_is_a_line_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faulty_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    well = describe({"family": "faulty_nets:made"}, (1, 8, 8), 10)

    def faulty(fault: str) -> Architecture:  # without being built here, as `describe` would
        return replace(well, options=(("fault", fault),))

    with Meter([MEMORY]) as meter:
        for fault, words in (("raise", "no such layer"), ("kill", "ended without an answer")):
            for _ in range(2):
                with pytest.raises(UserError, match=f"peak_memory_mib: cannot be .*{words}"):
                    meter.read(faulty(fault))
        assert meter.read(well).peak_memory_mib is not None


def test_the_process_ends_with_its_maker_even_if_that_is_killed() -> None:
    command = [sys.executable, "-c", MAKER, network(4).to_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        child = int(maker.stdout.readline())
        os.kill(child, 0)
        maker.send_signal(signal.SIGKILL)
    for _ in range(200):
        if not _alive(child):
            return
        time.sleep(0.05)
    raise AssertionError("the meter outlives its maker")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
