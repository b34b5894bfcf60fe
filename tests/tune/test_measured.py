"""A search over what is measured: before a worker is taken, once, and never again from the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kdsearch.architecture import Architecture
from kdsearch.config import TrialSpec
from kdsearch.cost import cost
from kdsearch.errors import UserError
from kdsearch.meter import Meter, Reading
from kdsearch.meter.device import processor
from kdsearch.proposers import Proposal
from kdsearch.results.front import read_front
from kdsearch.results.store import read_trials
from kdsearch.tune.closing import close_search
from kdsearch.tune.gate import gate, trial_event
from kdsearch.tune.launch import Launch
from kdsearch.tune.opening import open_search, refuse_elsewhere
from kdsearch.tune.progress import SearchProgress
from kdsearch.tune.study import write_study
from kdsearch.tune.warm_start import read_earlier, warm
from tests.tune.made import (
    LR,
    WIDTH,
    WIDTHS,
    Listed,
    enqueue_repeats,
    events_of,
    made_config,
    made_driver,
    made_ground,
    play,
)

OBJECTIVES = [
    {"name": "validation_loss", "direction": "min"},
    {"name": "latency_ms", "direction": "min", "scale": "log", "batch_size": 2},
    {"name": "peak_memory_mib", "direction": "min"},
    {"name": "size_bytes", "direction": "min", "bits": 4},
]


HERE = f"cpu: {processor()}, 1 thread, batch 2"


class Pretended(Meter):
    """Reads what a test says, and counts how often."""

    def __init__(self, read: Callable[[Architecture], Reading]) -> None:
        super().__init__()
        self.pretend, self.asks = read, 0

    def read(self, architecture: Architecture) -> Reading:
        self.asks += 1
        return self.pretend(architecture)


def reading(width: int) -> Reading:
    return Reading(float(width), HERE, 0.5, "cpu, batch 1")


def slow(architecture: Architecture) -> Reading:
    """As many milliseconds as the student is wide."""
    return reading(architecture.stages[0].width_of(0))


def refusing(architecture: Architecture) -> Reading:
    raise UserError("latency_ms", "cannot be measured: no such layer")


def proposal(width: int) -> Proposal:
    return Proposal({WIDTH: width, LR: 0.05})


def test_a_search_measures_every_student_once_and_puts_it_on_the_front(tmp_path: Path) -> None:
    config = made_config(objectives=OBJECTIVES, budget={"trials": 4})
    proposer = Listed(WIDTHS)
    with made_driver(tmp_path, config, proposer) as driver, Meter(config.fixed.measured) as meter:
        driver.ground.meter = meter
        play(driver)
        close_search(driver.store, config, None)
    trials, front, _ = read_front(tmp_path)
    for name in ("latency_ms", "peak_memory_mib", "validation_loss"):
        assert min(trials[name]) > 0
    assert {text[-9:] for text in trials["latency_device"]} == {", batch 2"}
    students = [Architecture.from_json(text) for text in trials["architecture"]]
    assert list(trials["size_bytes"]) == [cost(student, bits=4).size_bytes for student in students]
    smallest = trials.loc[trials["status"] == "complete", "size_bytes"].min()
    assert smallest in set(front["size_bytes"])
    ended = {o.trial_id: o for o in proposer.told if o.values is not None}
    for row in trials.to_dict("records"):
        assert ended[row["trial_id"]].values == tuple(row[o["name"]] for o in OBJECTIVES)
        assert len(ended[row["trial_id"]].violations) == 1


def test_the_log_is_told_again_as_it_was_and_nothing_is_measured(tmp_path: Path) -> None:
    config = made_config(objectives=OBJECTIVES, budget={"trials": 6})
    first, again = Listed(WIDTHS), Listed(WIDTHS)
    with made_driver(tmp_path, config, first) as driver:
        driver.ground.meter = Pretended(slow)
        play(driver)
    rows = read_trials(tmp_path)
    with made_driver(tmp_path, config, again) as driver:
        driver.ground.meter = Pretended(refusing)
        assert driver.finished and driver.ground.meter.asks == 0
    assert again.told == [o for o in first.told if o.fate not in ("infeasible", "repeated")]
    assert read_trials(tmp_path).equals(rows)
    assert write_study(tmp_path, f"sqlite:///{tmp_path}/study.db")[0] == len(rows)
    known = Meter(config.fixed.measured, events_of(tmp_path, "trial"))
    for event in events_of(tmp_path, "trial"):
        architecture = Architecture.from_json(event["architecture"])
        assert known.read(architecture) == slow(architecture)
    assert known._process is None


def test_a_search_that_was_measured_elsewhere_does_not_go_on(tmp_path: Path) -> None:
    config = made_config(objectives=OBJECTIVES, budget={"trials": 2})
    with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
        driver.ground.meter = Pretended(slow)
        play(driver)
        refuse_elsewhere(driver.store, Meter(config.fixed.measured))
        driver.ground.meter = Pretended(lambda a: replace(slow(a), latency_device="cuda: B"))
        driver.launch(
            trial_event(
                driver.ground,
                "00009",
                TrialSpec.model_validate(events_of(tmp_path, "trial")[0]["spec"]),
                assignment={},
            )
        )
        fault = f"latency_ms was measured on cuda: B so far.*on {HERE}.*--from"
        with pytest.raises(UserError, match=fault):
            refuse_elsewhere(driver.store, Meter(config.fixed.measured))
        refuse_elsewhere(driver.store, Meter())


@pytest.mark.parametrize("there", [HERE, HERE.replace("batch 2", "batch 1"), "cuda: B, batch 2"])
def test_an_earlier_search_s_rows_are_believed_where_they_were_measured_here(
    tmp_path: Path, there: str
) -> None:
    earlier = made_config(search="earlier", objectives=OBJECTIVES, budget={"trials": 3})
    with made_driver(tmp_path / "earlier", earlier, Listed(WIDTHS)) as driver:
        driver.ground.meter = Pretended(lambda a: replace(slow(a), latency_device=there))
        play(driver)
    config, told = made_config(objectives=OBJECTIVES), Listed([])
    ground = made_ground(config)
    ground.meter = Meter(config.fixed.measured)
    with open_search(tmp_path / "made", config) as store:
        sources = read_earlier([tmp_path / "earlier"], config, store)
        warm(told, sources, ground, store, SearchProgress(Console(), quiet=True))
        queue = store.history.earlier["queue"]
    assert bool(told.told) == (there == HERE) and bool(queue) == (there != HERE)


def test_the_front_s_students_again_have_what_was_measured_of_them(tmp_path: Path) -> None:
    config = made_config(objectives=OBJECTIVES, budget={"trials": 3})
    with made_driver(tmp_path, config, Listed(WIDTHS), scheduled=False) as driver:
        driver.ground.meter = Pretended(slow)
        play(driver)
        trials = driver.store.history.trials
        driver.ground.meter = Meter(config.fixed.measured, trials.values())
        again = enqueue_repeats(driver, 1)
    assert again and all(e["latency_ms"] == trials[e["parent_id"]]["latency_ms"] for e in again)


@pytest.mark.parametrize(("bound", "wanted"), [(8, None), (7.9, "infeasible")])
def test_what_is_measured_may_be_bounded(bound: float, wanted: Any) -> None:
    ground = made_ground(made_config(constraints={"parameters": 2000, "latency_ms": bound}))
    ground.meter = Pretended(slow)
    event, refusal = gate(ground, set(), "00000", proposal(8))
    assert (refusal and refusal.fate) == wanted
    if refusal is not None:
        assert refusal.violations[1] == pytest.approx(8 / bound - 1)
        assert refusal.violations[0] < 0 and refusal.why == "latency_ms 8 is above 7.9"
    else:
        assert event is not None and {**event, **asdict(reading(8))} == event


def test_nothing_is_measured_of_a_student_that_is_refused_anyway() -> None:
    ground = made_ground(made_config(constraints={"parameters": 2000, "latency_ms": 1e9}))
    ground.meter = Pretended(slow)
    event, _ = gate(ground, set(), "00000", proposal(8))
    assert event is not None
    asks = ground.meter.asks
    too_wide, repeated = proposal(39), proposal(8)
    for refused in (too_wide, repeated):
        assert gate(ground, {event["architecture_key"]}, "00001", refused)[1] is not None
    assert ground.meter.asks == asks


def test_a_student_that_cannot_be_measured_costs_no_row_and_the_search_says_why(
    tmp_path: Path,
) -> None:
    def narrow(architecture: Architecture) -> Reading:
        return slow(architecture) if slow(architecture) == reading(4) else refusing(architecture)

    config = made_config(objectives=OBJECTIVES, budget={"trials": 2})
    with made_driver(tmp_path, config, Listed([9, 4, *[9] * 600])) as driver:
        driver.ground.meter = Pretended(narrow)
        assert isinstance(driver.next(), Launch)
        driver.next()
        assert "the last: latency_ms: cannot be measured: no such layer" in str(driver.exhausted)
    assert len(events_of(tmp_path, "trial")) == 1


def test_where_nothing_can_be_measured_the_search_ends_in_one_line() -> None:
    def broken(architecture: Architecture) -> Reading:
        raise UserError("objectives", "nothing can be measured: no driver")

    ground = made_ground(made_config(objectives=OBJECTIVES))
    ground.meter = Pretended(broken)
    with pytest.raises(UserError, match="objectives: nothing can be measured"):
        gate(ground, set(), "00000", proposal(8))
