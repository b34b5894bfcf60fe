"""Trials that rest are neither running nor rows, and a history says where each of them is."""

from __future__ import annotations

from kdsearch.results.history import fold
from tests.results.made import end, epoch, header, trial


def rest(trial_id: str, at: int, seconds: float) -> dict:
    return {"event": "rest", "trial_id": trial_id, "epoch": at, "seconds": seconds}


def resume(trial_id: str, at: int) -> dict:
    return {"event": "resume", "trial_id": trial_id, "epoch": at}


def test_a_trial_that_rests_and_goes_on_is_one_trial() -> None:
    events = [header(), trial("0"), epoch("0", 1, 0.1), rest("0", 1, 2.0)]
    resting = fold(events)
    assert list(resting.resting) == ["0"] and not resting.running and not resting.rows
    events += [resume("0", 1), epoch("0", 2, 0.2), rest("0", 2, 3.0)]
    assert fold(events).rested == {"0": 5.0}
    events += [resume("0", 2)]
    assert list(fold(events).running) == ["0"] and not fold(events).resting
    ended = fold([*events, epoch("0", 3, 0.3), end("0")])
    assert [row.epochs for row in ended.rows] == [3] and ended.started == 1
    assert not (ended.running or ended.resting or ended.rested)


def test_one_that_starts_again_has_no_past() -> None:
    again = fold([header(), trial("0"), epoch("0", 1, 0.1), rest("0", 1, 2.0), trial("0")])
    assert list(again.running) == ["0"] and not again.resting and not again.rested
    assert again.epochs["0"] == [] and (again.epoch_count, again.started) == (0, 1)


def test_one_that_rests_may_end() -> None:
    events = [header(), trial("0"), epoch("0", 1, 0.1), rest("0", 1, 2.0), end("0", "stopped")]
    assert [row.status for row in fold(events).rows] == ["stopped"]
    assert not fold(events).resting


def test_epochs_know_their_place_among_those_of_all_trials() -> None:
    order = [("1", 1), ("0", 1), ("1", 2), ("0", 2)]
    history = fold([header(), trial("0"), trial("1"), *(epoch(t, e, 0.1) for t, e in order)])
    every = sorted((e for own in history.epochs.values() for e in own), key=lambda e: e["order"])
    assert [(e["trial_id"], e["epoch"]) for e in every] == order
