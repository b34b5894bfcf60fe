"""The states of trials that wait: on the disk in time, and missed without harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.results.store import read_epochs
from kdsearch.tune.resting import States
from tests.tune.made import (
    Listed,
    events_of,
    made_driver,
    made_report,
    play,
    rows,
    started,
)
from tests.tune.promoting import Promoting
from tests.tune.test_driver_resting import WIDTHS, promoting, reach


def test_the_state_is_on_the_disk_before_the_log_speaks_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    with made_driver(tmp_path, promoting(), Listed(WIDTHS), Promoting()) as driver:
        append = driver.store.append

        def noting(*events: dict) -> None:
            for event in events:
                if event["event"] == "rest":
                    seen.append(any((tmp_path / "states").glob(f"{event['trial_id']}.*")))
            append(*events)

        monkeypatch.setattr(driver.store, "append", noting)
        play(driver)
    assert seen and all(seen)


@pytest.mark.parametrize("how", ["gone", "refused"])
def test_without_its_state_a_trial_starts_again(tmp_path: Path, how: str) -> None:
    scheduler = Promoting()
    config = promoting(budget={"trials": 2})
    with made_driver(tmp_path, config, Listed(WIDTHS), scheduler) as driver:
        first, second = started(driver), started(driver)
        reach(driver, first, 0.5)
        reach(driver, second, 0.4)
        if how == "gone":
            (tmp_path / "states" / "00000.1.state").unlink()
            again = started(driver)
        else:
            driver.refuse(started(driver).trial_id, "state: damaged")
            again = started(driver)
        assert (again.trial_id, again.state, again.spec) == ("00000", None, first.spec)
        assert driver.history.epoch_count == 1  # the second's: the first's own is void
        told = list(scheduler.told)
        assert driver.report("00000", made_report(1, 0.5)) == "continue"  # as it was judged
        assert scheduler.told == told
        reach(driver, again, 0.7, first=2, last=2)
        play(driver)
        assert driver.finished and sorted(rows(driver.store)) == ["00000", "00001"]
    epochs = read_epochs(tmp_path).set_index("trial_id")["epoch"]
    assert epochs["00000"].tolist() == [1, 2]
    why = [event.get("again") for event in events_of(tmp_path, "trial")]
    assert why == [None, None, "its state is gone" if how == "gone" else "state: damaged"]


def test_a_state_that_cannot_be_written_is_a_line_for_the_user(tmp_path: Path) -> None:
    with made_driver(tmp_path, promoting(), Listed(WIDTHS), Promoting()) as driver:
        (tmp_path / "states").write_text("a file where the folder should be")
        with pytest.raises(UserError, match=r"states.*cannot be written"):
            play(driver)
        assert not driver.history.resting


def test_the_state_that_the_log_knows_stays_beside_a_later_one(tmp_path: Path) -> None:
    for epoch in (2, 4):  # the driver died before the log knew of the later one
        States(tmp_path).write("00000", epoch, b"%d" % epoch)
    states = States(tmp_path)
    states.settle("00000", 3)  # an epoch without a state of its own
    assert states.read("00000", 3) == (2, b"2")
    states.write("00000", 3, b"3")
    states.settle("00000", 3)
    assert [states.read("00000", most) for most in (2, 3)] == [None, (3, b"3")]
