"""What schedulers and proposers are told is what the log says, as declared."""

from __future__ import annotations

import math

from kdsearch.results.history import fold
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.observe import directions, objective_values, observation
from tests.results.made import epoch, header, story, trial

ACCURACY = ObjectiveConfig(name="validation_accuracy", direction="max")
SIZE = ObjectiveConfig(name="parameters", direction="min", scale="log")
BYTES = ObjectiveConfig(name="size_bytes", direction="min")


LOSS = ObjectiveConfig(name="validation_loss", direction="min")
LATENCY = ObjectiveConfig(name="latency_ms", direction="min")


def test_what_changes_is_of_the_epoch_and_what_is_known_before_of_the_trial() -> None:
    started, later = trial("00000", latency_ms=0.5), epoch("00000", 2, 0.5, validation_loss=0.3)
    assert objective_values([LATENCY, LOSS, ACCURACY], started, later) == (0.5, 0.3, 0.5)
    (unknown,) = objective_values([LATENCY], trial("00000"), later)
    assert math.isnan(unknown)


def test_an_observation_says_how_far_each_bound_is_in_their_order() -> None:
    placed = {"most": 0.25, "device": "cpu"}
    bounds = {"macs": 40_000, "latency_ms": placed, "parameters": 1000}
    events = [header(config={"constraints": bounds}), trial("00000", latency_ms=0.5)]
    told = observation(fold(events), "00000", "failed", [ACCURACY])
    assert told.violations == (-0.5, 1.0, 0.0)
    assert observation(fold(story()), "00000", "complete", [ACCURACY]).violations == ()


def test_objectives_keep_their_order_and_are_neither_turned_nor_scaled() -> None:
    values = objective_values([BYTES, ACCURACY, SIZE], trial("00000"), epoch("00000", 1, 0.5))
    assert values == (4000.0, 0.5, 1000.0)
    assert directions([SIZE, ACCURACY]) == [("parameters", "min"), ("validation_accuracy", "max")]


def test_an_observation_has_every_epoch_of_the_last_start() -> None:
    history = fold(story())
    told = observation(history, "00001", "complete", [ACCURACY, SIZE])
    assert told.history == ((1, (0.4, 500.0)),)  # the first start reached 0.9, and is void
    assert told.values == (0.4, 500.0)
    assert told.assignment == history.trials["00001"]["assignment"]


def test_values_are_those_of_the_last_epoch_not_of_the_best() -> None:
    told = observation(fold(story()), "00000", "complete", [ACCURACY])
    assert [values for _, values in told.history] == [(0.5,), (0.7,), (0.6,)]
    assert told.values == (0.6,)


def test_a_trial_without_an_epoch_has_no_values() -> None:
    history = fold([*story(), trial("00009")])
    told = observation(history, "00009", "failed", [ACCURACY])
    assert told.values is None and told.history == ()
