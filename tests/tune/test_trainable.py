"""A worker, and what passes between it and the driver, in the order in which Ray calls them."""

from __future__ import annotations

import time
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kdsearch.results.store import read_epochs, read_trials
from kdsearch.tune.adapters import DriverCallback, DriverScheduler, DriverSearcher
from kdsearch.tune.driver import Driver
from kdsearch.tune.trainable import STATE, Parcel, StudentTrial
from kdsearch.tune.watchdog import Watchdog
from kdsearch.tune.wear import Wear
from tests.tune.made import DATA, Listed, events_of, made_config, made_driver
from tests.tune.promoting import SECTION, Promoting

WIDTHS = [4, 9, 16, 20, 7, 25]


def worker() -> StudentTrial:
    """A warm one, as `setup` leaves it, without the process."""
    made = object.__new__(StudentTrial)
    made.data, made.teachers, made.stores, made.device = DATA, {}, {}, "cpu"
    made.training, made.last_step = None, time.perf_counter()
    made.kept_at, made.kept_cost, made.watchdog = 0.0, 0.0, Watchdog()
    made.wear = Wear("cpu")
    return made


def worker_at(training: Any) -> StudentTrial:
    made = object.__new__(StudentTrial)
    made.training, made.kept_at, made.kept_cost = training, 0.0, 0.0
    return made


def run(driver: Driver, damage: Any = lambda launch: None) -> list[dict[str, Any]]:
    """All of a search in one worker; what Ray would have kept of its trials."""
    searcher, scheduler = DriverSearcher(driver), DriverScheduler(driver)
    callback, one, kept = DriverCallback(driver, lambda: None), worker(), []
    before = torch.get_num_threads()
    while isinstance(config := searcher.suggest("any"), dict):
        trial, done = SimpleNamespace(config=deepcopy(config)), False
        sent = deepcopy(config)
        sent["state"] = Parcel(config["state"].content)  # in another process
        damage(sent)
        one.reset_config(sent)
        while not done:
            result = one.step()
            asked = STATE in result
            if not result.get("done"):
                decision = scheduler.on_trial_result(None, trial, dict(result))
                result["done"] = decision == "STOP"
            callback.on_trial_result(0, [], trial, result)
            done = result["done"]
            kept.append({**trial.config, **result, "asked": asked})
    torch.set_num_threads(before)
    driver.store.flush(force=True)
    return kept


@pytest.fixture
def driver(tmp_path: Path) -> Any:
    config = made_config(scheduler=SECTION, budget={"trials": 6})
    with made_driver(tmp_path, config, Listed(WIDTHS), Promoting()) as made:
        yield made


def test_a_search_in_one_worker_promotes_and_ends(driver: Driver, tmp_path: Path) -> None:
    kept = run(driver)
    assert driver.finished and len(read_trials(tmp_path)) == 6
    assert set(read_trials(tmp_path)["status"]) == {"complete", "stopped"}
    assert len(events_of(tmp_path, "resume")) >= 3
    for one in kept:  # of what Ray keeps nothing is large
        assert one["state"].content is None and len(str(one)) < 10_000
    assert any(one["asked"] for one in kept)


def test_what_is_told_is_what_one_go_would_have_told(driver: Driver, tmp_path: Path) -> None:
    run(driver)
    whole = made_config(scheduler={"name": "none"}, budget={"trials": 6})
    with made_driver(tmp_path / "whole", whole, Listed(WIDTHS), False) as one_go:
        for event in driver.history.trials.values():  # the same specs: rungs are part of them
            one_go.enqueue([event])
        run(one_go)
    wanted = read_epochs(tmp_path / "whole").set_index(["trial_id", "epoch"])["train_loss"]
    found = read_epochs(tmp_path).set_index(["trial_id", "epoch"])["train_loss"]
    assert found.equals(wanted[found.index]) and len(found) < len(wanted)


def test_a_state_damaged_on_its_way_costs_a_new_start(driver: Driver, tmp_path: Path) -> None:
    hurt: list[str] = []

    def damage(config: dict[str, Any]) -> None:
        state = config["state"].content
        if state is not None and not hurt:
            hurt.append(config["trial_id"])
            config["state"].content = state[:-1]

    run(driver, damage)
    assert driver.finished and len(read_trials(tmp_path)) == 6
    again = [e for e in events_of(tmp_path, "trial") if "again" in e]
    assert [e["trial_id"] for e in again] == hurt
    assert again[0]["again"].startswith("state: damaged")
    assert not set(read_trials(tmp_path)["status"]) & {"failed"}
    epochs = read_epochs(tmp_path)
    assert not epochs.duplicated(["trial_id", "epoch"]).any()


def test_a_state_comes_along_where_nobody_pauses_and_goes_with_its_trial(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver:
        assert any(one["asked"] for one in run(driver))
        assert driver.finished and not list((tmp_path / "states").glob("*"))


def test_packing_states_takes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.0, 110.0, 125.0, 126.0])  # asked, packed, asked, asked, packed
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    one = worker_at(SimpleNamespace(state=lambda: b"state"))
    assert [bool(one._kept(always=False)) for _ in range(3)] == [True, False, True]


def test_every_copy_of_a_parcel_is_empty_once_it_is_taken() -> None:
    parcel = Parcel(b"x" * 5_000_000)
    config = deepcopy({"state": parcel})
    assert len(str(config)) < 100
    assert config["state"].take() is not None
    assert parcel.take() is None
