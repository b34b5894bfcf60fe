"""A driver that is killed (SIGKILL), its disk gone with it: another machine goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.results.remote.made import hurried, lose, of, outcome, searched, searched_here, there
from tests.results.remote.server import Server
from tests.tune.made import events_of

PROGRAM = """
import sys
from kdsearch.results.remote import patience
from tests.results.remote.made import QUICK, broken_off
patience.USUAL = QUICK
broken_off(sys.argv[1], epochs=1000, seconds=0.15)
"""


@pytest.mark.kill
def test_a_killed_driver_and_its_disk(server: Server, tmp_path: Path, cache: Path) -> None:
    uri = server.uri("killed")
    env = {**os.environ, "KDSEARCH_CACHE": str(tmp_path / "gone")}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, uri], env=env)
    until = time.monotonic() + 120
    while sum(size for key, size in there(uri).items() if "/log/" in key) < 8000:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    lose(tmp_path / "gone")
    hurried(stale=0.0)
    copy = searched(uri)
    assert outcome(of(uri)) == outcome(searched_here(tmp_path / "plain"))
    told = [(e["trial_id"], e["epoch"]) for e in events_of(copy, "epoch")]
    assert len(set(told)) >= len(told) - 1  # at most one had no state yet: it was trained again
