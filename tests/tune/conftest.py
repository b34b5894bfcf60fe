"""A whole search on Ray, run once."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdsearch import run_search
from tests.tune.whole import TREE, Readings, Searched, read_on


@pytest.fixture(scope="session")
def searched(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    results = tmp_path_factory.mktemp("results")
    readings, done = Readings(), threading.Event()
    reader = threading.Thread(target=read_on, args=(results / "tiny", done, readings))
    reader.start()
    ctrl_c = signal.getsignal(signal.SIGINT)
    result = run_search(TREE, results=results, quiet=True)
    done.set()
    reader.join()
    yield Searched(result.folder, result.finished, readings, ctrl_c)


@pytest.fixture
def copied(searched: Searched, tmp_path: Path) -> Path:
    """The results of the search, to write into."""
    return shutil.copytree(searched.folder.parent, tmp_path / "results")
