"""What does a search lose whose results stand at an address that fails? An S3 server on loopback.

One search on the digits, `kdsearch run FILE --results s3://...`, with its usual times. While it
runs the server meets calls with HTTP errors, closes connections, does what it is asked and loses
the answer, answers late, says nothing, and is away. Then the driver is killed (SIGKILL) and its
disk with it; the same command goes on, with an empty disk, from what is at the address.

Of each: calls that met it; by how many seconds the address was behind this machine's log, at most;
how long after the fault it was level again. Of the kill: epochs that only the lost disk had, and
are trained again. In the end: rows and epochs that are missing or there twice.

Target: no row lost or twice, no epoch missing or twice, exactly the budget's trials, and nothing
behind at the end.

    python benchmarks/remote.py [--trials 120] [--seconds 12]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the server, which the tests share

from kdsearch import read_epochs, read_trials
from kdsearch.results.log import read_events
from kdsearch.results.remote.segments import read_name
from tests.results.remote.server import Server

COMMAND = [sys.executable, "-c", "from kdsearch.cli import main; main()", "run", "remote.yaml"]
FAULTS = {"error": 0.3, "drop": 0.3, "lost": 0.3, "slow": 0.5, "hang": 0.2, "away": 1.0}
BATCH = 2.0  # seconds: what is not yet sent, for it has just been recorded
PATIENCE = 400.0  # seconds without an epoch: it hangs
EPOCH = b'{"event":"epoch"'
LEVEL = 90.0  # seconds within which the address is to be level again


def search(trials: int) -> dict[str, Any]:
    return {
        "search": "remote",
        "data": {"name": "digits", "batch_size": 32},
        "teacher": {
            "architecture": {"family": "resnet", "blocks": [1, 1], "widths": [8, 16]},
            "epochs": 2,
        },
        "student": {"family": "resnet", "blocks": [1, 1], "widths": {"each": 2, "int": [4, 24]}},
        "losses": [{"method": "kd", "weight": 0.9}],
        "training": {"epochs": 9, "lr": {"float": [0.02, 0.2], "log": True}},
        "proposer": {"name": "random"},
        "scheduler": {"name": "asha", "grace": 3, "reduction": 3, "form": "promoting"},
        "budget": {"trials": trials},
        "resources": {"cpu": max(1, (os.cpu_count() or 2) // 2), "gpu": 0},
    }


class Run:
    """The command, its server, and a thread that watches how far the one is behind the other."""

    def __init__(self, folder: Path, trials: int) -> None:
        (folder / "remote.yaml").write_text(yaml.safe_dump(search(trials)))
        self.server, self.folder, self.cache = Server(hang=30.0), folder, folder / "cache"
        self.uri = self.server.uri("results")
        self.behind = 0.0
        self._grown: list[tuple[int, float]] = []  # bytes that the log had, and since when
        self._watch = threading.Thread(target=self._look, daemon=True)
        self.process = self.start()
        self._watch.start()

    def start(self) -> subprocess.Popen[bytes]:
        """The command, with an empty log of what was seen of it."""
        told = ["--quiet", "--results", self.uri]
        env = {**os.environ, "KDSEARCH_CACHE": str(self.cache), "RAY_worker_niceness": "0"}
        out = (self.folder / "out.txt").open("ab")
        return subprocess.Popen([*COMMAND, *told], cwd=self.folder, env=env, stdout=out, stderr=out)

    def log(self) -> Path | None:
        """Of the working copy."""
        return next(self.cache.glob("*/remote/log.jsonl"), None)

    def epochs(self) -> int:
        log = self.log()
        return log.read_bytes().count(EPOCH) if log else 0

    def there(self) -> int:
        """Bytes of the log that are at the address."""
        names = [read_name(key.rpartition("/")[2]) for key in self.server.names()]
        return max((segment.end for segment in names if segment is not None), default=0)

    def kill(self) -> tuple[int, int]:
        """Kill the driver and take its disk; epochs that its log had, and that the address has."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        for child in children:
            if child.is_running():
                child.kill()
        log = self.log()
        assert log is not None
        recorded = log.read_bytes()
        shutil.rmtree(self.cache)
        self._grown.clear()
        return recorded.count(EPOCH), recorded[: self.there()].count(EPOCH)

    def wait(self, epochs: int) -> bool:
        """Until so many more epochs are recorded; False where the search has ended."""
        wanted, until = self.epochs() + epochs, time.monotonic() + PATIENCE
        while self.epochs() < wanted:
            if self.process.poll() is not None:
                return False
            if time.monotonic() > until:
                raise SystemExit(f"no epoch for {PATIENCE:.0f} s: the search hangs")
            time.sleep(0.1)
        return True

    def _look(self) -> None:
        while True:
            log, now = self.log(), time.monotonic()
            size, there = (log.stat().st_size if log else 0), self.there()
            if not self._grown or size > self._grown[-1][0]:
                self._grown.append((size, now))
            missing = [since for grown, since in self._grown if grown > there]
            self.behind = now - missing[0] if missing and log else 0.0
            time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each fault")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        run = Run(Path(made), args.trials)
        try:
            return measure(run, args.trials, args.seconds)
        finally:
            if run.process.poll() is None:
                run.process.send_signal(signal.SIGINT)
                run.process.wait(60)
            print((run.folder / "out.txt").read_text()[-2000:], file=sys.stderr)


