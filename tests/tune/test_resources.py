"""``resources: auto``: chosen once, remembered, and told; no Ray is started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kdsearch.architecture import Architecture
from kdsearch.config import TrialSpec
from kdsearch.cost import cost
from kdsearch.errors import UserError
from kdsearch.tune import cluster, resources
from kdsearch.tune.opening import open_search
from kdsearch.tune.packing import Taken
from kdsearch.tune.resources import examples, settle
from kdsearch.tune.trying import Tried, try_students
from tests.tune.made import (
    DATA,
    Listed,
    events_of,
    made_config,
    made_driver,
    made_ground,
    play,
)
from tests.tune.test_cluster import Fake

MIB = 2**20
NODE = {"CPU": 8, "memory": 4000 * MIB}
GPU_NODE = {**NODE, "GPU": 1}
CPU, GPU = {"cpu": 1.0, "gpu": 0.0}, {"cpu": 1.0, "gpu": 1.0}


class Trying:
    """What a worker would have seen."""

    def __init__(self, memory: float = 800.0, gpu: float = 0.0, busy: float = 0.0) -> None:
        self.taken = Taken(1000, 0.02, memory, gpu, busy)
        self.runs: list[tuple[int, int]] = []

    def __call__(self, specs: Sequence[TrialSpec], cpus: int) -> Tried:
        self.runs.append((len(specs), cpus))
        return Tried([self.taken], {1: 0.02, 2: 0.011}, 40_000.0 * bool(self.taken.gpu_mib))


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a search on a made cluster takes, and what it said."""

    def run(section: Any, taken: dict[str, float], trying: Trying, *nodes: Any) -> Any:
        monkeypatch.setattr(cluster, "ray", Fake(*nodes))
        monkeypatch.setattr(cluster, "_autoscales", lambda: False)
        config, said = made_config(resources=section), list[str]()
        with open_search(tmp_path / "made", config) as store:
            ground = made_ground(config, cluster.place())
            return settle(ground, store, dict(taken), trying, said.append), said

    return run


@pytest.mark.parametrize("section", ["auto", {"cpu": "auto", "gpu": "auto"}, {"cpu": "auto"}])
def test_on_cpus_memory_bounds_the_trials_and_nothing_is_asked_twice(
    settled: Any, tmp_path: Path, section: Any
) -> None:
    trying = Trying()
    taken, said = settled(section, CPU, trying, NODE)
    assert taken == {"cpu": 2.0, "gpu": 0.0, "memory": 920 * MIB}  # room for four, on eight CPUs
    assert cluster.slots(taken) == 4
    no_gpu, _, told = said
    assert "no GPU" in no_gpu and "2 CPU, no GPU and 920 MiB a trial, 4 at a time" in told
    assert settled(section, CPU, trying, NODE)[0] == taken
    assert len(trying.runs) == len(events_of(tmp_path / "made", "resources")) == 1


def test_elsewhere_it_is_chosen_anew_and_back_again_it_is_remembered(
    settled: Any, tmp_path: Path
) -> None:
    trying, other = Trying(), {"CPU": 2, "memory": 4000 * MIB}
    first, _ = settled("auto", CPU, trying, NODE)
    second, _ = settled("auto", CPU, trying, other)
    assert (first["cpu"], second["cpu"]) == (2.0, 1.0)
    assert settled("auto", CPU, trying, NODE)[0] == first
    assert [e["place"] for e in events_of(tmp_path / "made", "resources")] == ["8 CPU", "2 CPU"]


def test_on_a_gpu_a_share_is_chosen_where_the_file_leaves_it_open(settled: Any) -> None:
    trying = Trying(200.0, 9000.0, 0.2)
    taken, said = settled({"cpu": 1, "gpu": "auto"}, GPU, trying, GPU_NODE)
    assert taken["gpu"] == 0.3333 and len(said) == 2 and "3 on a GPU" in said[1]


def test_what_the_file_says_in_numbers_is_tried_by_nobody(settled: Any, tmp_path: Path) -> None:
    trying = Trying()
    assert settled({"cpu": 1, "gpu": 0}, CPU, trying, NODE) == (CPU, [])
    assert settled({"cpu": 1, "gpu": 0.5}, {"cpu": 1.0, "gpu": 0.5}, trying, GPU_NODE)[1] == []
    taken, said = settled({"cpu": 1, "gpu": "auto"}, CPU, trying, NODE)
    assert taken == CPU and len(said) == 1 and "no GPU" in said[0]
    assert not trying.runs and not events_of(tmp_path / "made", "resources")


