"""A search broken off at any moment goes on as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdsearch.proposers import Done, build_proposer
from kdsearch.proposers.portfolio import PortfolioProposer
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_sections import ProposerConfig
from kdsearch.tune.asha import Asha
from kdsearch.tune.resting import States
from kdsearch.tune.scheduler import Scheduler
from tests.tune.made import (
    STATE,
    WIDTHS,
    Listed,
    events_of,
    log_of,
    made_config,
    made_driver,
    mixed,
    play,
    rows,
)
from tests.tune.promoting import SECTION, Promoting


@pytest.mark.parametrize("proposer", ["listed", "random", "tpe", "nsga2", "evolution", "portfolio"])
def test_a_kill_after_any_event_ends_in_the_same_number_of_rows(
    tmp_path: Path, proposer: str
) -> None:
    config = made_config(training={"epochs": 2, "lr": {"float": [0.01, 0.1]}}, seed=2**31 - 1)

    def fresh():
        if proposer == "listed":
            return Listed(WIDTHS)
        members = ["tpe", "evolution"] if proposer == "portfolio" else []
        named = ProposerConfig(name=proposer, members=members)
        return build_proposer(named, config.space, config.fixed.objectives)

    with made_driver(tmp_path / "whole", config, fresh()) as driver:
        play(driver, train=mixed)
    lines = log_of(tmp_path / "whole")
    for cut in range(1, len(lines) + 1, 1 if proposer == "listed" else 4):
        folder = tmp_path / str(cut)
        folder.mkdir()
        torn = lines[cut][: len(lines[cut]) // 2] if cut < len(lines) else b""
        (folder / "log.jsonl").write_bytes(b"".join(lines[:cut]) + torn)
        before = [e for e in map(json.loads, lines[:cut]) if e["event"] == "trial"]
        with made_driver(folder, config, fresh()) as driver:
            in_flight = set(driver.store.history.running)
            launched = play(driver, train=mixed)
            assert driver.finished
            assert sorted(rows(driver.store)) == [f"{i:05d}" for i in range(6)]
            assert {x.trial_id for x in launched} >= in_flight
        trials = read_trials(folder)
        assert trials["trial_id"].is_unique and trials["architecture_key"].is_unique
        after = {e["trial_id"]: e for e in events_of(folder, "trial")}
        for started in before:  # what was in flight starts again as it was
            again = after[started["trial_id"]]
            assert (again["spec"], again["seed"]) == (started["spec"], started["seed"])
        epochs = read_epochs(folder)
        assert not epochs.duplicated(["trial_id", "epoch"]).any()
        counted = epochs.groupby("trial_id").size().reindex(trials["trial_id"]).fillna(0)
        assert counted.tolist() == trials["epochs"].tolist()


def test_a_driver_made_again_decides_as_the_one_that_went_on(tmp_path: Path) -> None:
    """Rungs and observations come back from the log, in its order."""
    config = made_config(budget={"trials": 12})
    with made_driver(tmp_path / "a", config, Listed(list(range(1, 27)))) as whole:
        play(whole, slots=1)
        wanted = [(r.trial_id, r.status, r.epochs) for r in whole.store.history.rows]
    half = made_config(budget={"trials": 6})
    with made_driver(tmp_path / "b", half, Listed(list(range(1, 27)))) as driver:
        play(driver, slots=1)
    again = Listed(list(range(1, 27)))
    with made_driver(tmp_path / "b", config, again) as driver:
        assert [o.trial_id for o in again.told] == [f"{i:05d}" for i in range(6)]
        play(driver, slots=1)
        found = [(r.trial_id, r.status, r.epochs) for r in driver.store.history.rows]
    assert found == wanted and {s for _, s, _ in found} == {"complete", "stopped"}


def test_a_rerun_that_was_broken_off_is_not_the_searchs_to_go_on_with(tmp_path: Path) -> None:
    config = made_config()
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        play(driver)
        origin = driver.store.history.trials["00000"]
        driver.launch({**origin, "trial_id": driver.new_id(), "purpose": "rerun"})
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        assert driver.finished and isinstance(driver.next(), Done)
        assert len(rows(driver.store)) == 6


def test_after_a_break_a_portfolio_knows_who_won(tmp_path: Path) -> None:
    config = made_config(
        training={"epochs": 2, "lr": {"float": [0.01, 0.1]}},
        proposer={"name": "portfolio", "members": ["evolution", "random"]},
    )

    def fresh() -> PortfolioProposer:
        fixed = config.fixed
        made = build_proposer(fixed.proposer, config.space, fixed.objectives)
        assert isinstance(made, PortfolioProposer)
        return made

    first, again = fresh(), fresh()
    with made_driver(tmp_path, config, first) as driver:
        play(driver, train=mixed)
    assert set(read_trials(tmp_path)["proposer"]) <= {"evolution", "random"}
    with made_driver(tmp_path, config, again):
        assert again.credit == first.credit
    assert sum(c.won + c.lost for c in first.credit.values()) > 0


@pytest.mark.parametrize("states", ["kept", "lost", "every other"])
@pytest.mark.parametrize("scheduler", [Promoting, Asha])
def test_a_kill_among_resting_trials_ends_in_the_same_number_of_rows(
    tmp_path: Path, states: str, scheduler: type
) -> None:
    config = made_config(scheduler=SECTION, budget={"trials": 8})
    widths = list(range(1, 27))

    def fresh() -> Scheduler:
        return scheduler(config.fixed.objectives, config.fixed.scheduler)

    with made_driver(tmp_path / "whole", config, Listed(widths), fresh()) as driver:
        play(driver, train=mixed)
    lines = log_of(tmp_path / "whole")
    for cut in range(1, len(lines) + 1, 6):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "log.jsonl").write_bytes(b"".join(lines[:cut]))
        resting = resting_at(folder)
        kept = {"kept": resting, "lost": {}, "every other": dict([*resting.items()][::2])}[states]
        for trial_id, epoch in {**kept, "00099": 1}.items():  # the last was never in the log
            States(folder).write(trial_id, epoch, STATE + str(epoch).encode())
        with made_driver(folder, config, Listed(widths), fresh()) as driver:
            assert set(driver.history.resting) == set(resting)
            assert {p.name.partition(".")[0] for p in (folder / "states").glob("*")} == set(kept)
            play(driver, train=mixed)
            assert driver.finished
            assert sorted(rows(driver.store)) == [f"{i:05d}" for i in range(8)]
        assert not (folder / "states").exists()
        trials, epochs = read_trials(folder), read_epochs(folder)
        for _, own in epochs.groupby("trial_id"):
            assert own["epoch"].tolist() == list(range(1, len(own) + 1))
        counted = epochs.groupby("trial_id").size().reindex(trials["trial_id"]).fillna(0)
        assert counted.tolist() == trials["epochs"].tolist()


def resting_at(folder: Path) -> dict[str, int]:
    """Trials that rest where a log ends, and their epochs."""
    resting: dict[str, int] = {}
    for event in events_of(folder):
        if event["event"] == "rest":
            resting[event["trial_id"]] = event["epoch"]
        elif event["event"] in ("resume", "end", "trial"):
            resting.pop(event["trial_id"], None)
    return resting


def test_a_scheduler_is_told_again_in_the_logs_order(tmp_path: Path) -> None:
    config = made_config(scheduler=SECTION, budget={"trials": 8})
    first, second = Promoting(), Promoting()
    with made_driver(tmp_path, config, Listed(list(range(1, 27))), first) as driver:
        play(driver, slots=3)
    with made_driver(tmp_path, config, Listed(list(range(1, 27))), second):
        assert second.told == first.told and second.rungs == first.rungs
