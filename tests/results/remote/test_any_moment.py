"""Whatever moment machine and disk are lost at: what is at the address is a search that goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdsearch.results.log import History, fold, read_events
from kdsearch.results.remote import reading
from kdsearch.results.remote.objects import Objects
from kdsearch.student_folder import CARD, WEIGHTS
from kdsearch.tune.keeping import Front
from tests.results.remote.made import (
    broken_off,
    config,
    hurried,
    log_there,
    lose,
    of,
    outcome,
    searched,
    there,
)
from tests.tune.made import events_of


def test_what_stands_there_goes_on_after_any_call(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, moments = tmp_path / "far", tmp_path / "moments"
    calls: list[str] = []

    def seen(call: Callable[..., None]) -> Callable[..., None]:
        def made(self: Objects, key: str, *given: Any) -> None:
            call(self, key, *given)
            if not key.endswith("writer.json"):
                shutil.copytree(far, moments / str(len(calls)))
                calls.append(key)

        return made

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "put", seen(Objects.put))
        patch.setattr(Objects, "remove", seen(Objects.remove))
        broken_off(f"file://{far}", epochs=100, seconds=0.02)
    wanted = outcome(of(f"file://{far}"))
    assert len(wanted) == 8 and len(calls) > 20
    for moment, key in enumerate(calls):
        assert not lacking(f"file://{moments}/{moment}"), key
    hurried(stale=0.0)  # no need to wait until the dead one is taken for dead
    went_on = 0
    for moment in range(3, len(calls), 1 + len(calls) // 4):
        lose(cache)
        copy = searched(f"file://{moments}/{moment}")
        assert outcome(copy) == wanted, calls[moment]
        told = [(e["trial_id"], e["epoch"]) for e in events_of(copy, "epoch")]
        assert len(set(told)) == len(told), calls[moment]  # no epoch that was there is lost
        went_on += bool(events_of(copy, "resume"))
    assert went_on


def lacking(uri: str) -> list[str]:
    """What the log at an address needs, and does not stand there."""
    with reading(of(uri), ()) as folder:
        history = fold(read_events(folder / "log.jsonl")) if log_there(uri) else History()
    needed: list[str] = []
    for trial_id in (*history.running, *history.resting):
        if 0 < (epoch := len(history.epochs[trial_id])) < 4:
            needed.append(f"made/states/{trial_id}.{epoch}.state")
    for trial_id in Front(config().fixed.objectives).follow(history.rows):
        needed += [f"made/students/{trial_id}/{name}" for name in (CARD, WEIGHTS)]
    return sorted(set(needed) - set(there(uri)))
