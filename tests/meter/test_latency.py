"""The median of enough repeats of a forward that learns nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kdsearch.meter import latency
from kdsearch.meter.latency import FEWEST, REPEATS, WARM_UPS, latency_ms

CPU = torch.device("cpu")


class Clock:
    """Time that passes where a test says so."""

    def __init__(self) -> None:
        self.now, self.disturbances = 0.0, 0


class Slow(nn.Module):
    """Takes so many seconds for a forward; where it is disturbed, ten times as many."""

    def __init__(self, clock: Clock, seconds: float, every: int = 0) -> None:
        super().__init__()
        self.clock, self.seconds, self.every = clock, seconds, every
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        self.inputs.append(x)
        disturbed = self.every and len(self.inputs) % self.every == 0
        self.clock.disturbances += bool(disturbed)
        self.clock.now += self.seconds * (10 if disturbed else 1)
        return x


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(latency.time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(latency, "_disturbances", lambda: made.disturbances)
    return made


@pytest.mark.parametrize("seconds", [1e-5, 1e-3, 0.05, 3.0])
def test_it_is_the_time_of_one_forward_and_ends_in_time(clock: Clock, seconds: float) -> None:
    student = Slow(clock, seconds)
    assert latency_ms(student, (3, 8, 8), 2, CPU) == pytest.approx(1000 * seconds)
    assert {tuple(x.shape) for x in student.inputs} == {(2, 3, 8, 8)}
    calls = len(student.inputs)
    assert calls >= WARM_UPS + FEWEST
    assert calls >= WARM_UPS + REPEATS or calls * seconds >= 1
    assert clock.now < 1.3 + 2 * FEWEST * seconds


@pytest.mark.parametrize(("every", "wanted"), [(0, 1.0), (4, 1.0), (2, 1.0), (1, 10.0)])
def test_disturbed_repeats_count_only_where_there_are_no_others(
    clock: Clock, every: int, wanted: float
) -> None:
    assert latency_ms(Slow(clock, 0.001, every), (1, 1, 1), 1, CPU) == pytest.approx(wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_forward_on_a_gpu_takes_time() -> None:
    device = torch.device("cuda:0")
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).to(device)
    assert latency_ms(student, (1, 8, 8), 4, device) > 0
