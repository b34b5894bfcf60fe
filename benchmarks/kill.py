"""What does a search lose when its processes are killed? Driver, worker, raylet, at random moments.

One search on the digits; `kdsearch run` is started again after every kill that ends it. Killed
(SIGKILL) is the driver's process, one worker that trains, or the raylet. After every kill the
Parquet files are read. Counted from the log: epochs lost (recorded, and trained again), rows lost
or twice, and seconds until an epoch is recorded again, with the start of Python and Ray in them
where the driver was killed.

Target: no epoch lost, no row lost or twice, exactly the budget's trials, every Parquet file
readable.

    python benchmarks/kill.py [--kills 20] [--trials 120]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import yaml

from kdsearch.results.log import read_events
from kdsearch.results.store import read_epochs, read_trials

VICTIMS = ("driver", "worker", "raylet")
COMMAND = [sys.executable, "-c", "from kdsearch.cli import main; main()", "run"]
PATIENCE = 300.0  # seconds without an epoch: it hangs


def search(trials: int) -> dict[str, Any]:
    """Trials of a few seconds, in two slots, that pause at rungs."""
    return {
        "search": "kill",
        "data": {"name": "digits", "batch_size": 32},
        "teacher": {
            "architecture": {"family": "resnet", "blocks": [1, 1], "widths": [8, 16]},
            "epochs": 2,
        },
        "student": {"family": "resnet", "blocks": [1, 1], "widths": {"each": 2, "int": [4, 24]}},
        "losses": [{"method": "kd", "weight": 0.9}],
        "training": {"epochs": 27, "lr": {"float": [0.02, 0.2], "log": True}},
        "scheduler": {"name": "asha", "grace": 3, "reduction": 3, "form": "promoting"},
        "budget": {"trials": trials},
        "resources": {"cpu": max(1, (os.cpu_count() or 2) // 2), "gpu": 0},
    }


class Run:
    """The command, started again whenever it is not there."""

    def __init__(self, folder: Path, tree: dict[str, Any]) -> None:
        self.folder = folder / "results" / tree["search"]
        self.log = self.folder / "log.jsonl"
        (folder / "search.yaml").write_text(yaml.safe_dump(tree))
        told = ["search.yaml", "--quiet", "--results", "results"]
        self.command, self.cwd = [*COMMAND, *told], folder
        self.process: subprocess.Popen | None = None
        self._children: list[psutil.Process] = []

    def up(self) -> bool:
        """Start it unless it runs; False once it has ended well."""
        if self.process is not None and self.process.poll() == 0:
            return False
        if self.process is None or self.process.poll() is not None:
            for process in self.processes():  # what a killed driver has left
                kill(process.pid)
            self._children = []
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env={**os.environ, "RAY_worker_niceness": "0"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return True

    def processes(self) -> list[psutil.Process]:
        """What the driver has started, directly or not."""
        if self.process is not None:
            with suppress(psutil.Error):
                self._children = psutil.Process(self.process.pid).children(recursive=True)
        return self._children

    def victim(self, kind: str) -> int | None:
        """A process of that kind."""
        if kind == "driver":
            return None if self.process is None else self.process.pid
        sign = "ray::ResourceTrainable" if kind == "worker" else "/raylet/raylet"
        found: list[int] = []
        for process in self.processes():
            with suppress(psutil.Error):  # it has just ended
                if sign in process.cmdline()[0]:
                    found.append(process.pid)
        return random.choice(found) if found else None

    def epochs(self) -> int:
        """Epoch events in the log."""
        return self.log.read_bytes().count(b'{"event":"epoch"') if self.log.exists() else 0

    def wait_for(self, epochs: int) -> bool:
        """Until the log has so many epochs; False where the search ended before."""
        until = time.monotonic() + PATIENCE
        while self.epochs() < epochs:
            if not self.up():
                return False
            if time.monotonic() > until:
                raise SystemExit(f"no epoch for {PATIENCE:.0f} s: the search hangs")
            time.sleep(0.02)
        return True


def kill(pid: int) -> None:
    """SIGKILL."""
    with suppress(OSError):  # it is gone already
        os.kill(pid, signal.SIGKILL)


@dataclass
class Tally:
    """What one kind of kill cost."""

    times: int = 0
    epochs: int = 0
    rows: int = 0
    twice: int = 0
    seconds: list[float] = field(default_factory=list)

    def line(self, kind: str) -> str:
        """A row of the table."""
        mean = sum(self.seconds) / max(1, len(self.seconds))
        return f"{kind:>8}{self.times:7}{self.epochs:13}{self.rows:11}{self.twice:12}{mean:18.1f}"


def injected(run: Run, kind: str, tally: Tally) -> bool:
    """Kill one of that kind and wait until the search goes on; False where it ended meanwhile."""
    if not run.wait_for(run.epochs() + random.randint(2, 30)):
        return False
    time.sleep(random.random() / 2)
    if (pid := run.victim(kind)) is None:
        return True
    before, twice, rows = run.epochs(), _twice(run.log), ended(run.log)
    kill(pid)
    began = time.monotonic()
    tally.times += 1
    _check_readable(run.folder)
    if not run.wait_for(before + 1):
        return False
    tally.seconds.append(time.monotonic() - began)
    run.wait_for(before + 8)
    now = ended(run.log)
    tally.epochs += _twice(run.log) - twice
    tally.rows += len(rows - now)
    tally.twice += now.total() - len(now)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    tallies = {kind: Tally() for kind in VICTIMS}
    with tempfile.TemporaryDirectory() as folder:
        run, turns = Run(Path(folder), search(args.trials)), cycle(VICTIMS)
        while (kills := sum(t.times for t in tallies.values())) < args.kills:
            kind = next(turns)
            if not injected(run, kind, tallies[kind]):
                break
        while run.up():
            time.sleep(0.1)
        trials, epochs = read_trials(run.folder), read_epochs(run.folder)
        total = _twice(run.log)
    print(
        f"{'killed':>8}{'times':>7}{'epochs lost':>13}{'rows lost':>11}{'rows twice':>12}"
        f"{'seconds to go on':>18}"
    )
    for kind, tally in tallies.items():
        print(tally.line(kind))
    status = trials["status"].value_counts().to_dict()
    print(f"{kills} kills; rows {len(trials)} of {args.trials}, {status}; epochs lost {total}")
    lost = total + sum(t.rows + t.twice for t in tallies.values())
    lost += trials["trial_id"].duplicated().sum()
    lost += epochs.duplicated(["trial_id", "epoch"]).sum()
    missed = bool(lost or len(trials) != args.trials or "failed" in status)
    print(f"target: nothing lost, every table readable: {'missed' if missed else 'met'}")
    return int(missed)


def _twice(log: Path) -> int:
    """Epochs that were recorded more than once."""
    told = Counter((e["trial_id"], e["epoch"]) for e in read_events(log) if e["event"] == "epoch")
    return sum(count - 1 for count in told.values())


def ended(log: Path) -> Counter[str]:
    """Trials that are rows by the log, and how many times."""
    return Counter(e["trial_id"] for e in read_events(log) if e["event"] == "end")


def _check_readable(folder: Path) -> None:
    read_trials(folder)
    read_epochs(folder)


if __name__ == "__main__":
    sys.exit(main())
