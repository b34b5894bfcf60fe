"""How much of the disk a search may take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from kdsearch.errors import UserError

MIB = 2**20


class Room:
    """What the folder of a search may hold: log and tables, states, the front's students.

    Teachers and their outputs stand beside searches, which share them; ``store.memory_mib`` bounds
    the outputs.

    Parameters
    ----------
    folder : Path
    mib : float or None
        None: as much as the disk holds, and nothing is counted.
    """

    def __init__(self, folder: Path, mib: float | None) -> None:
        self.folder, self.mib = folder, mib

    def ask(self, nbytes: int) -> None:
        """Whether so many bytes more may be written.

        Raises
        ------
        UserError
            They would be too many; what stands stays as it is.
        """
        if self.mib is None:
            return
        there = self._taken()
        if there + nbytes > self.mib * MIB:
            needed = (there + nbytes) / MIB
            fault = f"{self.mib:g}, but {self.folder} needs {needed:.1f} MiB for the weights that "
            remedy = "it keeps; raise it and run the same command, which goes on"
            raise UserError("budget.disk_mib", fault + remedy)

    def _taken(self) -> int:
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # one may go meanwhile
                total += 0 if path.is_dir() else path.stat().st_size
        return total
