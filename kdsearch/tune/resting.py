"""The states of trials that wait at a rung, on the disk until they go on for good."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.whole import write_bytes


class States:
    """``paused/<trial_id>.state`` in the folder of a search: what a worker goes on from.

    What is inside is the workers' own: here it is bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "paused"

    def write(self, trial_id: str, state: bytes) -> None:
        """Put a state on the disk, in the place of an earlier one of the trial.

        Raises
        ------
        UserError
            A disk that cannot be written; the earlier one still stands.
        """
        path = self._path(trial_id)
        try:
            write_bytes(path, state)
        except OSError as error:
            fault = f"cannot be written: {error.strerror}; the search goes on once there is room"
            raise UserError(str(path), fault) from None

    def read(self, trial_id: str) -> bytes | None:
        """The state of a trial, or None where no file of it can be read."""
        try:
            return self._path(trial_id).read_bytes()
        except OSError:
            return None

    def drop(self, trial_id: str) -> None:
        """Remove the state of a trial that ended, if there is one; a disk may refuse."""
        with suppress(OSError):
            self._path(trial_id).unlink(missing_ok=True)

    def sweep(self, waiting: Container[str]) -> None:
        """Remove all but the states of these trials: what a kill has left behind."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.suffix != ".state" or path.stem not in waiting:
                    path.unlink(missing_ok=True)
        with suppress(OSError):  # there is something in it, or it was never there
            self.folder.rmdir()

    def _path(self, trial_id: str) -> Path:
        return self.folder / f"{trial_id}.state"