def test_numbers_that_the_file_says_by_now_count_more_than_what_was_chosen(
    settled: Any, tmp_path: Path
) -> None:
    config = made_config(resources="auto", budget={"trials": 1})
    with made_driver(tmp_path / "made", config, Listed([4])) as driver:
        play(driver)
    first, _ = settled("auto", CPU, trying := Trying(), NODE)
    assert first["cpu"] == 2.0
    changed, _ = settled({"cpu": "auto", "gpu": 0}, CPU, trying, NODE)
    assert changed == first and len(trying.runs) == 1  # it agrees
    trying = Trying(gpu=9_000.0, busy=0.2)
    shared, _ = settled("auto", GPU, trying, GPU_NODE)
    whole, _ = settled({"cpu": 3, "gpu": "auto"}, {"cpu": 3.0, "gpu": 1.0}, trying, GPU_NODE)
    assert shared["cpu"] != whole["cpu"] == 3.0 and len(trying.runs) == 2


def test_memory_that_was_there_before_and_is_not_now_is_one_line(settled: Any) -> None:
    settled("auto", CPU, Trying(), NODE)
    with pytest.raises(UserError, match=r"^resources\.memory: 920 MiB asked for.*; end what else"):
        settled("auto", CPU, Trying(), {"CPU": 8, "memory": 700 * MIB})


def test_students_that_cannot_be_tried_are_one_line(settled: Any) -> None:
    def none(specs: Sequence[TrialSpec], cpus: int) -> Tried:
        return Tried([], {1: 0.0}, fault="RuntimeError: wired the wrong way")

    with pytest.raises(UserError, match=r"^resources: no student .*wired the wrong way") as error:
        settled("auto", CPU, none, NODE)
    assert "\n" not in str(error.value)


def test_what_is_tried_is_the_cheapest_the_dearest_and_one_between_that_may_run() -> None:
    config = made_config()  # widths to 40, of which the constraint allows 26
    found = [Architecture.from_json(spec.architecture) for spec in examples(made_ground(config))]
    prices = [cost(architecture) for architecture in found]
    macs = [price.macs for price in prices]
    assert macs == sorted(macs) and len(macs) == 3
    assert all(price.parameters <= 2000 for price in prices)
    least = made_config(student={"family": "mlp", "widths": [1]})
    assert found[0].to_json() == examples(made_ground(least))[0].architecture


def test_a_space_without_holes_is_tried_once() -> None:
    config = made_config(student={"family": "mlp", "widths": [4]}, training={"epochs": 1})
    (spec,) = examples(made_ground(config))
    assert spec.plan.training.last_epoch == 2  # one to warm up, one to look at


def test_trying_takes_steps_and_memory_and_leaves_the_rest() -> None:
    specs = examples(made_ground(made_config()))
    (tried,) = try_students(specs, DATA, {}, {}, "cpu", 2)
    assert len(tried.taken) == 3 and tried.fault is None
    for taken in tried.taken:
        assert taken.step > 0 and taken.memory_mib > 0 and taken.gpu_mib == taken.busy == 0
    assert set(tried.threads) == {1, 2} and min(tried.threads.values()) > 0


def test_a_student_that_raises_is_passed_over_unless_it_lacks_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    specs = examples(made_ground(made_config()))
    real = resources.try_students.__globals__["_tried"]

    def broken(fault: str) -> Any:
        def tried(spec: TrialSpec, around: Any) -> Taken:
            if spec is specs[1]:
                raise RuntimeError(fault)
            return real(spec, around)

        return tried

    monkeypatch.setattr("kdsearch.tune.trying._tried", broken("wired the wrong way"))
    (tried,) = try_students(specs, DATA, {}, {}, "cpu", 1)
    assert len(tried.taken) == 2 and "wired the wrong way" in str(tried.fault)
    monkeypatch.setattr("kdsearch.tune.trying._tried", broken("CUDA out of memory"))
    with pytest.raises(RuntimeError, match="out of memory"):
        list(try_students(specs, DATA, {}, {}, "cpu", 1))


def test_no_memory_even_for_one_names_the_remedy() -> None:
    error = resources._failed(RuntimeError(), "RuntimeError: CUDA out of memory")
    assert "bound the students" in str(error) and "\n" not in str(error)
