"""One S3 server a run, an empty cache and little patience a test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdsearch.results.remote import patience
from kdsearch.tune import resting
from tests.results.remote.made import QUICK
from tests.results.remote.server import Server


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    pytest.importorskip("moto")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The server, well and empty again after the test."""
    yield running
    running.fault, running.share = None, 1.0
    running.meets, running.after = (lambda *_: True), (lambda *_: None)
    running.empty()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where working copies lie."""
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patience, "USUAL", QUICK)
    monkeypatch.setattr(resting, "SHARE", math.inf)  # every epoch leaves a state
    return tmp_path / "cache"
