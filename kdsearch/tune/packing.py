"""From what students were seen to take to what every trial is to take: arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdsearch.errors import UserError

# Of all memory, and of a worker's on top of what was seen: other students, other losses, fragments.
SPARE = 0.15
# A second thread is taken where all trials together are so much faster: it was timed on a machine
# that did nothing else, and beside busy cores it waits for them.
GAIN = 1.1
# One trial more on a GPU pays while it adds at least this share of what one alone computes.
WORTH = 0.5
MOST_A_GPU = 64  # so many shares of a GPU can Ray tell apart: it counts in ten-thousandths


@dataclass(frozen=True)
class Taken:
    """What training one student took of a worker that did nothing else.

    Attributes
    ----------
    parameters : int
        Of the student.
    step : float
        Seconds a step, data and teacher included.
    memory_mib : float
        Of the worker's own at its peak: what it shares with others is not in it.
    gpu_mib : float
        Of a GPU at its peak; 0 without one.
    busy : float
        Share of the time of a step in which the GPU computes; 0 without one.
    """

    parameters: int
    step: float
    memory_mib: float
    gpu_mib: float = 0.0
    busy: float = 0.0


@dataclass(frozen=True)
class Node:
    """What the smallest node that can run a trial has for trials.

    Attributes
    ----------
    cpus, gpus : float
    memory_mib : float
    gpu_mib : float
        Free on one GPU; 0 without one.
    """

    cpus: float
    memory_mib: float
    gpus: float = 0.0
    gpu_mib: float = 0.0


@dataclass(frozen=True)
class Share:
    """What every trial takes.

    Attributes
    ----------
    cpu : float
    gpu : float
        A GPU's share, or a number of GPUs; 0: none.
    memory_mib : int
    why : str
        In one line.
    """

    cpu: float
    gpu: float
    memory_mib: int
    why: str


def share_of(
    taken: Sequence[Taken],
    node: Node,
    threads: Mapping[int, float],
    *,
    cpu: float | None = None,
    gpu: float | None = None,
    trials: int | None = None,
) -> Share:
    """What every trial is to take, so that the node trains the most, and the largest student fits.

    With more memory never fewer trials run beside each other; what those of a GPU take of it is
    never more than all of it.

    Parameters
    ----------
    taken : sequence of Taken
        Of a few students, the dearest among them.
    node : Node
    threads : mapping of int to float
        CPU threads -> seconds a step of the dearest student alone.
    cpu, gpu : float, optional
        What was said in numbers; None: to be chosen.
    trials : int, optional
        No more will ever run.

    Raises
    ------
    UserError
        The largest student fits neither the node's memory nor its GPU's.
    """
    memory = math.ceil((1 + SPARE) * max(t.memory_mib for t in taken))
    held = int(node.memory_mib // memory)
    if held < 1:
        raise _too_large("memory", memory, node.memory_mib, "of this node's memory")
    most = min(held, trials or held)
    on_gpu = node.gpus > 0 and gpu != 0
    chosen = cpu if cpu is not None else 1.0 if on_gpu else _cpus(threads, node.cpus, most)
    said = [f"students took {_range([t.memory_mib for t in taken])} MiB and "
            f"{_range([1000 * t.step for t in taken])} ms a step",
            f"{node.memory_mib:,.0f} MiB hold {held} workers"]  # fmt: skip
    if not on_gpu:
        said += [_said_of(threads, chosen)] if len(threads) > 1 else []
        return Share(chosen, 0.0, memory, "; ".join(said))
    if gpu is None:
        packed, reason = _packed(taken, node, chosen)
        gpu = math.floor(10_000 / packed) / 10_000
        said.append(reason)
    return Share(chosen, gpu, memory, "; ".join(said))


def _cpus(threads: Mapping[int, float], cpus: float, most: int) -> float:
    """CPUs a trial with which all trials beside each other train the most; 1 unless more pays."""

    def trained(number: int) -> float:
        return min(cpus // number, most) / threads[number]

    best = max((n for n in threads if n == 1 or n <= cpus), key=trained)
    return float(best if trained(best) >= GAIN * trained(1) else 1)


def _packed(taken: Sequence[Taken], node: Node, cpu: float) -> tuple[int, str]:
    """How many trials a GPU is to have at a time, and why."""
    largest = max(t.gpu_mib for t in taken)
    fit = int((1 - SPARE) * node.gpu_mib // largest) if largest else MOST_A_GPU
    if fit < 1:
        raise _too_large("gpu", math.ceil(largest / (1 - SPARE)), node.gpu_mib, "of a GPU's memory")
    typical = sorted(t.busy for t in taken)[len(taken) // 2]
    pay = math.floor(1 / typical + WORTH) if typical > 0 else MOST_A_GPU
    fed = int(node.cpus // (cpu * node.gpus))
    packed = max(1, min(fit, pay, fed, MOST_A_GPU))
    return packed, (
        f"{packed} on a GPU: its memory holds {fit} of {largest:,.0f} MiB, one keeps it "
        f"{100 * typical:.0f} % busy, so that {max(1, pay)} pay, and there are CPUs for {fed}"
    )


def _too_large(name: str, needed: float, there: float, what: str) -> UserError:
    return UserError(
        f"resources.{name}" if name == "gpu" else "resources",
        f"the largest student of the space needs {needed:,.0f} MiB {what}, which has "
        f"{there:,.0f}; bound the students in constraints, or lower data.batch_size",
    )


def _said_of(threads: Mapping[int, float], chosen: float) -> str:
    times = ", ".join(f"{n}: {1000 * s:.2f}" for n, s in sorted(threads.items()))
    return f"ms a step of the dearest by threads: {times}" + ("" if chosen == 1 else ", which pays")


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:,.3g} to {high:,.3g}" if low < 1 else f"{low:,.0f} to {high:,.0f}"
