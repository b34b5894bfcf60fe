"""What a log remembers of machines: what trials take there, and how many their memory holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.results.history import fold
from kdsearch.results.log import read_events
from tests.results.made import story
from tests.results.test_log import written


def test_what_machines_hold_is_remembered_by_their_kind() -> None:
    chosen = {"event": "resources", "cpu": 1.0, "gpu": 0.5, "memory_mib": 700, "why": "so"}
    crowd = {"event": "crowd", "place": "2 CPU", "at": "2026-01-02T03:04:05+00:00"}
    worn = {"event": "worn", "trial_id": "00004", "why": "it held on to 900 MiB"}
    events = [
        *story(),
        {**chosen, "place": "2 CPU"},
        {**crowd, "most": 3},
        worn,
        {**crowd, "most": 2},
        {**chosen, "place": "64 CPU", "cpu": 4.0},
    ]
    history = fold(events)
    assert history.crowded == {"2 CPU": 2}
    assert {place: event["cpu"] for place, event in history.resources.items()} == {
        "2 CPU": 1.0,
        "64 CPU": 4.0,
    }
    without = fold(story())
    assert repr(history.rows) == repr(without.rows) and history.running == without.running


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event": "crowd", "most": 3}, "crowd without its 'place'"),
        ({"event": "crowd", "place": "2 CPU"}, "crowd without its 'most'"),
        ({"event": "resources", "place": "2 CPU", "cpu": 0.0}, "cpu 0.0: "),
        ({"event": "resources", "place": "2 CPU", "gpu": -1.0}, "gpu -1.0: "),
        ({"event": "resources", "place": 2}, "place 2: "),
        ({"event": "crowd", "place": "", "most": -1}, "most -1: "),
    ],
)
def test_what_machines_hold_is_read_with_care(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: dict, words: str
) -> None:
    with monkeypatch.context() as patch:  # by something else that writes logs
        patch.setattr("kdsearch.results.log.event_fault", lambda _: None)
        path = written(tmp_path / "log.jsonl", [*story(), event])
    with pytest.raises(UserError, match="damaged") as error:
        fold(read_events(path))
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1
