"""A search on a cluster of several nodes, one of which goes, and then the head."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from kdsearch import read_epochs, read_trials
from tests.tune.nodes import EPOCHS, IMAGES, MAPS, TRIALS, Search, nodes

pytestmark = [pytest.mark.ray, pytest.mark.kill]

DATA = IMAGES * 3 * 32 * 32  # bytes: a pixel is one
OUTPUTS = IMAGES // 2 * MAPS * 2  # bytes at least: float16, of the training images


@dataclass
class Seen:
    """What was there at the moments at which something was killed, and in the end."""

    search: Search
    trained_on: set[str]  # nodes
    shared: list[tuple[int, set[str]]]  # objects and where they lay, after some trials
    in_flight: set[str]  # when a node was removed
    moved: list[dict]  # what went on from a state before the head died
    interrupted: int  # trials in flight when the head died
    code: int


def in_flight(search: Search) -> Counter[str]:
    """Epochs so far of the trials that have some, and have not ended."""
    ended = {e["trial_id"] for e in search.events("end")}
    return Counter(e["trial_id"] for e in search.events("epoch") if e["trial_id"] not in ended)


def both_under_way(search: Search) -> bool:
    """Whether two trials run that will not end at once: one of them is on the node that goes."""
    running = in_flight(search)
    return len(running) == 2 and max(running.values()) <= 0.6 * EPOCHS


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    search = Search(tmp_path_factory.mktemp("nodes"))
    with nodes(2) as ray_cluster, search.on(ray_cluster) as process:
        search.wait(process, lambda: len(search.trained_on()) == 2)
        search.wait(process, lambda: len(search.events("end")) > 0)
        trained_on, shared = search.trained_on(), search.shared()
        search.wait(process, lambda: both_under_way(search))
        running = set(in_flight(search))
        ray_cluster.remove_node(next(iter(ray_cluster.worker_nodes)), allow_graceful=False)
        search.wait(process, lambda: bool(search.events("resume")))
        moved = search.events("resume")
        search.wait(process, lambda: len(search.events("end")) > 2)
        search.wait(process, lambda: bool(in_flight(search)))
        interrupted = len(in_flight(search))
    with nodes(1) as ray_cluster, search.on(ray_cluster) as process:
        code = process.wait(120)
    return Seen(search, trained_on, shared, running, moved, interrupted, code)


def test_trials_are_trained_on_all_nodes(seen: Seen) -> None:
    assert len(seen.trained_on) == 2


def test_data_and_outputs_come_to_a_node_once_and_not_with_every_trial(seen: Seen) -> None:
    sizes = sorted(size for size, _ in seen.shared)
    assert len(sizes) == 2 and DATA < sizes[0] < 1.2 * DATA and sizes[1] > OUTPUTS
    assert all(seen.trained_on <= nodes for _, nodes in seen.shared)


def test_a_trial_of_a_node_that_is_gone_goes_on_elsewhere(seen: Seen) -> None:
    assert [e["trial_id"] in seen.in_flight for e in seen.moved] == [True]
    assert seen.moved[0]["epoch"] >= 1


def test_started_again_after_its_head_died_the_search_ends_with_all_its_rows(seen: Seen) -> None:
    assert seen.interrupted and seen.code == 0, seen.search.out
    trials, epochs = read_trials(seen.search.folder), read_epochs(seen.search.folder)
    assert sorted(trials["trial_id"]) == [f"{i:05d}" for i in range(TRIALS)]
    assert set(trials["status"]) == {"complete"}
    assert len(epochs) == TRIALS * EPOCHS
    assert not epochs.duplicated(["trial_id", "epoch"]).any()


def test_no_epoch_is_trained_again_but_those_that_had_no_state_yet(seen: Seen) -> None:
    known: Counter[str] = Counter()
    again = 0
    for event in seen.search.events():
        trial_id = event.get("trial_id", "")
        if event["event"] == "resume":
            again += known[trial_id] - event["epoch"]
            known[trial_id] = event["epoch"]
        elif event["event"] == "epoch":
            assert event["epoch"] == known[trial_id] + 1
            known[trial_id] += 1
    assert again <= 4  # two faults, each within what a worker tells at a time
