"""Searches for the report, made up, and a real browser to open it in."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kdsearch.results.store import ResultStore
from tests.results.made import end, epoch, header, trial

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NETWORK = json.dumps({"family": "resnet", "stages": [{"blocks": [{}, {}], "width": 8}]})


def search(folder: Path, trials: int = 16, **changes: Any) -> Path:
    """A search of so many trials, of which every third was stopped; accuracy follows the lr."""
    rng = random.Random(0)
    events = [header(**changes.pop("header", {}))]
    for i in range(trials):
        name, lr = f"{i:05d}", round(rng.uniform(0.01, 0.2), 4)
        taught = {"losses[1]": "at", "losses[1].at.weight": 30.0} if i % 2 else {"losses[1]": "kd"}
        holes = {"student.widths[0]": rng.randrange(4, 17), "training.lr": lr, **taught}
        told = {"parameters": 500 + 97 * i, "macs": 9000 - 50 * i, "assignment": holes, **changes}
        events.append(trial(name, **{"architecture": NETWORK, **told}))
        last = 1 if i % 3 == 2 else 3
        events += [epoch(name, n + 1, 0.2 + 0.2 * n + lr) for n in range(last)]
        events.append(end(name, "stopped" if last == 1 else "complete"))
    return written(folder, events)


def written(folder: Path, events: list[dict[str, Any]]) -> Path:
    with ResultStore.open(folder) as store:
        store.append(*events)
    return folder


def figures_in(page: str) -> dict[str, Any]:
    """The figures that a page was written with."""
    found = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


class Browser:
    """A browser without a window and without a way out."""

    def __init__(self, program: str, profile: Path) -> None:
        self.program, self.profile = program, profile

    def open(self, address: str, width: int = 1400) -> tuple[str, list[str]]:
        """The page once its scripts have run, and what it logged."""
        told = self._command(address, width, "--virtual-time-budget=10000", "--dump-dom")
        done = subprocess.run(told, capture_output=True, text=True, timeout=120)
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line or "net::" in line]
        return done.stdout, said

    @contextmanager
    def opened(self, address: str) -> Iterator[None]:
        """The page stands open, in real time, until the block is left."""
        told = self._command(address, 1400, "--remote-debugging-port=0")
        with subprocess.Popen(told, stderr=subprocess.DEVNULL) as running:
            try:
                yield
            finally:
                running.terminate()

    def _command(self, address: str, width: int, *more: str) -> list[str]:
        return [
            self.program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={self.profile}", f"--window-size={width},1200",
            "--enable-logging=stderr", "--v=0", *more, address,
        ]  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is on the path")
    return Browser(program, tmp_path / "profile")
