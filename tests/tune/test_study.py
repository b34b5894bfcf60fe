"""The Optuna study of a search says what the log says."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from kdsearch.errors import UserError
from kdsearch.tune.study import read_search, write_study
from tests.tune.made import LR, WIDTH, WIDTHS, Listed, made_config, made_driver, mixed, play


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    with made_driver(tmp_path / "made", made_config(), Listed(WIDTHS)) as driver:
        play(driver, train=mixed)
    return tmp_path / "made"


def test_every_row_is_a_trial_with_its_values_and_parameters(searched: Path) -> None:
    storage = f"sqlite:///{searched / 'study.db'}"
    assert write_study(searched, storage) == (6, "made")
    study = optuna.load_study(study_name="made", storage=storage)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    history, _ = read_search(searched)
    assert [t.user_attrs["trial_id"] for t in study.trials] == [r.trial_id for r in history.rows]
    for trial, row in zip(study.trials, history.rows, strict=True):
        assert trial.params == {WIDTH: row.holes[WIDTH], LR: 0.05}
        assert (trial.state.name == "COMPLETE") == (row.status == "complete")
        if row.status == "complete":
            assert trial.values == [row.validation_accuracy, float(row.parameters)]


def test_written_again_it_takes_the_former_ones_place(searched: Path) -> None:
    storage = f"sqlite:///{searched / 'study.db'}"
    write_study(searched, storage)
    assert write_study(searched, storage)[0] == 6
    assert len(optuna.load_study(study_name="made", storage=storage).trials) == 6


@pytest.mark.parametrize("storage", ["study.db", "sqlite:////nowhere/at/all.db", "postgres://x/y"])
def test_a_storage_that_cannot_be_written_is_one_line(searched: Path, storage: str) -> None:
    with pytest.raises(UserError, match="--storage") as error:
        write_study(searched, storage)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_search_is_refused_and_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no search"):
        write_study(tmp_path, "sqlite:///study.db")
    assert list(tmp_path.iterdir()) == []
