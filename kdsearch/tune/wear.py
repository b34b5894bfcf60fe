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
    clean : callable
        Called before a worker is found worn, and its memory read once more.
    """

    def __init__(
        self,
        device: str,
        own: Callable[[], float | None] = own_mib,
        gpu: Callable[[], float] = gpu_mib,
        clean: Callable[[], None] = tidy,
    ) -> None:
        self._own, self._gpu, self._clean = own, gpu, clean
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
        if self._idle is not None and (held := self._gpu()) > self._idle + GPU_SPARE_MIB:
            bound = f"{self._idle:.0f} before its first trial and {GPU_SPARE_MIB:.0f} more"
            raise WornError(self._line(held, "of its GPU", bound))
        trim()
        own = self._own()
        if own is None:
            return
        if self._trials <= FIRST:
            self._mark = max(self._mark, own)
            return
        most = self._mark + max(SPARE_MIB, SPARE_SHARE * self._mark)
        if own > most:
            self._clean()
            if (own := self._own() or 0.0) > most:
                bound = f"{self._mark:.0f} after its first trials and {most - self._mark:.0f} more"
                raise WornError(self._line(own, "of memory", bound))

    def _line(self, held: float, what: str, bound: str) -> str:
        return f"after {self._trials} trials a worker holds {held:.0f} MiB {what}; at most {bound}"
