"""On a worker: a few students trained for some steps, to see what that takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from kdsearch.architecture import Architecture
from kdsearch.config import TrialSpec
from kdsearch.cost import cost
from kdsearch.data import ImageData
from kdsearch.errors import line_of
from kdsearch.schemes.clock import Clock
from kdsearch.teachers import TeacherRecord, TeacherStore
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.deaths import lacks_memory
from kdsearch.tune.floor import bare_step, wall
from kdsearch.tune.held import MIB, forget_peak, peak_mib
from kdsearch.tune.packing import Taken

STEPS = 20  # of an epoch, evaluation after them
THREAD_STEPS, MOST_THREADS = 10, 16
# What CUDA and its libraries take of a GPU for a process: torch's own counters do not see it.
CONTEXT_MIB = 512.0

Item = TypeVar("Item")


@dataclass(frozen=True)
class Tried:
    """What was seen.

    Attributes
    ----------
    taken : list of Taken
        One a student that could be trained, in the order in which they were given.
    threads : dict of int to float
        CPU threads -> seconds a step of the last student alone.
    gpu_mib : float
        Free on the GPU; 0 without one.
    fault : str or None
        Of the first student that could not be trained.
    """

    taken: list[Taken]
    threads: dict[int, float]
    gpu_mib: float = 0.0
    fault: str | None = None


class Sample(Clock):
    """Ends every epoch after a few steps, and takes the time of the last one's.

    Parameters
    ----------
    device : str
    last : int
        Number of the last epoch.

    Attributes
    ----------
    step : float
        Seconds a step.
    busy : float
        Share of them in which the GPU computed.
    """

    def __init__(self, device: str, last: int) -> None:
        self.device, self.step, self.busy = device, 0.0, 0.0
        self._left, self._whole = last, 1.0

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The first of the items."""
        self._left -= 1
        if self._left or self.device != "cuda":
            yield from self._timed(items)
            return
        with profile(activities=[ProfilerActivity.CUDA]) as kernels:
            yield from self._timed(items)
        computed = sum(event.self_device_time_total for event in kernels.key_averages()) / 1e6
        self.busy = min(1.0, computed / self._whole)

    def _timed(self, items: Iterable[Item]) -> Iterator[Item]:
        began, count = wall(self.device), 0
        for item in islice(items, STEPS):
            yield item
            count += 1
        self._whole = wall(self.device) - began
        self.step = self._whole / max(1, count)


def try_students(
    specs: Sequence[TrialSpec],
    data: ImageData,
    teachers: Mapping[str, TeacherRecord],
    stores: Mapping[tuple[str, str], TeacherStore],
    device: str,
    cpus: int,
) -> Iterator[Tried]:
    """Train each of them for a few short epochs; one `Tried`.

    Parameters
    ----------
    specs : sequence of TrialSpec
        The last one is the dearest.
    cpus : int
        Threads to try with it, on a CPU.

    Raises
    ------
    RuntimeError
        No memory for one of them.
    """
    taken: list[Taken] = []
    fault: str | None = None
    for spec in specs:
        record = teachers.get(spec.teacher_id) if spec.teacher_id else None
        store = stores.get((spec.teacher_id or "", spec.plan.data.augment))
        try:
            taken.append(_tried(spec, Surroundings(data, record, device, store)))
        except Exception as error:  # anything: networks and losses may be a user's own
            line = line_of(error)
            if lacks_memory(line):
                raise
            fault = fault or line
    threads = {}
    if taken and fault is None:
        for number in _numbers(cpus if device == "cpu" else 1):
            threads[number] = bare_step(specs[-1], data, number, THREAD_STEPS, device)
    free = 0.0
    if device == "cuda":
        torch.cuda.empty_cache()
        free = torch.cuda.mem_get_info()[0] / MIB + CONTEXT_MIB  # this process's goes with it
    yield Tried(taken, threads or {1: max((t.step for t in taken), default=0.0)}, free, fault)


def _tried(spec: TrialSpec, around: Surroundings) -> Taken:
    cuda = around.device == "cuda"
    clock = Sample(around.device, spec.plan.training.last_epoch)
    forget_peak()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for _ in run_trial(spec, replace(around, clock=clock)):
        pass
    return Taken(
        parameters=cost(Architecture.from_json(spec.architecture)).parameters,
        step=clock.step,
        memory_mib=peak_mib(),
        gpu_mib=torch.cuda.max_memory_reserved() / MIB + CONTEXT_MIB if cuda else 0.0,
        busy=clock.busy,
    )


def _numbers(cpus: int) -> Iterator[int]:
    number = 1
    while number <= min(cpus, MOST_THREADS):
        yield number
        number *= 2
