"""Earlier searches: the same trainings are told, fronts of others are tried, and all is logged."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdsearch.config import TrialSpec
from kdsearch.errors import UserError
from kdsearch.proposers import Observation
from kdsearch.results.pareto import pareto_front
from kdsearch.results.records import EpochReport
from kdsearch.results.store import ResultStore
from kdsearch.space import SearchSpace
from kdsearch.tune.asha import Asha
from kdsearch.tune.driver import Driver
from kdsearch.tune.opening import open_search
from kdsearch.tune.warm_start import carried, read_earlier, warm
from tests.tune.made import (
    FIRST,
    LR,
    WIDTH,
    WIDTHS,
    Listed,
    events_of,
    made_config,
    made_driver,
    made_ground,
    made_report,
    mixed,
    play,
    rows,
)

NARROW = {"family": "mlp", "widths": {"each": 1, "int": [1, 3]}}
LEFT = [3, 5, 6, 8, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23]  # widths that `before` has not
SHOW: Any = SimpleNamespace(say=lambda line: None)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier search, with rows of every status."""
    folder = tmp_path_factory.mktemp("results") / "before"
    with made_driver(folder, made_config(search="before"), Listed(WIDTHS)) as driver:
        play(driver, train=mixed)
    return folder


def wider_is_better(spec: TrialSpec) -> Iterator[EpochReport]:
    for epoch in range(1, 5):
        yield made_report(epoch, spec.plan.student["widths"][0] / 50)


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier search, all of whose six students are on its front."""
    folder = tmp_path_factory.mktemp("results") / "fronted"
    config = made_config(search="fronted")
    with made_driver(folder, config, Listed(FIRST), scheduled=False) as driver:
        play(driver, train=wider_is_better)
    return folder


@contextmanager
def begun(
    folder: Path, earlier: list[Path], inner: Any, data_id: str = "d0", **changes: Any
) -> Iterator[Driver]:
    """A driver whose proposer begins with earlier searches, as `run_search` makes one."""
    config = made_config(**changes)
    ground = made_ground(config)
    ground.data_id = data_id
    with open_search(folder, config) as store:
        proposer = warm(inner, read_earlier(earlier, config, store), ground, store, SHOW)
        asha = Asha(config.fixed.objectives, config.fixed.scheduler)
        yield Driver(ground, store, proposer, asha)


def told_values(observations: list[Observation]) -> list[tuple]:
    return [(o.assignment, o.fate, repr(o.values), repr(o.history)) for o in observations]


def test_rows_of_the_same_training_are_told_as_the_earlier_proposer_was(
    before: Path, tmp_path: Path
) -> None:
    once, inner = Listed([]), Listed(WIDTHS)
    with made_driver(before, made_config(search="before"), once):
        pass  # is told its own rows again
    with begun(tmp_path / "made", [before], inner):
        assert told_values(inner.told) == told_values(once.told)
        assert {o.fate for o in inner.told} == {"complete", "stopped", "diverged", "failed"}
        assert all(int(o.trial_id) < 0 for o in inner.told)
    (event,) = events_of(tmp_path / "made", "from")[1:]
    assert event["queue"] == [] and event["folders"] == [str(before)]


@pytest.mark.parametrize(
    "changes",
    [
        {"data_id": "d1"},
        {"training": {"epochs": 8, "lr": {"float": [0.01, 0.1]}}},
        {"scheduler": {"name": "asha", "grace": 2, "reduction": 2}},
        {"training": {"epochs": 4, "lr": {"float": [0.01, 0.1]}, "momentum": 0.5}},
        {"objectives": [{"name": "validation_accuracy", "direction": "max"}]},
        {
            "student": {"family": "mlp", "widths": {"each": 1, "int": [1, 3]}},
            "budget": {"trials": 3},
        },
    ],
    ids=["data", "epochs", "scheduler", "a fixed value", "objectives", "a narrower space"],
)
def test_of_other_trainings_the_front_is_tried_and_no_value_believed(
    fronted: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    narrow = "student" in changes
    inner = Listed([1, 2, 3] if narrow else LEFT)
    changes = {"budget": {"trials": 8}, **changes}
    with begun(tmp_path / "made", [fronted], inner, **changes) as driver:
        assert {o.assignment[WIDTH] for o in inner.told} == ({2} if narrow else set())
        play(driver)
        trials = driver.store.trials()
    (event,) = events_of(tmp_path / "made", "from")[1:]
    assert event["most"] == (1 if narrow else 2)  # a quarter of the budget, or at least one
    with ResultStore.open(fronted) as store:
        front = pareto_front(store.trials())
    if not narrow:
        assert {point[WIDTH] for point in event["queue"]} <= set(front[WIDTH])
    first = trials.sort_values("trial_id").head(event["most"])
    tried = [point[WIDTH] for point in event["queue"][: event["most"]]]
    assert first[WIDTH].tolist() == tried and (trials["proposer"] == "from").sum() == len(tried)
    assert set(first["proposer"]) == {"from"} and first["parent_id"].isna().all()
    assert len(trials) == changes["budget"]["trials"]


def test_the_search_goes_on_without_the_earlier_folder(fronted: Path, tmp_path: Path) -> None:
    gone = shutil.copytree(fronted, tmp_path / "gone")
    changes: dict[str, Any] = {"data_id": "d1", "budget": {"trials": 12}}
    with begun(tmp_path / "made", [gone], Listed(LEFT), **changes) as driver:
        assert [driver.next() for _ in range(2)]  # in flight when it is broken off
        queue = driver.store.history.earlier["queue"]
    shutil.rmtree(gone)
    with begun(tmp_path / "made", [gone], Listed(LEFT), **changes) as driver:
        play(driver, slots=1)
        trials = driver.store.history.trials.values()
        tried = [t["assignment"] for t in trials if t["proposer"] == "from"]
        assert tried == queue[:3] and len(rows(driver.store)) == 12
    with begun(tmp_path / "made", [], Listed(LEFT), **changes) as driver:
        assert not isinstance(driver.proposer, Listed) and driver.finished


def test_told_rows_are_told_again_after_a_break_before_all_others(
    before: Path, tmp_path: Path
) -> None:
    first, second = Listed(WIDTHS), Listed(WIDTHS)
    with begun(tmp_path / "made", [before], first) as driver:
        told = told_values(first.told)
        play(driver)
    with begun(tmp_path / "made", [before], second):
        assert told_values(second.told[: len(told)]) == told and len(second.told) > len(told)


def test_several_searches_take_turns_and_give_no_point_twice(fronted: Path, tmp_path: Path) -> None:
    twin = shutil.copytree(fronted, tmp_path / "twin")
    with begun(tmp_path / "one", [fronted], Listed([]), "d1", budget={"trials": 100}) as driver:
        alone = driver.store.history.earlier["queue"]
        assert len(alone) == len(FIRST)
        assert {point[WIDTH] for point in alone[:2]} == {min(FIRST), max(FIRST)}  # well spread
    with begun(tmp_path / "two", [fronted, twin], Listed([]), "d1", budget={"trials": 100}) as both:
        assert both.store.history.earlier["queue"] == alone


def test_points_that_may_not_run_cost_no_trial(fronted: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"data_id": "d1", "constraints": {"parameters": 600}}
    with begun(tmp_path / "made", [fronted], Listed([1, 3, 3, 5, 6, 4]), **changes) as driver:
        assert driver.store.history.earlier["queue"][0][WIDTH] == max(FIRST)
        play(driver)
        trials = driver.store.trials()
    tried = trials.loc[trials["proposer"] == "from", WIDTH].tolist()
    assert tried and max(tried) < 8 and len(tried) == 1 and len(trials) == 6


def test_other_folders_or_the_wrong_ones_are_refused_in_a_line(
    before: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"

    def refused(folders: list[Path], **changes: Any) -> str:
        with pytest.raises(UserError) as error, begun(made, folders, Listed([4, 6]), **changes):
            pass
        return str(error.value)

    assert "holds no search" in refused([tmp_path / "none"])
    assert "is this search itself" in refused([made])
    grid = {"name": "grid"}
    assert "a grid learns" in refused([before], proposer=grid, search="made")
    shutil.rmtree(made)
    with begun(made, [before], Listed(WIDTHS)) as driver:
        play(driver)
    assert f"was begun with {before}" in refused([before, before])
    shutil.rmtree(made)
    with begun(made, [], Listed(WIDTHS)) as driver:
        play(driver)
    assert "was begun with none" in refused([before])


SPACE = SearchSpace(
    {
        "width": {"int": [4, 33], "step": 4},
        "lr": {"float": [0.01, 1], "log": True},
        "share": {"float": [0.1, 0.75], "step": 0.1},
        "batch": {"choice": [16, 64, 256]},
        "term": {"choice": ["none", {"method": "kd", "weight": {"float": [0.1, 1]}}]},
    }
)


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("width", 8, 8),
        ("width", 9, 8),
        ("width", 99, 32),
        ("width", 1, 4),
        ("width", 11.6, 12),
        ("lr", 3, 1.0),
        ("lr", 0.5, 0.5),
        ("share", 0.34, 0.3),
        ("share", 9, 0.7),
        ("batch", 128, 64),
        ("batch", 1000, 256),
        ("term", "none", "none"),
    ],
)
def test_a_value_outside_its_domain_gives_the_nearest(name: str, value: Any, nearest: Any) -> None:
    for seed in range(5):
        found = carried({name: value}, SPACE, random.Random(seed))
        assert found is not None and found[name] == nearest
        SPACE.apply(found)  # a whole assignment of this space


@pytest.mark.parametrize("known", [{"term": "at"}, {"depth": 3}, {"width": "wide"}, {LR: True}, {}])
def test_what_has_no_place_here_carries_nothing(known: dict[str, Any]) -> None:
    assert carried(known, SPACE, random.Random(0)) is None
