"""Whether a warm worker still holds what its trials should have let go of."""

from __future__ import annotations

from collections.abc import Callable

from kdsearch.tune.held import gpu_mib, own_mib, tidy, trim

GPU_SPARE_MIB = 32.0  # beyond what an idle worker held before its first trial
# The first trials load libraries and fill pools: the highest mark after them is what a healthy
# worker holds. From then on the same student leaves nothing, and a new one about a MiB: oneDNN
# keeps the kernels of the last 1,024 shapes.
FIRST = 2
# Students differ, though, and what the allocator cannot give back of a large one is no leak. A leak
# of a trial's tensors comes to this in a few trials, before the node is out of memory.
SPARE_MIB, SPARE_SHARE = 512.0, 0.25  # the larger of the two, the second of the mark
# Free memory up to here stays: what is given back the next trial asks for again, page by page,
# which is a twentieth of a trial of a tenth of a second. Trials that free more take longer.
KEPT_MIB = 16.0


class WornError(RuntimeError):
    """The worker is to be replaced, and its next trial to begin in another one."""


class Wear:
    """Looks at the worker's memory between two trials.

    Parameters
    ----------
    device : str
    own, gpu : callable
        Give the MiB that the process holds now, of memory that is its own and of its GPU; the first
        may give None, and then nothing is known.
    trim : callable
        Called after the first trials, and after one that leaves `KEPT_MIB` above their mark.
    clean : callable
        Called before a worker is found worn, and its memory read once more.
    """

    def __init__(
        self,
        device: str,
        own: Callable[[], float | None] = own_mib,
        gpu: Callable[[], float] = gpu_mib,
        trim: Callable[[], None] = trim,
        clean: Callable[[], None] = tidy,
    ) -> None:
        self._own, self._gpu, self._trim, self._clean = own, gpu, trim, clean
        self._idle = gpu() if device == "cuda" else None
        self._mark, self._trials = 0.0, 0

    def check(self) -> None:
        """Look at it after a trial, whose parts are gone.

        Raises
        ------
        WornError
            With what is held, and the bound.
        """
        self._trials += 1
        if self._idle is not None:
            what = "of its GPU", "before its first trial"
            self._compare(self._gpu, self._idle, GPU_SPARE_MIB, what)
        if self._trials <= FIRST or (self._own() or 0.0) > self._mark + KEPT_MIB:
            self._trim()
        own = self._own()
        if own is not None and self._trials <= FIRST:
            self._mark = max(self._mark, own)
        elif own is not None:
            spare = max(SPARE_MIB, SPARE_SHARE * self._mark)
            what = "of memory", "after its first trials"
            self._compare(self._own, self._mark, spare, what)

    def _compare(
        self, read: Callable[[], float | None], mark: float, spare: float, what: tuple[str, str]
    ) -> None:
        if (read() or 0.0) <= mark + spare:
            return
        self._clean()  # a fifth of a second, which not every trial is to cost
        if (held := read() or 0.0) > mark + spare:
            kind, when = what
            raise WornError(
                f"after {self._trials} trials a worker holds {held:.0f} MiB {kind}; at most "
                f"{mark:.0f} {when} and {spare:.0f} more"
            )
