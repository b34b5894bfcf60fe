"""Searches at an address, driven without Ray."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.fs

from kdsearch.config import TrialSpec
from kdsearch.results.records import EpochReport
from kdsearch.results.remote import WorkingCopy, patience
from kdsearch.results.remote.patience import Patience
from kdsearch.results.store import read_trials
from kdsearch.search_config import SearchConfig
from kdsearch.tune.asha import Asha
from kdsearch.tune.driver import Driver
from kdsearch.tune.opening import open_search
from tests.tune.made import (
    Listed,
    Train,
    events_of,
    made_config,
    made_driver,
    made_ground,
    mixed,
    play,
)
from tests.tune.promoting import SECTION

WIDTHS = list(range(1, 27))
# Times of a test, in seconds; what is to run out in one is made shorter there, for a busy machine
# may let any call wait.
QUICK = Patience(
    batch=0.01, views=0.0, again=0.02, most=0.1, opening=60.0, closing=60.0, pause=60.0,
    stop=120.0, beat=0.1, stale=1.0, settle=0.0, connect=20.0, request=20.0,
)  # fmt: skip


def hurried(**times: float) -> None:
    """Other times than the usual ones of tests, until the test ends."""
    patience.USUAL = replace(patience.USUAL, **times)


def config(**changes: Any) -> SearchConfig:
    """Trials that pause at rungs: they have states."""
    return made_config(**{"scheduler": SECTION, "budget": {"trials": 8}, **changes})


@contextmanager
def opened(uri: str, search: SearchConfig | None = None) -> Iterator[Driver]:
    """A driver on a search at an address, as `run_search` makes one."""
    search = search or config()
    copy = WorkingCopy.at(uri, "made")
    with open_search(copy.folder, search, copy) as store:
        scheduler = Asha(search.fixed.objectives, search.fixed.scheduler)
        yield Driver(made_ground(search), store, Listed(WIDTHS), scheduler)


def searched(uri: str, search: SearchConfig | None = None, train: Train = mixed) -> Path:
    """A search run to its end, or on to it; its working copy."""
    with opened(uri, search) as driver:
        play(driver, slots=1, train=train)
        assert driver.finished
        return driver.store.folder


def searched_here(folder: Path, search: SearchConfig | None = None) -> Path:
    """The same search in a plain folder."""
    with made_driver(folder / "made", search or config(), Listed(WIDTHS)) as driver:
        play(driver, slots=1, train=mixed)
    return folder / "made"


def broken_off(uri: str, epochs: int, seconds: float = 0.0) -> Path:
    """A search whose process ends after so many epochs; its working copy."""
    left = count()

    def some(spec: TrialSpec) -> Iterator[EpochReport]:
        for report in mixed(spec):
            time.sleep(seconds)
            if next(left) == epochs:
                raise KeyboardInterrupt
            yield report

    with suppress(KeyboardInterrupt):
        searched(uri, train=some)
    return WorkingCopy.at(uri, "made").folder


def outcome(results: Any) -> list[tuple[str, str, int]]:
    """Rows: id, status, epochs."""
    trials = read_trials(results).sort_values("trial_id")
    return list(zip(trials["trial_id"], trials["status"], trials["epochs"], strict=True))


def lose(cache: Path) -> None:
    """The disk of this machine is gone."""
    shutil.rmtree(cache, ignore_errors=True)


def of(uri: str) -> str:
    """The address of the search in a results folder."""
    before, mark, after = uri.partition("?")
    return f"{before}/made{mark}{after}"


def kinds(folder: Path) -> list[tuple[str, Any]]:
    """What a log tells, event by event, without what a clock decides."""
    return [(e["event"], e.get("trial_id")) for e in events_of(folder) if e["event"] != "pause"]


def there(uri: str) -> dict[str, int]:
    """The files at an address and their sizes, past the code that is tested."""
    filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
    selector = pyarrow.fs.FileSelector(path, recursive=True, allow_not_found=True)
    infos = [i for i in filesystem.get_file_info(selector) if i.type == pyarrow.fs.FileType.File]
    return {info.path.removeprefix(f"{path}/"): info.size for info in infos}


def read_there(uri: str, key: str) -> bytes:
    filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
    with filesystem.open_input_stream(f"{path}/{key}") as file:
        return file.read()


def put_there(uri: str, key: str, content: bytes | None) -> None:
    """Write a file at an address, or remove it."""
    filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
    if content is None:
        filesystem.delete_file(f"{path}/{key}")
        return
    with filesystem.open_output_stream(f"{path}/{key}") as file:
        file.write(content)


def log_there(uri: str) -> list[str]:
    """The segments of the search's log."""
    return sorted(key for key in there(uri) if key.startswith("made/log/"))
