"""Where the time goes: every second belongs to one part, and nobody pays who does not ask."""

from __future__ import annotations

import time

import pytest
import torch

from kdsearch.schemes.clock import Clock, Stopwatch


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved by hand."""
    at = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: at[0])
    return at


def test_the_time_of_an_inner_part_is_not_the_outer_ones(now: list[float]) -> None:
    watch = Stopwatch(torch.device("cpu"))
    with watch.part("losses"):
        now[0] += 1
        with watch.part("teacher"):
            now[0] += 2
        now[0] += 4
    now[0] += 8  # nobody's
    with watch.part("teacher"):
        now[0] += 16
    assert watch.seconds == {"losses": 5, "teacher": 18}


def test_items_take_their_own_time_and_not_that_of_their_use(now: list[float]) -> None:
    def items():
        for item in "ab":
            now[0] += 1
            yield item
        now[0] += 0.5  # to find that there is no other

    watch, seen = Stopwatch(torch.device("cpu")), []
    for item in watch.each("data", items()):
        now[0] += 10
        seen.append(item)
    assert seen == ["a", "b"] and watch.seconds == {"data": 2.5}


def test_a_part_that_fails_is_closed(now: list[float]) -> None:
    watch = Stopwatch(torch.device("cpu"))
    with pytest.raises(KeyError), watch.part("losses"):
        now[0] += 1
        raise KeyError
    now[0] += 2
    with watch.part("backward"):
        now[0] += 4
    assert watch.seconds == {"losses": 1, "backward": 4}


def test_a_clock_that_nobody_reads_hands_everything_on() -> None:
    clock = Clock()
    with clock.part("losses"):
        assert list(clock.each("data", [1, 2])) == [1, 2]
