"""What runs out of memory fails, and fewer trials run beside each other from then on."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError, RayTaskError

from kdsearch.proposers import Wait
from kdsearch.results.store import read_trials
from kdsearch.tune.deaths import NoMemoryError, deaths_of_workers, lacks_memory, told
from kdsearch.tune.driver import Driver
from kdsearch.tune.launch import Launch
from tests.tune.made import Listed, events_of, made_config, made_driver, play, started

WIDTHS = list(range(1, 27))


def test_after_one_ran_out_of_memory_fewer_run_at_a_time(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS), False) as driver:
        first, second, third = (started(driver).trial_id for _ in range(3))
        driver.crowd(3)
        driver.end(second, "failed", error="OutOfMemoryError: CUDA out of memory")
        assert isinstance(driver.next(), Wait)  # two run, and no third beside them
        driver.crowd(2)
        driver.lose(first, "killed beside it")
        assert isinstance(driver.next(), Wait)
        driver.end(third, "complete")
        assert started(driver).trial_id == first
        assert isinstance(driver.next(), Wait)  # one at a time


def test_trials_that_waited_for_a_worker_were_not_beside_it(tmp_path: Path) -> None:
    config = made_config(budget={"trials": 12})
    with made_driver(tmp_path, config, Listed(WIDTHS), False) as driver:
        ids = [started(driver).trial_id for _ in range(6)]
        driver.crowd(running=4)
        for trial_id in ids[:4]:
            assert isinstance(driver.next(), Wait)
            driver.end(trial_id, "complete")
        assert started(driver)  # the third
        assert isinstance(driver.next(), Wait)


def test_a_search_that_goes_on_remembers_what_the_memory_did_not_hold(tmp_path: Path) -> None:
    def most(driver: Driver) -> int:
        """How many run at a time."""
        count = 0
        while isinstance(driver.next(), Launch):
            count += 1
        return count

    config = made_config(budget={"trials": 12})
    with made_driver(tmp_path, config, Listed(WIDTHS), False, "2 CPU") as driver:
        for number in (4, 5, 3):  # a later one that was milder changes nothing
            driver.crowd(number)
        assert most(driver) == 2
    with made_driver(tmp_path, config, Listed(WIDTHS), False, "2 CPU") as driver:
        assert most(driver) == 2
    with made_driver(tmp_path, config, Listed(WIDTHS), False, "64 CPU") as driver:
        assert most(driver) == 12
    assert [e["most"] for e in events_of(tmp_path, "crowd")] == [3, 2]


def test_alone_a_trial_still_runs_and_the_search_ends(tmp_path: Path) -> None:
    with made_driver(tmp_path, made_config(), Listed(WIDTHS), False) as driver:
        driver.crowd(1)
        play(driver)
        assert driver.finished
    assert len(read_trials(tmp_path)) == 6


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("the node is low on memory\nTop 10 memory users: ..."), NoMemoryError),
        (ObjectLostError("a" * 56, None, ""), RayActorError),
        (RayActorError(error_msg="gone"), RayActorError),
        (ValueError("ours"), ValueError),
    ],
)
def test_ray_tune_hears_of_a_dead_worker_whatever_ray_calls_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    heard: list[Exception] = []
    monkeypatch.setattr(
        RayActorManager,
        "_actor_task_failed",
        lambda actors, tracked_actor_task, exception: heard.append(exception),
    )
    manager = object.__new__(RayActorManager)
    with deaths_of_workers():
        manager._actor_task_failed(tracked_actor_task=None, exception=error)  # type: ignore[arg-type]
    assert [type(e) for e in heard] == [kind]
    assert str(pickle.loads(pickle.dumps(heard[0]))) == str(heard[0])  # Ray Tune keeps it on disk


def test_what_is_told_is_one_line_with_the_reason() -> None:
    killed = NoMemoryError(error_msg="OutOfMemoryError: the node is low\nTop 10 memory users")
    assert told(killed) == "OutOfMemoryError: the node is low"
    dead = RayActorError(error_msg="The actor died.\n\tpid: 3\nIts process  was killed.")
    assert told(dead) == "Its process was killed."
    raised = RayTaskError("step", "Traceback ...", RuntimeError("CUDA out of memory.\nmore"))
    assert told(raised) == "RuntimeError: CUDA out of memory."
    assert told(None) == "the worker died"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried ...", True),
        ("_ArrayMemoryError: Unable to allocate 7.28 TiB for an array", True),
        ("MemoryError:", True),
        ("RuntimeError: expected memory_format to be contiguous", False),
    ],
)
def test_errors_of_memory_are_known(line: str, expected: bool) -> None:
    assert lacks_memory(line) == expected
