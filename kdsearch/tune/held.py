"""What this process holds of the memory, in MiB."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20


def own_mib() -> float | None:
    """Resident memory that this process shares with no other; None where the system does not say.

    What it maps, and what it reads from Ray's object store, belongs to all.
    """
    try:
        resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    except (OSError, ValueError):
        return None
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / MIB


def peak_mib() -> float:
    """The most that `own_mib` has been since `forget_peak`, but for what is shared now.

    Where the system does not say: the most that was resident since this process began.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        said = dict(line.split(":", 1) for line in lines if ":" in line)
        highest, now = (int(said[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
        return highest - now + (own_mib() or now)
    except (OSError, KeyError, ValueError):
        unit = MIB if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak() -> None:
    """Let the next `peak_mib` count from now on, where the system allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def gpu_mib() -> float:
    """What tensors hold of this process's GPU; what libraries keep for themselves is given back."""
    if not torch.cuda.is_initialized():
        return 0.0
    give_back = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
    if give_back is not None:  # up to 32 MiB on some GPUs, taken again when wanted
        give_back()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated() / MIB


def tidy() -> None:
    """Give back to the system what is held for no reason, dropped cycles among it: 0.2 seconds."""
    gc.collect()
    trim()


def trim() -> None:
    """Give back what is free already, the holes that a large student left: a millisecond."""
    with suppress(OSError, AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)