def measure(run: Run, trials: int, seconds: float) -> int:
    rows: dict[str, list[float]] = defaultdict(list)
    run.wait(4)
    for name, share in FAULTS.items():
        fault = "drop" if name == "away" else name
        before, most = run.server.spoken[fault], 0.0
        with run.server.failing(fault, share):
            until = time.monotonic() + seconds
            while time.monotonic() < until and run.process.poll() is None:
                most = max(most, run.behind)
                time.sleep(0.1)
        over, most = time.monotonic(), max(most, run.behind)
        while run.behind > BATCH and time.monotonic() - over < LEVEL:
            most = max(most, run.behind)
            time.sleep(0.1)
        rows[name] = [run.server.spoken[fault] - before, most, time.monotonic() - over]
        print(f"{name}: {rows[name]}", flush=True)
    if not run.wait(3):
        raise SystemExit("the search ended before all faults had their time; give more --trials")
    had, kept = run.kill()
    began, lost = time.monotonic(), had - kept
    attempts = 0
    while True:  # a machine that does not know it has to wait until the dead one is taken for dead
        attempts += 1
        run.process = run.start()
        if run.wait(1) or run.process.returncode == 0:
            break
        time.sleep(10)
    again = time.monotonic() - began
    ended = run.process.wait(PATIENCE)
    uri = run.server.uri("results/remote")
    table, epochs = read_trials(uri), read_epochs(uri)
    doubled = int(table["trial_id"].duplicated().sum())
    twice = int(epochs.duplicated(["trial_id", "epoch"]).sum())
    counted = epochs.groupby("trial_id")["epoch"].count().to_dict()
    wanted = table.set_index("trial_id")["epochs"].to_dict()
    missing = sum(abs(count - counted.get(trial_id, 0)) for trial_id, count in wanted.items())
    log = run.log()
    assert log is not None
    behind = log.stat().st_size - run.there()
    told = [e for e in read_events(log) if e["event"] == "end"]
    print(f"{'fault':>8}{'calls':>7}{'behind at most, s':>20}{'level after, s':>16}")
    for name, (calls, most, after) in rows.items():
        print(f"{name:>8}{calls:7.0f}{most:20.1f}{after:16.1f}")
    print(
        f"driver and disk lost: {had} epochs were recorded, {kept} at the address: {lost} trained"
    )
    print(f"again; an epoch is recorded again after {again:.0f} s, on try {attempts}")
    print(f"rows {len(table)} of {trials}, ends in the log {len(told)}, twice {doubled}; ", end="")
    print(f"epochs missing {missing}, twice {twice}; bytes behind at the end {behind}")
    lost_rows = trials - len(table)
    missed = any((lost_rows, doubled, twice, missing, behind, ended, len(told) - trials))
    print(f"target: nothing lost, nothing twice: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
