"""Freed memory stays with a process that trains, which asks for as much again at every step."""

from __future__ import annotations

import ctypes
import os
import platform

# Names of glibc's parameters in <malloc.h>, and the largest values that it takes.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
MOST_TRIM, MOST_MMAP = 2**31 - 1, 2**25


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, up to 2 GiB, for what is asked for next.

    By default it gives much of it back to the system after every backward pass, which then clears
    every page anew: an eighth of the time of a step (``benchmarks/step.py``). Blocks above 32 MiB
    still go back at once. What a training gives stays the same to the last bit.

    Returns
    -------
    bool
        False where nothing was changed: another C library than glibc, or a user who has set a
        `MALLOC_` variable.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(MMAP_THRESHOLD, MOST_MMAP) and mallopt(TRIM_THRESHOLD, MOST_TRIM))
