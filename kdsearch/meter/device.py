"""The devices of this machine, by name."""

from __future__ import annotations

import platform
from pathlib import Path


def missing(device: str) -> str | None:
    """Why a device of a search file is not there, in words; None where it is."""
    if device == "cpu":
        return None
    import torch  # seconds, which the process that asks for readings of a CPU does not take

    count = torch.cuda.device_count()
    if not count:
        return "this machine has no GPU that torch can use; write cpu"
    if int(device.partition(":")[2] or 0) < count:
        return None
    return f"this machine has {count}; write cuda:0" + (f" to cuda:{count - 1}" * (count > 1))


def device_name(device: str, threads: int) -> str:
    """A device as a result names it: ``cpu: AMD EPYC 9654, 1 thread``, ``cuda: NVIDIA H200``."""
    if device == "cpu":
        return f"cpu: {processor()}, {threads} thread{'s' * (threads > 1)}"
    import torch

    return f"cuda: {torch.cuda.get_device_name(device)}"


def reading_place(name: str, device: str, batch: int, threads: int) -> str:
    """Where a reading is taken: readings of other places cannot be compared with it.

    Memory on a CPU is counted, and is the same on all of them: ``cpu, batch 1``.
    """
    counted = (name, device) == ("peak_memory_mib", "cpu")
    return f"{device if counted else device_name(device, threads)}, batch {batch}"


def processor() -> str:
    """The processor's name; where the system does not say, its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
