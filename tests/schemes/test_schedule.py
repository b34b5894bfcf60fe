"""The learning rate: in [0, 1], up by the warm-up, down to zero at every end."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kdsearch.schemes.schedule import STABLE_SHARE, lr_factor, rung_epochs

EPOCHS, RUNGS = 9, (1, 3, 9)
SCHEDULES = ["cosine", "rungs", "wsd"]
PROGRESS = [i / 40 for i in range(40 * EPOCHS + 1)]


def factors(schedule: str, warmup: float = 0.0) -> list[float]:
    return [lr_factor(schedule, p, EPOCHS, warmup, RUNGS) for p in PROGRESS]


@pytest.mark.parametrize("warmup", [0.0, 0.5, 4.0, 20.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_factors_are_shares(schedule: str, warmup: float) -> None:
    assert all(0 <= f <= 1 for f in factors(schedule, warmup))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warmup_it_starts_at_the_peak_and_ends_at_zero(schedule: str) -> None:
    assert factors(schedule)[0] == 1
    assert factors(schedule)[-1] == pytest.approx(0, abs=1e-12)
    assert lr_factor(schedule, EPOCHS + 1, EPOCHS, 0, RUNGS) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warmup_is_a_line_from_zero(schedule: str) -> None:
    cold, warm = factors(schedule), factors(schedule, warmup=2.0)
    for progress, without, with_ in zip(PROGRESS, cold, warm, strict=True):
        assert with_ == pytest.approx(without * min(1, progress / 2))


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_it_never_rises_but_for_restarts(schedule: str) -> None:
    assert all(a >= b for a, b in pairwise(factors(schedule)))


def test_rungs_anneal_to_zero_at_each_and_restart() -> None:
    for start, end in pairwise((0, *RUNGS)):
        inside = [lr_factor("rungs", start + (end - start) * i / 20, EPOCHS, 0, RUNGS)
                  for i in range(20)]  # fmt: skip
        assert inside[0] == 1 and all(a > b for a, b in pairwise(inside))
        assert lr_factor("rungs", end - 1e-9, EPOCHS, 0, RUNGS) < 1e-12


def test_rungs_without_rungs_are_one_cosine() -> None:
    for progress in PROGRESS[:-1]:
        assert lr_factor("rungs", progress, EPOCHS) == lr_factor("cosine", progress, EPOCHS)
        assert lr_factor("rungs", progress, EPOCHS, 0, (EPOCHS,)) == lr_factor(
            "cosine", progress, EPOCHS
        )


def test_cosine_is_half_way_down_in_the_middle() -> None:
    assert lr_factor("cosine", EPOCHS / 2, EPOCHS) == pytest.approx(0.5)


def test_wsd_holds_and_then_falls_in_a_line() -> None:
    hold = STABLE_SHARE * EPOCHS
    assert lr_factor("wsd", hold - 0.01, EPOCHS) == 1
    assert lr_factor("wsd", (hold + EPOCHS) / 2, EPOCHS) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("grace", "reduction", "epochs", "rungs"),
    [
        (1, 3, 9, (1, 3, 9)),
        (1, 3, 10, (1, 3, 9, 10)),
        (5, 3, 45, (5, 15, 45)),
        (4, 2, 3, (3,)),
        (1, 2, 1, (1,)),
    ],
)
def test_rungs_rise_by_the_reduction_and_end_with_the_training(
    grace: int, reduction: int, epochs: int, rungs: tuple[int, ...]
) -> None:
    assert rung_epochs(grace, reduction, epochs) == rungs
