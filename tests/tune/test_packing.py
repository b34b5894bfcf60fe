"""What trials are to take: laws over measured numbers, none of them measured here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.errors import UserError
from kdsearch.tune.packing import Node, Share, Taken, share_of

ALONE = {1: 0.02}
laws = settings(max_examples=100, deadline=None, derandomize=True)
students = st.lists(
    st.builds(
        Taken,
        parameters=st.integers(1, 10**9),
        step=st.floats(1e-4, 10),
        memory_mib=st.floats(50, 20_000),
        gpu_mib=st.floats(100, 80_000),
        busy=st.floats(0, 1),
    ),
    min_size=1,
    max_size=3,
)
nodes = st.builds(
    Node,
    cpus=st.integers(1, 256).map(float),
    memory_mib=st.floats(50, 2_000_000),
    gpus=st.integers(0, 8).map(float),
    gpu_mib=st.floats(100, 200_000),
)
threads = st.dictionaries(st.sampled_from([2, 4, 8, 16]), st.floats(1e-3, 1), max_size=4).map(
    lambda more: {1: 0.1, **more}
)


def beside(share: Share, node: Node) -> int:
    """How many run at a time on the node, as Ray counts."""
    fits = [node.cpus // share.cpu, node.memory_mib // share.memory_mib]
    if share.gpu:
        fits.append(node.gpus * a_gpu(share.gpu))
    return int(min(fits))


def a_gpu(share: float) -> int:
    """How many trials of such a share a GPU has."""
    return int(1 / share + 1e-6)


def chosen(taken: list[Taken], node: Node, times: dict[int, float]) -> Share | None:
    try:
        return share_of(taken, node, times)
    except UserError as error:
        assert "\n" not in str(error) and "constraints" in str(error)
        return None


@laws
@given(students, nodes, threads)
def test_the_largest_student_fits_and_no_gpu_is_shared_out_beyond_itself(
    taken: list[Taken], node: Node, times: dict[int, float]
) -> None:
    if (share := chosen(taken, node, times)) is None:
        on_gpu = node.gpus and max(t.gpu_mib for t in taken) * 1.18 > node.gpu_mib
        assert on_gpu or max(t.memory_mib for t in taken) * 1.15 + 1 > node.memory_mib
        return
    assert share.memory_mib >= max(t.memory_mib for t in taken)
    assert beside(share, node) >= (node.gpus <= node.cpus)
    assert bool(share.gpu) == bool(node.gpus)
    if share.gpu:
        assert a_gpu(share.gpu) * share.gpu <= 1
        assert share.gpu * node.gpu_mib >= max(t.gpu_mib for t in taken)
        assert share.gpu == round(share.gpu, 4)  # as finely as Ray counts


@laws
@given(students, nodes, threads, st.floats(1, 20), st.floats(1, 20))
def test_more_memory_never_means_fewer_trials(
    taken: list[Taken], node: Node, times: dict[int, float], host: float, device: float
) -> None:
    more = replace(node, memory_mib=node.memory_mib * host, gpu_mib=node.gpu_mib * device)
    if (share := chosen(taken, node, times)) is not None:
        larger = share_of(taken, more, times)
        assert beside(larger, more) >= beside(share, node)


@laws
@given(students, nodes, threads, st.floats(1, 4))
def test_larger_students_never_mean_more_trials(
    taken: list[Taken], node: Node, times: dict[int, float], factor: float
) -> None:
    grown = [
        replace(t, memory_mib=t.memory_mib * factor, gpu_mib=t.gpu_mib * factor) for t in taken
    ]
    if (larger := chosen(grown, node, times)) is not None:
        share = share_of(taken, node, times)
        assert beside(larger, node) <= beside(share, node)


def on_gpu(busy: float, gpu_mib: float = 1000.0, cpus: float = 64.0, gpus: float = 1.0) -> int:
    """How many trials a GPU of 80,000 MiB has."""
    taken = [Taken(1000, 0.01, 500.0, gpu_mib, busy)]
    return a_gpu(share_of(taken, Node(cpus, 200_000.0, gpus, 80_000.0), ALONE).gpu)


@pytest.mark.parametrize(
    ("busy", "trials"), [(1.0, 1), (0.7, 1), (0.6, 2), (0.5, 2), (0.3, 3), (0.1, 10), (0.001, 64)]
)
def test_packing_pays_until_the_gpu_is_busy(busy: float, trials: int) -> None:
    assert on_gpu(busy) == trials


def test_a_gpu_has_no_more_trials_than_it_has_memory_or_cpus_for() -> None:
    assert on_gpu(0.01, gpu_mib=20_000.0) == 3  # a fourth would take the margin
    assert on_gpu(0.01, cpus=16.0) == 16
    assert on_gpu(0.01, cpus=16.0, gpus=4.0) == 4
    assert on_gpu(0.01, cpus=1.0, gpus=4.0) == 1  # a CPU feeds one at most


def test_a_trial_takes_one_cpu_where_every_cpu_has_a_trial() -> None:
    taken, times = [Taken(1000, 0.02, 500.0)], {1: 0.02, 2: 0.011, 4: 0.007}
    assert share_of(taken, Node(16.0, 100_000.0), times).cpu == 1
    assert share_of(taken, Node(16.0, 100_000.0), {1: 0.02, 2: 0.009}).cpu == 2  # hardly ever


def test_cpus_that_memory_leaves_idle_are_given_to_the_trials_if_they_gain() -> None:
    taken, node = [Taken(1000, 0.02, 500.0)], Node(16.0, 2400.0)  # room for four
    assert share_of(taken, node, {1: 0.02, 2: 0.011, 4: 0.007, 8: 0.006}).cpu == 4
    assert share_of(taken, node, {1: 0.02, 2: 0.1, 4: 0.5}).cpu == 1  # as where cores are shared
    assert share_of(taken, node, {1: 0.02, 2: 0.019}).cpu == 1  # not worth its wait


def test_a_budget_of_few_trials_leaves_cpus_idle_too() -> None:
    taken, times = [Taken(1000, 0.02, 500.0)], {1: 0.02, 2: 0.011, 4: 0.007}
    assert share_of(taken, Node(16.0, 100_000.0), times, trials=4).cpu == 4


def test_what_is_said_in_numbers_stands() -> None:
    taken = [Taken(1000, 0.02, 500.0, 1000.0, 0.1)]
    node = Node(16.0, 100_000.0, 1.0, 80_000.0)
    assert share_of(taken, node, ALONE, gpu=0.5).gpu == 0.5
    assert share_of(taken, node, ALONE, cpu=4.0).cpu == 4
    assert a_gpu(share_of(taken, node, ALONE, cpu=4.0).gpu) == 4  # and CPUs for four
    assert share_of(taken, node, ALONE, gpu=0.0).gpu == 0


@pytest.mark.parametrize(
    ("node", "line"),
    [
        (
            Node(4.0, 400.0),
            r"^resources: the largest .* needs 575 MiB of this node's memory, .*400",
        ),
        (
            Node(4.0, 4000.0, 1.0, 1000.0),
            r"^resources\.gpu: .* needs 1,177 MiB .*GPU.* 1,000; bound",
        ),
    ],
)
def test_what_fits_nowhere_is_one_line(node: Node, line: str) -> None:
    with pytest.raises(UserError, match=line):
        share_of([Taken(1000, 0.02, 500.0, 1000.0, 0.1)], node, ALONE)
