"""Measures of a search: asked for in its file, columns of its tables, and of its rows again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kdsearch.check import check_search
from kdsearch.config import TrialSpec
from kdsearch.measures import MEASURES
from kdsearch.results.store import ResultStore, read_epochs, read_trials
from kdsearch.search_config import load_config
from kdsearch.tune.rerun import rerun_trial
from tests.results.made import CONFIG, end, epoch, header, trial
from tests.searches import fault, tree
from tests.tune.made import (
    DISTILLED,
    Listed,
    enqueue_repeats,
    ground_here,
    made_driver,
    really,
)

ASKED = ["agreement", "mutual_information"]


def test_nothing_is_measured_unless_it_is_asked_for() -> None:
    config = load_config(tree())
    assert all(plan.measures == [] for _, plan in config.plans())


def test_every_plan_has_them_and_no_hole_does() -> None:
    config = load_config(tree(measures=["kl", "phi"]))
    check_search(config)
    assert all(plan.measures == ["kl", "phi"] for _, plan in config.plans())
    assert config.columns() == load_config(tree()).columns()
    assert load_config(tree(), ["measures=[kl, phi]"]).tree == config.tree


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        ({"measures": ["kl", "agrement"]}, "measures[1]", "did you mean agreement?"),
        ({"measures": ["kl", "phi", "kl"]}, "measures[2]", "stands twice"),
        ({"measures": "kl"}, "measures", "valid list"),
        ({"measures": [1]}, "measures[0]", "valid string"),
        ({"measure": ["kl"]}, "measure", "did you mean measures"),
        ({"measures": {"choice": [["kl"], ["phi"]]}}, "measures", "no hole may stand here"),
        ({"measures": [{"choice": ["kl", "phi"]}]}, "measures[0]", "no hole may stand here"),
        ({"measures": ["kl"], "teacher": "none", "losses": []}, "teacher", "measures need a"),
        ({"measures": ["mutual_information"]}, "measures[0]", "data.augment is none"),
        (
            {"measures": ["mutual_information"], "data__augment": {"choice": ["crop", "none"]}},
            "measures[0]",
            "set it to crop",
        ),
    ],
)
def test_a_fault_is_named_as_written(values: dict[str, Any], place: str, words: str) -> None:
    values = {"training__label_weight": 1.0, "teacher__augment": "crop", **values}
    if values.get("teacher") == "none":
        del values["teacher__augment"]
    line = fault(tree(**values))
    assert line.startswith(f"{place}: ") and words in line


def test_a_teacher_that_a_choice_may_leave_out_is_missing() -> None:
    section = tree()["teacher"]
    values = {"losses": [], "training__label_weight": 1.0, "measures": ["kl"]}
    line = fault(tree(teacher={"choice": [section, "none"]}, **values))
    assert line.startswith("teacher") and "the measures need a teacher" in line


def test_rows_have_a_column_a_measure_where_asked_for(tmp_path: Path) -> None:
    events = [
        trial("00000"),
        epoch("00000", 1, 0.5, measures={"kl": 3.0}),
        epoch("00000", 2, 0.6, measures={"kl": 2.0}),
        end("00000"),
        trial("00001"),
        epoch("00001", 1, 0.5),
        end("00001", "failed"),
        trial("00002"),
        end("00002", "failed"),
    ]
    asked = header(config={**CONFIG, "measures": ["kl", "phi"]})
    with ResultStore.open(tmp_path) as store:
        store.append(asked)
        store.flush(force=True)
        assert {"kl", "phi"} <= set(read_trials(tmp_path))  # before there is a row
        store.append(*events)
    schema = pq.read_schema(tmp_path / "trials.parquet")
    assert schema.names[-2:] == ["kl", "phi"] and str(schema.field("phi").type) == "double"
    table = pq.read_table(tmp_path / "trials.parquet").to_pydict()
    assert table["kl"] == [2.0, None, None] and table["phi"] == [None] * 3
    assert pq.read_table(tmp_path / "epochs.parquet").to_pydict()["kl"] == [3.0, 2.0, None]


def test_a_search_that_asks_for_none_has_no_column(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path) as store:
        store.append(header(), trial("00000"), epoch("00000", 1, 0.5), end("00000"))
    assert not set(MEASURES) & {*read_trials(tmp_path), *read_epochs(tmp_path)}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search on labels alone whose students are held against a teacher."""
    results = tmp_path_factory.mktemp("results")
    config = load_config(
        {**DISTILLED, "data": {**DISTILLED["data"], "augment": "crop"}, "measures": ASKED},
        ["losses=[]"],
    )
    ground, teacher = ground_here(config, results)
    with made_driver(results / "here", config, Listed([4, 6]), scheduled=False) as driver:
        driver.ground = ground
        really(driver, ground.data, teacher)
        enqueue_repeats(driver)
        really(driver, ground.data, teacher)
    return results / "here"


def test_rows_hold_what_the_last_epoch_measured(measured: Path) -> None:
    trials, epochs = read_trials(measured), read_epochs(measured)
    assert {"search", "finish"} == set(trials["purpose"])
    assert trials[ASKED].notna().all(axis=None)
    last = epochs[epochs["epoch"] == 2].set_index("trial_id").loc[trials["trial_id"], ASKED]
    assert last.to_numpy().tolist() == trials[ASKED].to_numpy().tolist()
    assert epochs.loc[epochs["epoch"] == 1, ASKED].isna().all(axis=None)


def test_a_row_again_is_measured_again(measured: Path) -> None:
    said: list[str] = []
    new = rerun_trial(measured, "00001", say=said.append)
    assert "2 of the row's 2 epochs came out the same to the last digit" in said
    assert any("agreement 0." in line for line in said)
    trials = read_trials(measured).set_index("trial_id")
    assert trials.loc[new, ASKED].tolist() == trials.loc["00001", ASKED].tolist()


def test_a_row_may_be_measured_otherwise(measured: Path) -> None:
    new = rerun_trial(measured, "00000", edits=["measures=[phi]"], say=str)
    trials = read_trials(measured).set_index("trial_id")
    assert 0 < trials.loc[new, "phi"] < 1
    assert trials.loc[new, ASKED].isna().all() and trials["phi"].notna().sum() == 1
    with ResultStore.open(measured) as store:
        spec = TrialSpec.model_validate(store.history.trials[new]["spec"])
    assert spec.plan.measures == ["phi"] and spec.teacher_id is not None
