"""The teacher's outputs are computed once, and found by whoever comes after."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsearch.check import check_search
from kdsearch.config import TrialSpec
from kdsearch.errors import UserError
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_config import load_config
from kdsearch.teachers import Stock, TeacherRecord, TeacherStore, stock_up
from kdsearch.tune.rerun import rerun_trial
from kdsearch.tune.stores import on_cluster, prepare_store, travelling
from kdsearch.tune.study import read_search
from tests.tune.made import DATA, DISTILLED, Listed, ground_here, made_driver, really
from tests.tune.whole import TREE

AUGMENTED = {
    **DISTILLED,
    "data": {"name": "digits", "batch_size": 64, "images": 400, "augment": "crop"},
    "losses": [{"method": "kd", "weight": 0.5}, {"method": "rkd", "weight": 0.1}],
    "store": {"views": 3},
}


def searched_here(results: Path, **changes: Any) -> Path:
    """A finished search of two distillations on stored views, in this process."""
    config = load_config({**AUGMENTED, **changes})
    stock = check_search(config).stock
    ground, teacher = ground_here(config, results)
    ground.store = stock.config
    kept = prepared(stock, teacher, results, ground.data)
    with made_driver(results / "here", config, Listed([4, 6]), scheduled=False) as driver:
        driver.ground = ground
        really(driver, ground.data, teacher, kept)
    return results / "here"


def prepared(
    stock: Stock,
    teacher: TeacherRecord,
    results: Path,
    data: Any,
    said: list[str] | None = None,
    compute: Any = None,
) -> TeacherStore:
    say = (said if said is not None else []).append
    folder = results / "teachers"
    return prepare_store(stock, teacher, "crop", data, data.id, folder, say, compute)


def never(*_: Any) -> Iterator[Any]:
    raise AssertionError("computed although it was there")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched_here(tmp_path_factory.mktemp("results"))


@pytest.fixture
def searched(once: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    shutil.copytree(once.parent, tmp_path / "results")
    return tmp_path / "results" / "here"


def files(results: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in sorted(results.glob("teachers/*/outputs/*/*"))
    }


def test_outputs_are_computed_once_and_then_found(once: Path) -> None:
    config = load_config(AUGMENTED)
    stock, results = check_search(config).stock, once.parent
    before, said = files(results), []
    ground, teacher = ground_here(config, results)
    found = prepared(stock, teacher, results, ground.data, said, never)
    assert not said and files(results) == before
    assert (found.views, set(found.arrays)) == (3, {"logits", "pooled"})
    assert found.nbytes == stock.nbytes
    for part, arrays in found.arrays.items():
        for path, array in zip(found.files[part], arrays, strict=True):
            assert type(array) is np.ndarray and np.array_equal(np.load(path), array)


def test_another_number_of_views_or_dtype_is_computed_and_told(searched: Path) -> None:
    config, results = load_config(AUGMENTED), searched.parent
    stock = check_search(config).stock
    ground, teacher = ground_here(config, results)
    whole = prepared(stock, teacher, results, ground.data)
    fewer = replace(stock, config=stock.config.model_copy(update={"views": 2}))
    part = prepared(fewer, teacher, results, ground.data, compute=never)
    assert np.array_equal(part.arrays["logits"][0], whole.arrays["logits"][0][:2])
    for change in ({"views": 4}, {"dtype": "float32"}, {"top_k": 2}):
        said: list[str] = []
        other = replace(stock, config=stock.config.model_copy(update=change))
        prepared(other, teacher, results, ground.data, said)
        assert "computed in" in said[-1]
        prepared(other, teacher, results, ground.data, compute=never)


def test_a_torn_file_is_made_again_bit_for_bit(searched: Path) -> None:
    config, results = load_config(AUGMENTED), searched.parent
    ground, teacher = ground_here(config, results)
    before = files(results)
    (path,) = results.glob("teachers/*/outputs/pooled*/0.npy")
    path.write_bytes(path.read_bytes()[:-9])
    said: list[str] = []
    prepared(check_search(config).stock, teacher, results, ground.data, said)
    assert "cut short" in said[0] and said[1].startswith(f"teacher {teacher.identity}: pooled of 3")
    again = files(results)
    assert {k: v for k, v in again.items() if k.endswith(".npy")} == {
        k: v for k, v in before.items() if k.endswith(".npy")
    }


def test_a_teacher_that_was_trained_again_is_asked_again(searched: Path) -> None:
    config, results = load_config(AUGMENTED), searched.parent
    stock, (ground, teacher) = check_search(config).stock, ground_here(config, results)
    weights = bytearray(teacher.weights)
    weights[-2] ^= 0x10  # a digit of its last weight
    said: list[str] = []
    prepared(stock, replace(teacher, weights=bytes(weights)), results, ground.data, said)
    assert len(said) == 3 and all("is of another teacher" in line for line in said[:2])


def test_rows_on_a_store_come_out_the_same_to_the_last_digit(searched: Path) -> None:
    said: list[str] = []
    history, _ = read_search(searched)
    spec = TrialSpec.model_validate(history.trials["00001"]["spec"])
    assert spec.plan.store.views == 3 and spec.plan.views == 3
    for kept in (True, False):  # and without the files
        if not kept:
            for folder in searched.parent.glob("teachers/*/outputs"):
                shutil.rmtree(folder)
        new = rerun_trial(searched, "00001", say=said.append)
        assert said[-2] == "2 of the row's 2 epochs came out the same to the last digit"
    epochs = read_epochs(searched).set_index("trial_id")
    assert epochs.loc[new, "train_loss"].tolist() == epochs.loc["00001", "train_loss"].tolist()


def test_a_row_may_be_run_live(searched: Path) -> None:
    said: list[str] = []
    new = rerun_trial(searched, "00001", edits=["store.views=live"], say=said.append)
    auto = rerun_trial(searched, "00001", edits=["store.views=auto"], say=said.append)
    history, _ = read_search(searched)
    stores = [history.trials[name]["spec"]["plan"]["store"]["views"] for name in (new, auto)]
    assert stores == ["live", 2]  # auto: no more views than epochs
    rows = read_trials(searched).set_index("trial_id")
    assert set(rows.loc[[new, auto], "status"]) == {"complete"}


@pytest.mark.ray
def test_it_comes_through_ray_without_a_copy(ray_cluster: None, searched: Path) -> None:
    import ray

    config, results = load_config(AUGMENTED), searched.parent
    stock, (ground, teacher) = check_search(config).stock, ground_here(config, results)
    here = prepared(stock, teacher, results, ground.data)
    for folder in results.glob("teachers/*/outputs"):
        shutil.rmtree(folder)
    compute = on_cluster(ray.put(ground.data), {"cpu": 1, "gpu": 0})
    there = prepared(stock, teacher, results, ground.data, compute=compute)
    for part, arrays in here.arrays.items():
        assert all(map(np.array_equal, arrays, there.arrays[part]))
    sent = travelling(there)
    assert not sent.mapped  # it is small
    for store in (sent, replace(sent, mapped=True)):
        first, second = (ray.get(ref) for ref in [ray.put(store)] * 2)
        for part, arrays in here.arrays.items():
            ours, theirs = first.arrays[part][0], second.arrays[part][0]
            assert np.array_equal(ours, arrays[0]) and not ours.flags.writeable
            if not store.mapped:
                assert np.shares_memory(ours, theirs)


@pytest.mark.ray
def test_a_pass_that_fails_on_the_cluster_is_one_line(ray_cluster: None, tmp_path: Path) -> None:
    import ray

    config = load_config(AUGMENTED)
    stock, (ground, teacher) = check_search(config).stock, ground_here(config, tmp_path)
    compute = on_cluster(ray.put("no data"), {"cpu": 1, "gpu": 0})
    with pytest.raises(UserError, match="store: the teacher's outputs cannot be computed") as error:
        prepared(stock, teacher, tmp_path, ground.data, compute=compute)
    assert "\n" not in str(error.value)


@pytest.mark.ray
def test_a_search_on_ray_says_what_is_kept_and_reads_it(
    ray_cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kdsearch import run_search

    tree = {
        **TREE,
        "data": {**TREE["data"], "augment": "crop"},
        "budget": {"trials": 2},
        "scheduler": {"name": "none"},
    }
    done = run_search(tree, results=tmp_path)
    assert done.finished
    said = capsys.readouterr().out
    assert "store: logits of 4 views (crop) in float16" in said  # no more than epochs
    assert "logits of 4 views (crop) computed in" in said
    trial_id = read_trials(done.folder)["trial_id"].iloc[0]
    lines: list[str] = []
    rerun_trial(done.folder, trial_id, say=lines.append)
    assert "4 of the row's 4 epochs came out the same to the last digit" in lines


def test_a_budget_below_one_view_ends_a_search_before_a_worker_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdsearch.tune import search

    monkeypatch.setattr(search, "hired", never)
    tree = {**AUGMENTED, "store": {"memory_mib": 0.0001}}
    with pytest.raises(UserError, match=r"store\.memory_mib: 0.0001, and one view of"):
        search.run_search(tree, results=tmp_path, quiet=True)


def test_stock_of_nobody_is_live() -> None:
    config = load_config(AUGMENTED)
    plan = next(iter(config.plans()))[1]
    assert stock_up(plan.store, [], [], len(DATA.train.labels)).config.views == "live"
