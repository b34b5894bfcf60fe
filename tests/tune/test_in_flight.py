"""Trials that run or wait: order, losses, and how many at a time."""

from __future__ import annotations

from kdsearch.tune.in_flight import CALM, MOST_LOSSES, InFlight


def event(name: str) -> dict[str, str]:
    return {"trial_id": name}


def running(*names: str) -> InFlight:
    flight = InFlight(())
    flight.running.update({name: event(name) for name in names})
    return flight


def test_who_waits_longest_is_first() -> None:
    flight = InFlight([event("0"), event("1")])
    flight.wait(event("2"), event("3"))
    assert [flight.take() for _ in range(5)] == [*map(event, "0123"), None]


def test_it_is_empty_when_nothing_runs_or_waits() -> None:
    assert not InFlight(())
    assert InFlight([event("0")]) and running("0")


def test_a_trial_waits_for_another_worker_until_it_has_lost_too_many() -> None:
    flight = running("0", "1")
    for _ in range(MOST_LOSSES - 1):
        assert flight.lose("0") and "0" not in flight.running
        flight.running["0"] = flight.take() or {}
    assert not flight.lose("0") and flight.running["0"] == event("0")
    assert flight.lose("1")  # losses are each trial's own


def test_a_memory_that_was_too_small_lowers_the_number_and_never_below_one() -> None:
    flight = running(*"0123")
    assert not flight.full
    assert flight.crowd(4) and flight.most == 3
    assert flight.full and not running(*"01").full
    flight.running.popitem(), flight.running.popitem()
    assert not flight.full
    assert not flight.crowd(8)  # of more than are allowed by now: it stays as low
    flight.running["4"] = event("4")
    assert flight.full
    flight.crowd(1)
    flight.running.clear()
    assert not flight.full
    assert InFlight((), most=0).most == 1


def test_a_trial_whose_worker_is_replaced_is_next() -> None:
    flight = running("0")
    flight.wait(event("1"))
    flight.renew("0")
    assert [flight.take(), flight.take()] == [event("0"), event("1")]
    assert not flight.running


def test_after_enough_quiet_ends_one_more_may_run_again() -> None:
    flight = InFlight((), most=2)
    for _ in range(CALM - 1):
        flight.eased("complete")
    flight.eased("failed")
    for _ in range(CALM - 1):
        flight.eased("stopped")
    assert flight.most == 2
    flight.eased("complete")
    assert flight.most == 3
    flight.crowd(3)
    assert flight.most == 2
