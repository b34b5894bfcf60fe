"""A program: searches on a file system that is full but for so many bytes, and then is not.

    python -m tests.tune.filling FOLDER ROOM [ROOM ...]

For every room it prints, as JSON, what happened.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from kdsearch import read_epochs, read_trials
from kdsearch.errors import UserError
from kdsearch.results.store import ResultStore
from kdsearch.tune import resting
from kdsearch.tune.closing import close_search
from kdsearch.tune.driver import Driver
from kdsearch.tune.keeping import Front
from tests.tune import made
from tests.tune.promoting import SECTION

STATE = b"after epoch " * 2000  # 24 kB
BLOCK = 4096


def search(folder: Path) -> list[tuple[str, str, int]]:
    """Run it or go on with it, to its rows."""
    config = made.made_config(scheduler={**SECTION, "form": "promoting"}, budget={"trials": 12})
    with made.made_driver(folder, config, made.Listed(list(range(1, 27)))) as driver:
        made.play(driver)
        close_search(driver.store, config, None)
        return outcome(driver)


def outcome(driver: Driver) -> list[tuple[str, str, int]]:
    return sorted((row.trial_id, row.status, row.epochs) for row in driver.history.rows)


def fill(path: Path, room: int) -> None:
    """Leave so many bytes."""
    system = os.statvfs(path.parent)
    path.write_bytes(bytes(max(0, system.f_bavail * system.f_frsize - room)))


def tell(folder: Path, room: int) -> dict[str, Any]:
    """What a search says when the disk is full, what stands then, and what comes of it."""
    there, ballast = folder / "search", folder / "ballast"
    fill(ballast, room)
    line = None
    try:
        search(there)
    except UserError as error:
        line = str(error)
    rows = epochs = 0
    if (there / "trials.parquet").exists():
        rows, epochs = len(read_trials(there)), len(read_epochs(there))
    parts = [path.name for path in there.rglob("*.part")] + [p.name for p in there.rglob("*.old")]
    states = sorted(path.name for path in there.glob("states/*"))
    ballast.unlink()
    end = search(there)
    with ResultStore.open(there) as store:
        kept = len(store.students())
        front = len(Front(made.made_config().fixed.objectives).follow(store.history.rows))
    told = [(e["trial_id"], e["epoch"]) for e in made.events_of(there, "epoch")]
    shutil.rmtree(there)
    return {
        "line": line,
        "rows": rows,
        "epochs": epochs,
        "parts": parts,
        "states": len(states),
        "end": end,
        "students": kept,
        "front": front,
        "again": len(told) - len(set(told)),
    }


def main(folder: Path, rooms: list[int]) -> None:
    made.STATE = STATE
    resting.SHARE = math.inf  # every state is written
    print(json.dumps([tell(folder, room) for room in rooms]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(room) for room in sys.argv[2:]])
