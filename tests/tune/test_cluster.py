"""What a trial takes of a cluster, and how a user's code gets there; no Ray is started."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdsearch.errors import UserError
from kdsearch.search_sections import ResourcesConfig
from kdsearch.tune import cluster
from tests.tune.made import made_config

A, B = "a" * 56, "b" * 56


class Fake:
    """A cluster of nodes, and what its monitor has written down."""

    def __init__(self, *nodes: dict[str, float], types: dict[str, int] | None = None) -> None:
        self._nodes = [
            {"NodeID": name, "Alive": True, "Resources": resources}
            for name, resources in zip((A, B), nodes, strict=False)
        ]
        report = {"active_nodes": {f"node_{A}": 1} if types is None else types}
        self._status = json.dumps({"autoscaler_report": report}).encode()

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    def cluster_resources(self) -> dict[str, float]:
        names = {name for node in self._nodes for name in node["Resources"]}
        return {n: sum(node["Resources"].get(n, 0) for node in self._nodes) for n in names}

    def is_initialized(self) -> bool:
        return False

    def internal_kv_get(self, key: bytes, namespace: bytes | None, timeout: int) -> bytes | None:
        return self._status if key == b"__autoscaling_status" else None


def share(patch: pytest.MonkeyPatch, fake: Fake, **asked: Any) -> dict[str, float]:
    from ray._private import worker

    patch.setattr(cluster, "ray", fake)
    patch.setattr(worker, "global_worker", SimpleNamespace(gcs_client=fake))
    return cluster.share(ResourcesConfig(**asked))


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share(monkeypatch, Fake({"CPU": 4})) == {"cpu": 1, "gpu": 0}
    assert share(monkeypatch, Fake({"CPU": 4, "GPU": 2})) == {"cpu": 1, "gpu": 1}
    assert share(monkeypatch, Fake({"CPU": 4, "GPU": 2}), gpu=0) == {"cpu": 1, "gpu": 0}


@pytest.mark.parametrize(
    ("asked", "place"),
    [({"cpu": 5}, "cpu"), ({"gpu": 1}, "gpu"), ({"cpu": 1, "gpu": 0.5}, "gpu")],
)
def test_more_than_any_node_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, float], place: str
) -> None:
    with pytest.raises(UserError, match=rf"^resources\.{place}: .* no node has more than"):
        share(monkeypatch, Fake({"CPU": 4}, {"CPU": 2}), **asked)


def test_a_cluster_that_grows_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    grows = Fake({"CPU": 4}, types={"head": 1, "worker": 1})
    assert share(monkeypatch, grows, gpu=1) == {"cpu": 1, "gpu": 1}


def test_above_one_only_whole_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake({"CPU": 4, "GPU": 4})
    assert share(monkeypatch, fake, gpu=2)["gpu"] == 2
    with pytest.raises(UserError, match="whole GPUs"):
        share(monkeypatch, fake, gpu=1.5)


@pytest.mark.parametrize(
    ("taken", "slots"),
    [
        ({"cpu": 1, "gpu": 0}, 8),
        ({"cpu": 3, "gpu": 0}, 2),
        ({"cpu": 1, "gpu": 1}, 2),
        ({"cpu": 1, "gpu": 0.5}, 4),
        ({"cpu": 4, "gpu": 0.25}, 2),
        ({"cpu": 1, "gpu": 4}, 1),
        ({"cpu": 0.1, "gpu": 0}, 80),
        ({"cpu": 0.1, "gpu": 0.1}, 20),
        ({"cpu": 1, "gpu": 0, "memory": 300.0}, 3),
    ],
)
def test_slots_are_what_fits_by_cpu_and_gpu(
    monkeypatch: pytest.MonkeyPatch, taken: dict[str, float], slots: int
) -> None:
    monkeypatch.setattr(cluster, "ray", Fake({"CPU": 8, "GPU": 2, "memory": 1000}))
    assert cluster.slots(taken) == slots


def test_a_place_names_every_kind_of_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ray", Fake({"CPU": 4}, {"CPU": 4}))
    assert cluster.place() == "4 CPU" and cluster.nodes() == 2
    both = Fake({"CPU": 4, "memory": 5}, {"CPU": 16, "GPU": 2, "accelerator_type:H200": 1})
    monkeypatch.setattr(cluster, "ray", both)
    assert cluster.place() == "16 CPU, 2 GPU (H200); 4 CPU"
    monkeypatch.setattr(cluster, "ray", Fake({"CPU": 0}, {"CPU": 2}))  # a head that trains nothing
    assert cluster.place() == "2 CPU" and cluster.nodes() == 1


def test_the_poorest_node_is_of_those_that_can_run_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    large = {"CPU": 16.0, "GPU": 4.0, "memory": 9.0}
    small = {"CPU": 8.0, "GPU": 1.0, "memory": 7.0}
    monkeypatch.setattr(cluster, "ray", Fake(large, small))
    assert cluster.poorest_node({"cpu": 1, "gpu": 1}) == {**large, "memory": 7}
    monkeypatch.setattr(cluster, "ray", Fake(large, {"CPU": 2, "memory": 1}))
    assert cluster.poorest_node({"cpu": 1, "gpu": 1}) == large
    monkeypatch.setattr(cluster, "ray", Fake({"CPU": 2, "memory": 1}))
    assert cluster.poorest_node({"cpu": 1, "gpu": 1})["memory"] > 2**50  # yet to come


def test_memory_that_no_node_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    share(monkeypatch, Fake({"CPU": 4, "memory": 2**30}))
    taken = {"cpu": 1, "gpu": 0, "memory": 2.0**31}
    with pytest.raises(
        UserError, match=r"^resources\.memory: 2048 MiB .* more than 1,024 MiB; end"
    ):
        cluster.refuse_more(taken)


def test_auto_for_cpus_is_one_until_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share(monkeypatch, Fake({"CPU": 4}), cpu="auto", gpu="auto") == {"cpu": 1, "gpu": 0}


def test_a_search_through_a_ray_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ray", Fake({"CPU": 1}))
    with pytest.raises(UserError, match="kdsearch submit"):
        cluster.start(made_config(), "ray://head:10001")


def test_who_finds_ray_running_starts_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert cluster.start(made_config(), None) is False


def test_a_users_modules_are_found_wherever_they_are_named() -> None:
    config = made_config(
        student={"family": "my_nets.small:tiny", "width": {"int": [1, 4]}},
        teacher={"architecture": {"family": "my_nets:big"}},
        losses=[{"choice": ["none", {"method": "my_losses:Mine", "weight": 1.0}]}],
    )
    assert cluster.user_modules(config) == ["my_losses", "my_nets"]
    assert cluster.user_modules(made_config()) == []


def test_on_this_machine_workers_look_where_the_driver_looks(tmp_path: Path) -> None:
    config = made_config(student={"family": "my_nets:tiny"})
    path = cluster.runtime_env(config, joined=False)["env_vars"]["PYTHONPATH"]
    assert str(config.base) in path
    assert cluster.runtime_env(made_config(), joined=False) == {}


def test_on_a_cluster_the_modules_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_travelling_nets.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    config = made_config(student={"family": "my_travelling_nets:tiny"})
    modules = cluster.runtime_env(config, joined=True)["py_modules"]
    assert str(tmp_path / "my_travelling_nets.py") in modules
    assert Path(modules[0]).name == "kdsearch"
    missing = made_config(student={"family": "no_such_module_at_all:tiny"})
    with pytest.raises(UserError, match="no such module"):
        cluster.runtime_env(missing, joined=True)
