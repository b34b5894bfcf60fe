"""The peak of a forward is the weights, and the activations alive at once."""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from kdsearch.meter.memory import MIB, LiveStorages, peak_memory_mib
from kdsearch.students import build_student, describe

CPU = torch.device("cpu")
FLOAT = 4
SECTIONS = [{"family": "mlp", "widths": [9, 7]}, {"family": "convnet", "widths": [4, 8]}]


def peak(student: nn.Module, batch: int, shape: tuple[int, int, int] = (3, 16, 16)) -> int:
    return round(peak_memory_mib(student, shape, batch, CPU) * MIB)


def student_of(section: dict) -> nn.Module:
    return build_student(describe(section, (3, 16, 16), 10), seed=0)


@pytest.mark.parametrize("batch", [1, 5])
def test_of_a_chain_two_neighbours_are_alive(batch: int) -> None:
    widths = [6, 50, 40, 3]
    pairs = list(pairwise(widths))
    chain = nn.Sequential(nn.Flatten(), *(nn.Linear(a, b) for a, b in pairs))
    weights = sum((a + 1) * b for a, b in pairs)
    # The images are held from outside; the dearest neighbours stand beside them.
    assert peak(chain, batch, (6, 1, 1)) == FLOAT * (weights + batch * (6 + 50 + 40))


def test_views_and_changes_in_place_cost_nothing() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(48, 10))
    more = nn.Sequential(*plain, nn.ReLU(inplace=True), nn.Unflatten(1, (2, 5)), nn.Flatten())
    assert peak(more, 3, (3, 4, 4)) == peak(plain, 3, (3, 4, 4))


@pytest.mark.parametrize("section", SECTIONS)
def test_activations_grow_with_the_batch_and_weights_do_not(section: dict) -> None:
    student = student_of(section)
    weights = FLOAT * sum(p.numel() for p in student.parameters())
    one, two, four = (peak(student, batch) for batch in (1, 2, 4))
    assert four - two == 2 * (two - one) > 0
    assert one > weights


@pytest.mark.parametrize("section", SECTIONS)
def test_the_profiler_of_torch_sees_the_same_and_what_kernels_take(section: dict) -> None:
    student, images = student_of(section).eval(), torch.zeros(4, 3, 16, 16)
    held = [*student.parameters(), *student.buffers(), images]
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        student(images)
    alive = most = 0
    for event in seen.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            alive += event.nbytes()  # type: ignore[attr-defined]
            most = max(most, alive)
    seen_there = most + sum(t.untyped_storage().nbytes() for t in held)
    kernels = section["family"] != "mlp"  # matrix products take nothing for themselves
    assert seen_there / 2 < peak(student, 4) <= seen_there
    assert kernels or peak(student, 4) == seen_there


@pytest.mark.parametrize("use", [lambda x: x + 1, lambda x: x[1:] * 2, lambda x: x.clone().add_(1)])
def test_what_is_dropped_is_no_longer_counted(use: Callable[[Tensor], Tensor]) -> None:
    x = torch.zeros(100)
    with torch.no_grad(), LiveStorages([x]) as live:
        before = live.bytes
        kept = use(x)
        assert live.bytes == before + kept.untyped_storage().nbytes()
        del kept
        gc.collect()
        assert live.bytes == before < live.peak
        again = live.peak
        use(x)
        assert live.peak == again


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_holds_weights_and_activations() -> None:
    device = torch.device("cuda:0")
    student = student_of(SECTIONS[1]).to(device)
    first, again = (peak_memory_mib(student, (3, 16, 16), 64, device) for _ in range(2))
    assert first == again
    assert first * MIB >= FLOAT * (64 * 3 * 16 * 16 + 64 * 4 * 16 * 16)
