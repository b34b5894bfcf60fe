"""A training that hangs is ended; one that is slow, or between two epochs, is not."""

from __future__ import annotations

import threading

import pytest

from kdsearch.tune import watchdog
from kdsearch.tune.watchdog import FIRST_SECONDS, LEAST_SECONDS, TIMES, Watchdog


def test_the_limit_follows_the_longest_epoch() -> None:
    dog = Watchdog()
    assert dog.limit == FIRST_SECONDS
    dog.end(1.0)
    assert dog.limit == LEAST_SECONDS
    dog.end(1000.0)
    dog.end(10.0)
    assert dog.limit == TIMES * 1000.0


def test_it_barks_once_when_an_epoch_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "FIRST_SECONDS", 0.01)
    barked = threading.Event()
    Watchdog(barked.set).begin()
    assert barked.wait(10)


def test_it_is_silent_between_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "FIRST_SECONDS", 5.0)
    monkeypatch.setattr(watchdog, "LEAST_SECONDS", 0.05)
    barked = threading.Event()
    dog = Watchdog(barked.set)
    dog.begin()
    dog.end(0.0)
    assert not barked.wait(0.3)
    dog.begin()
    assert barked.wait(10)
