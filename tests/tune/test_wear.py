"""A worker that holds on to memory is replaced, and the search ends as if it had not."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.exceptions import RayTaskError

from kdsearch.results.store import read_epochs, read_trials
from kdsearch.tune.adapters import DriverCallback, DriverScheduler, DriverSearcher
from kdsearch.tune.driver import Driver
from kdsearch.tune.held import forget_peak, own_mib, peak_mib, tidy
from kdsearch.tune.trainable import Parcel, StudentTrial
from kdsearch.tune.wear import (
    FIRST,
    GPU_SPARE_MIB,
    KEPT_MIB,
    SPARE_MIB,
    SPARE_SHARE,
    Wear,
    WornError,
)
from tests.tune.made import Listed, events_of, made_config, made_driver
from tests.tune.promoting import SECTION, Promoting
from tests.tune.test_trainable import worker

WIDTHS = [4, 9, 16, 20, 7, 25]


class Held:
    """A memory that holds what it is told to."""

    def __init__(self, mib: float = 300.0, gpu: float = 0.0, fragments: float = 0.0) -> None:
        self.mib, self.gpu, self.fragments = mib, gpu, fragments
        self.free, self.trims = 0.0, 0

    def watched(self, device: str = "cpu") -> Wear:
        def clean() -> None:
            self.fragments = 0.0

        def own() -> float:
            return self.mib + self.fragments + self.free

        return Wear(device, own, lambda: self.gpu, self.trim, clean)

    def trim(self) -> None:
        self.free, self.trims = 0.0, self.trims + 1


def trials_until_worn(held: Held, wear: Wear, growth: float, most: int = 100) -> int:
    for number in range(1, most + 1):
        held.mib += growth
        try:
            wear.check()
        except WornError:
            return number
    return most + 1


def test_a_worker_whose_memory_is_flat_is_never_worn() -> None:
    held = Held()
    wear = held.watched()
    assert trials_until_worn(held, wear, 0.0) == 101
    held.mib -= 100  # less is no fault either
    wear.check()


@pytest.mark.parametrize("growth", [30.0, 100.0, 400.0, 2000.0])
def test_one_that_leaks_is_worn_once_it_has_leaked_the_bound(growth: float) -> None:
    held = Held()
    after = trials_until_worn(held, held.watched(), growth)
    mark = 300 + FIRST * growth
    bound = mark + max(SPARE_MIB, SPARE_SHARE * mark)
    assert 300 + after * growth > bound >= 300 + (after - 1) * growth and after > FIRST


def test_a_large_worker_may_grow_by_a_quarter() -> None:
    held = Held(4000.0)
    wear = held.watched()
    trials_until_worn(held, wear, 0.0, FIRST)
    held.mib = 4999.0
    wear.check()
    held.mib = 5001.0
    with pytest.raises(WornError, match=r"holds 5001 MiB of memory; at most 4000 .* 1000 more"):
        wear.check()


def test_fragments_are_given_back_before_it_is_judged() -> None:
    held = Held()
    wear = held.watched()
    trials_until_worn(held, wear, 0.0, FIRST)
    held.fragments = 10_000.0
    wear.check()
    assert held.fragments == 0.0


def test_a_little_free_memory_stays_for_the_next_trial_and_much_is_given_back() -> None:
    held = Held()
    wear = held.watched()
    for _ in range(FIRST):
        held.free = 100.0
        wear.check()
        assert held.free == 0.0  # the mark is without it
    assert held.trims == FIRST
    held.free = KEPT_MIB
    wear.check()
    assert (held.free, held.trims) == (KEPT_MIB, FIRST)
    held.free = KEPT_MIB + 1
    wear.check()
    assert (held.free, held.trims) == (0.0, FIRST + 1)


def test_a_gpu_is_to_be_as_it_was_before_the_first_trial() -> None:
    held = Held(gpu=500.0)
    wear = held.watched("cuda")
    held.gpu += GPU_SPARE_MIB
    wear.check()
    held.gpu += 1
    with pytest.raises(WornError, match=r"after 2 trials .* 533 MiB of its GPU; at most 500") as e:
        wear.check()
    assert "\n" not in str(e.value)


def test_where_the_system_says_nothing_nobody_is_worn() -> None:
    wear = Wear("cpu", lambda: None, lambda: 0.0)
    for _ in range(10):
        wear.check()


def test_memory_of_its_own_is_what_tensors_take_and_give_back() -> None:
    forget_peak()
    before = own_mib()
    if before is None:
        pytest.skip("this system does not say")
    held = torch.ones(64, 2**18)  # 64 MiB
    with_it = own_mib() or 0.0
    assert with_it - before > 48
    del held
    tidy()
    assert with_it - (own_mib() or 0.0) > 48
    assert peak_mib() - before > 48  # it was there


# In a search


class Leaky(StudentTrial):
    """A worker in which something keeps what every trial has made."""

    kept: list[torch.Tensor]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self.training is not None:
            self.kept.append(torch.ones(8, 2**18))  # 8 MiB
        return super().reset_config(new_config)


def leaky() -> Leaky:
    made = object.__new__(Leaky)
    made.__dict__.update(worker().__dict__)
    made.wear, made.kept = Wear("cpu", lambda: 8.0 * len(made.kept), clean=lambda: None), []
    return made


def rayed(error: Exception, folder: Path) -> str:
    """The file in which Ray Tune keeps what ended a worker."""
    file = folder / "error.pkl"
    file.write_bytes(pickle.dumps(RayTaskError("reset", "Traceback ...", error)))
    return str(file)


def run(driver: Driver, folder: Path, said: list[str]) -> Iterator[Leaky]:
    """All of a search on one worker after another, as Ray has it; the workers."""
    searcher, scheduler = DriverSearcher(driver), DriverScheduler(driver)
    callback, one = DriverCallback(driver, lambda: None, said.append), leaky()
    while isinstance(config := searcher.suggest("any"), dict):
        trial, done = SimpleNamespace(config=deepcopy(config), status="", run_metadata=None), False
        sent = deepcopy(config)
        sent["state"] = Parcel(config["state"].content)  # in another process
        try:
            one.reset_config(sent)
        except WornError as error:
            trial.pickled_error_file = rayed(error, folder)
            trial.run_metadata = SimpleNamespace(last_result={})
            callback.on_trial_error(0, [trial], trial)
            yield one
            one = leaky()
            continue
        while not done:
            result = one.step()
            if not result.get("done"):
                result["done"] = scheduler.on_trial_result(None, trial, dict(result)) == "STOP"
            callback.on_trial_result(0, [], trial, result)
            done = result["done"]
    yield one


def test_workers_that_leak_are_replaced_and_the_search_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdsearch.tune.wear.SPARE_MIB", 8.0)
    threads, said = torch.get_num_threads(), list[str]()
    config = made_config(scheduler=SECTION, budget={"trials": 6})
    for name, worn in (("leaky", True), ("healthy", False)):
        monkeypatch.setattr("kdsearch.tune.wear.FIRST", 1 if worn else 1000)
        with made_driver(tmp_path / name, config, Listed(WIDTHS), Promoting()) as driver:
            workers = list(run(driver, tmp_path, said))
            assert driver.finished and (len(workers) > 2) == worn
            assert not driver.flight.losses
    torch.set_num_threads(threads)
    worn_events = events_of(tmp_path / "leaky", "worn")
    assert len(said) == len(worn_events) > 1
    for line, event in zip(said, worn_events, strict=True):
        assert line.endswith(f"replaced before trial {event['trial_id']}") and "\n" not in line
    for read, key in ((read_trials, "trial_id"), (read_epochs, ["trial_id", "epoch"])):
        found, wanted = (
            read(tmp_path / n).set_index(key).sort_index() for n in ("leaky", "healthy")
        )
        columns = ["validation_accuracy", "validation_loss"]
        assert found[columns].equals(wanted[columns])
