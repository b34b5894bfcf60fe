"""The states of trials that wait at a rung, or run: on the disk until they end."""

from __future__ import annotations

import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.whole import write_bytes

SHARE = 0.25  # of the driver's time, at most, that states of running trials may take


class States:
    """``states/<trial_id>.<epoch>.state`` in the folder of a search: what a worker goes on from.

    A new state stands beside the last one until the log has its epoch too (`settle`): whatever
    moment the driver dies at, one of them is of an epoch that the log knows. What is inside is the
    workers' own: here it is bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "states"
        self._epochs: dict[str, list[int]] = {}  # of the trials that have a state, in order
        self._written: dict[str, float] = {}
        self._cost = 0.0
        with suppress(OSError):
            for path in self.folder.iterdir():
                trial_id, _, epoch = path.stem.rpartition(".")
                if path.suffix == ".state" and epoch.isdecimal():
                    self._epochs.setdefault(trial_id, []).append(int(epoch))
        for epochs in self._epochs.values():
            epochs.sort()

    def __contains__(self, trial_id: str) -> bool:
        return bool(self._epochs.get(trial_id))

    def due(self, trial_id: str, running: int) -> bool:
        """Whether a state of a running trial is to be written now, with so many of them."""
        wait = running * self._cost / SHARE
        return time.monotonic() - self._written.get(trial_id, -wait) >= wait

    def write(self, trial_id: str, epoch: int, state: bytes) -> None:
        """Put the state after an epoch on the disk, beside the one before it.

        Raises
        ------
        UserError
            A disk that cannot be written; the earlier one still stands.
        """
        path, began = self._path(trial_id, epoch), time.monotonic()
        try:
            write_bytes(path, state)
        except OSError as error:
            fault = f"cannot be written: {error.strerror}; the search goes on once there is room"
            raise UserError(str(path), fault) from None
        epochs = self._epochs.setdefault(trial_id, [])
        if epoch not in epochs:
            epochs.append(epoch)
            epochs.sort()  # one of a kill may be later
        self._written[trial_id] = time.monotonic()
        self._cost = self._written[trial_id] - began

    def settle(self, trial_id: str, epoch: int) -> None:
        """The log knows the epochs up to this one: of their states the last one stays."""
        known = [e for e in self._epochs.get(trial_id, []) if e <= epoch]
        for earlier in known[:-1]:
            self._remove(trial_id, earlier)

    def read(self, trial_id: str, most: int) -> tuple[int, bytes] | None:
        """The latest state of a trial up to an epoch, and its epoch; None where there is none."""
        for epoch in reversed(self._epochs.get(trial_id, [])):
            if epoch <= most:
                with suppress(OSError):
                    return epoch, self._path(trial_id, epoch).read_bytes()
        return None

    def drop(self, trial_id: str) -> None:
        """Remove the states of a trial that ended, if there are any; a disk may refuse."""
        for epoch in list(self._epochs.get(trial_id, [])):
            self._remove(trial_id, epoch)
        self._epochs.pop(trial_id, None)
        self._written.pop(trial_id, None)
        if not self._epochs:
            self._close()

    def sweep(self, wanted: Container[str]) -> None:
        """Remove all but the states of these trials: what a kill has left behind."""
        for trial_id in [t for t in self._epochs if t not in wanted]:
            self.drop(trial_id)
        with suppress(OSError):
            for path in self.folder.iterdir():
                trial_id, _, epoch = path.stem.rpartition(".")
                if path.suffix != ".state" or not epoch.isdecimal() or trial_id not in wanted:
                    path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        with suppress(OSError):  # there is something in it, or it was never there
            self.folder.rmdir()

    def _remove(self, trial_id: str, epoch: int) -> None:
        self._epochs[trial_id].remove(epoch)
        with suppress(OSError):
            self._path(trial_id, epoch).unlink(missing_ok=True)

    def _path(self, trial_id: str, epoch: int) -> Path:
        return self.folder / f"{trial_id}.{epoch}.state"
