"""A search's folder: made once, gone on with, and nobody else's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsearch.errors import UserError
from kdsearch.search_config import load_config
from kdsearch.tune.opening import open_search, write_environment
from tests.tune.made import Listed, events_of, log_of, made_config, made_driver, play


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A search of which one trial has run."""
    with made_driver(tmp_path, made_config(budget={"trials": 1}), Listed([4])) as driver:
        play(driver)
    return tmp_path


def opened(folder: Path, **changes: Any) -> None:
    with open_search(folder, made_config(**{"budget": {"trials": 1}, **changes})):
        pass


def test_a_new_folder_is_made_with_the_file_as_it_was_run(tmp_path: Path) -> None:
    folder, config = tmp_path / "results" / "made", made_config()
    with open_search(folder, config) as store:
        assert store.history.header["columns"] == config.columns()
    copied = yaml.safe_load((folder / "config.yaml").read_text())
    assert load_config(copied).tree == config.tree


def test_opening_again_writes_no_second_header(begun: Path) -> None:
    before = log_of(begun)
    opened(begun)
    assert log_of(begun) == before


def test_gone_on_with_from_elsewhere_paths_start_there(begun: Path, tmp_path: Path) -> None:
    elsewhere = replace(made_config(budget={"trials": 1}), base=tmp_path / "elsewhere")
    for _ in range(2):
        with open_search(begun, elsewhere) as store:
            assert store.history.header["base"] == str(tmp_path / "elsewhere")
    assert len(events_of(begun, "search")) == 2


@pytest.mark.parametrize(
    "budget", [{"trials": 2}, {"trials": 1}, {"epochs": 9, "trials": None}], ids=str
)
def test_a_larger_budget_goes_on(begun: Path, budget: dict[str, Any]) -> None:
    if "epochs" in budget:
        with pytest.raises(UserError, match=r"^budget\.epochs: "):  # a bound that was not there
            opened(begun, budget=budget)
        return
    opened(begun, budget=budget)


def test_a_bound_that_is_lifted_is_a_larger_budget(tmp_path: Path) -> None:
    config = made_config(budget={"trials": 1, "epochs": 50})
    with made_driver(tmp_path, config, Listed([4])) as driver:
        play(driver)
    opened(tmp_path, budget={"epochs": 50})
    with pytest.raises(UserError, match=r"^budget\.epochs: .*50.*20"):
        opened(tmp_path, budget={"epochs": 20})


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"seed": 1}, "seed"),
        ({"training": {"epochs": 5, "lr": {"float": [0.01, 0.1]}}}, "training.epochs"),
        ({"training": {"epochs": 4, "lr": {"float": [0.01, 0.2]}}}, "training.lr.float[1]"),
        ({"constraints": {"parameters": 3000}}, "constraints.parameters"),
        ({"student": {"family": "mlp", "widths": [4]}}, "student.widths.each"),
    ],
)
def test_any_other_edit_is_refused_by_its_key(
    begun: Path, changes: dict[str, Any], place: str
) -> None:
    before = log_of(begun), (begun / "config.yaml").read_text()
    with pytest.raises(UserError) as error:
        opened(begun, **changes)
    assert error.value.place == place
    assert "another name" in error.value.fault and "\n" not in str(error.value)
    assert (log_of(begun), (begun / "config.yaml").read_text()) == before


def test_other_machines_may_need_other_resources(begun: Path) -> None:
    opened(begun, resources={"cpu": 2})
    with open_search(begun, made_config(resources="auto")) as store:
        assert store.history.header["config"]["resources"] == "auto"


def test_a_file_that_is_mended_before_its_first_trial_is_taken(tmp_path: Path) -> None:
    opened(tmp_path, resources={"gpu": 1})  # refused a moment later: there is none
    opened(tmp_path, resources={"gpu": 0}, seed=5)
    with open_search(tmp_path, made_config(resources={"gpu": 0}, seed=5)) as store:
        assert store.history.header["config"]["seed"] == 5
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["seed"] == 5


def test_a_second_writer_is_refused_in_one_line(begun: Path) -> None:
    with (
        open_search(begun, made_config(budget={"trials": 1})),
        pytest.raises(UserError, match="another process runs this search"),
    ):
        opened(begun)
    opened(begun)  # and let in once the first is gone


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written") as error:
        opened(tmp_path / "file" / "made")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root cannot write")
def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    with pytest.raises(UserError, match="cannot be written"):
        opened(Path("/proc/self/made"))


def test_the_environment_names_versions_and_the_data(tmp_path: Path) -> None:
    write_environment(tmp_path, "d0", {"CPU": 2.0, "node:127.0.0.1": 1.0})
    content = json.loads((tmp_path / "environment.json").read_text())
    assert content["data_id"] == "d0" and content["cluster"] == {"CPU": 2.0}
    assert all(content["packages"][name] for name in ("torch", "ray", "optuna"))
