"""What does a search lose when its processes are killed? Driver, worker, raylet, at random moments.

One search on the digits; `kdsearch run` is started again after every kill that ends it. Killed
(SIGKILL) is the driver's process, one worker that trains, or the raylet. After every kill the
Parquet files are read. Counted from the log: epochs lost (recorded, and trained again), rows lost
or twice, and seconds until an epoch is recorded again, with the start of Python and Ray in them
where the driver was killed.

Target: no epoch lost, no row lost or twice, exactly the budget's trials, every Parquet file
readable.

    python benchmarks/kill.py [--kills 20] [--trials 60]
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
from collections import Counter, defaultdict
from contextlib import suppress
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

    def __init__(self, folder: Path, trials: int) -> None:
        self.folder, self.log = folder / "results" / "kill", folder / "results/kill/log.jsonl"
        (folder / "kill.yaml").write_text(yaml.safe_dump(search(trials)))
        told = ["kill.yaml", "--quiet", "--results", "results"]
        self.command, self.cwd = [*COMMAND, *told], folder
        self.process: subprocess.Popen | None = None
        self._children: list[psutil.Process] = []

    def up(self) -> bool:
        """Start it unless it runs; False once it has ended well."""
        if self.process is not None and self.process.poll() == 0:
            return False
        if self.process is None or self.process.poll() is not None:
            for process in self.processes():  # what a killed driver has left
                _kill(process.pid)
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


def _kill(pid: int) -> None:
    with suppress(OSError):  # it is gone already
        os.kill(pid, signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    kills: Counter[str] = Counter()
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    lost: Counter[str] = Counter()
    unreadable = 0
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), args.trials)
        for number in range(args.kills):
            kind = VICTIMS[number % len(VICTIMS)]
            if not run.wait_for(run.epochs() + random.randint(2, 30)):
                break
            time.sleep(random.random() / 2)
            if (pid := run.victim(kind)) is None:
                continue
            before, twice = run.epochs(), _twice(run.log)
            _kill(pid)
            began = time.monotonic()
            kills[kind] += 1
            unreadable += not _readable(run.folder)
            if not run.wait_for(before + 1):
                break
            seconds[kind].append(time.monotonic() - began)
            run.wait_for(before + 8)
            lost[kind] += _twice(run.log) - twice
        while run.up():
            time.sleep(0.1)
        trials = read_trials(run.folder)
        status = trials["status"].value_counts().to_dict()
        doubled = int(trials["trial_id"].duplicated().sum())
        whole = len(trials) == args.trials
        every = not read_epochs(run.folder).duplicated(["trial_id", "epoch"]).any()
        total = _twice(run.log)
    print(f"{'killed':>8}{'times':>7}{'epochs lost':>13}{'seconds to go on':>18}")
    for kind in VICTIMS:
        mean = sum(seconds[kind]) / max(1, len(seconds[kind]))
        print(f"{kind:>8}{kills[kind]:7}{lost[kind]:13}{mean:18.1f}")
    print(f"rows {len(trials)} of {args.trials}, twice {doubled}, {status}; epochs lost {total}; ")
    print(f"Parquet unreadable after {unreadable} of {kills.total()} kills")
    missed = bool(total or doubled or unreadable or not whole or not every or "failed" in status)
    print(f"target: nothing lost: {'missed' if missed else 'met'}")
    return int(missed)


def _twice(log: Path) -> int:
    """Epochs that were recorded more than once."""
    told = Counter((e["trial_id"], e["epoch"]) for e in read_events(log) if e["event"] == "epoch")
    return sum(count - 1 for count in told.values())


def _readable(folder: Path) -> bool:
    try:
        read_trials(folder)
        read_epochs(folder)
    except Exception as error:
        print(f"not readable: {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
