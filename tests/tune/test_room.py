"""A bound on what a search takes of the disk: it stops at it, and goes on with a larger one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.search_config import SearchConfig
from kdsearch.tune import resting
from kdsearch.tune.room import MIB
from tests.tune import made
from tests.tune.made import Listed, made_config, made_driver, play
from tests.tune.promoting import SECTION

WIDTHS = list(range(1, 27))
LARGE = 40_000  # bytes of a state


@pytest.fixture(autouse=True)
def large_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "SHARE", math.inf)
    monkeypatch.setattr(made, "STATE", b"." * LARGE)


def config(mib: float | None = None) -> SearchConfig:
    bound = {} if mib is None else {"disk_mib": mib}
    scheduler = {**SECTION, "form": "promoting"}
    return made_config(scheduler=scheduler, budget={"trials": 8, **bound})


def search(folder: Path, mib: float | None = None) -> list[tuple[str, str, int]]:
    with made_driver(folder, config(mib), Listed(WIDTHS)) as driver:
        play(driver)
        return sorted((row.trial_id, row.status, row.epochs) for row in driver.history.rows)


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_search_stops_at_its_bound_and_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    wanted = search(tmp_path / "unbound")
    mib, stops = 0.1, 0
    while True:
        try:
            assert search(tmp_path / "bound", mib) == wanted
            break
        except UserError as error:
            assert str(error).startswith(f"budget.disk_mib: {mib:g}, but ")
            # Tables and the log's last events are written even so: they are the rows.
            assert taken(tmp_path / "bound") < mib * MIB + LARGE
        mib, stops = mib + 0.05, stops + 1
    assert stops > 1


def test_a_smaller_bound_than_the_search_began_with_is_refused(tmp_path: Path) -> None:
    search(tmp_path, 10)
    with pytest.raises(UserError, match="only a larger budget"):
        search(tmp_path, 5)
    assert search(tmp_path, 20)
