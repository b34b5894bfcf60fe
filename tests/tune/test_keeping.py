"""The front that is kept row by row is the front of the whole table."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from kdsearch.results.pareto import pareto_front
from kdsearch.results.records import TrialRow
from kdsearch.results.tables import trial_table
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.keeping import Front, drop_dominated
from kdsearch.tune.observe import directions
from tests.tune.made import Listed, made_config, made_driver, play

NAN = float("nan")
TWO = (
    ObjectiveConfig(name="validation_accuracy", direction="max"),
    ObjectiveConfig(name="parameters", direction="min", scale="log"),
)
THREE = (*TWO, ObjectiveConfig(name="macs", direction="min"))


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> TrialRow:
    """Any row of a search."""
    folder = tmp_path_factory.mktemp("made")
    with made_driver(folder, made_config(budget={"trials": 1}), Listed([4])) as driver:
        play(driver)
        return driver.history.rows[0]


def some(row: TrialRow, count: int) -> list[TrialRow]:
    """Rows with ties, gaps, words for no number, and others than the search's own."""
    rng = random.Random(0)
    return [
        replace(
            row,
            trial_id=f"{number:05d}",
            status=rng.choice(["complete", "complete", "complete", "stopped"]),
            purpose=rng.choice(["search", "search", "search", "rerun", "finish"]),
            validation_accuracy=rng.choice([None, NAN, *(i / 8 for i in range(8))]),
            parameters=rng.randrange(1, 12),
            macs=rng.randrange(1, 12),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("objectives", [TWO[:1], TWO, THREE])
@pytest.mark.parametrize("step", [1, 7])
def test_it_is_the_front_after_every_row(
    row: TrialRow, objectives: tuple[ObjectiveConfig, ...], step: int
) -> None:
    rows, front = some(row, 120), Front(objectives)
    for count in range(0, len(rows) + 1, step):
        table = trial_table(rows[:count], {}, ()).to_pandas()
        wanted = set(pareto_front(table, directions(objectives))["trial_id"]) if count else set()
        assert front.follow(rows[:count]) == wanted


def test_a_rows_own_weights_go_and_those_asked_for_by_name_stay(tmp_path: Path) -> None:
    config = made_config(budget={"trials": 2})
    with made_driver(tmp_path, config, Listed([4, 9]), scheduled=False) as driver:
        play(driver, slots=1)
        again = driver.launch(
            {**driver.history.trials["00000"], "trial_id": "00006", "purpose": "rerun"}
        )
        driver.end(again.trial_id, "complete", weights=b"asked for")
        (tmp_path / "students" / "00007").mkdir()  # of a row that this log never had
        drop_dominated(driver.store, set())
        assert driver.store.students() == {"00006", "00007"}
