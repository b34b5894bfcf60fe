"""What a student costs where it will run: one process that runs forwards and trains nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.meter.device import reading_place
from kdsearch.results.records import TOLD_APART
from kdsearch.search_sections import ObjectiveConfig

THREADS = 1  # of a measured forward: the least noise where the other cores train


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured of a student; None what was not asked for.

    Attributes
    ----------
    latency_ms : float or None
        Of one forward; see `kdsearch.meter.latency`.
    latency_device : str or None
        The device's name and the batch: ``cpu: AMD EPYC 9654, 1 thread, batch 1``.
    peak_memory_mib : float or None
        Of one forward; see `kdsearch.meter.memory`.
    memory_device : str or None
        The same for the memory; on a CPU, where it is counted, without a name: ``cpu, batch 1``.
    """

    latency_ms: float | None = None
    latency_device: str | None = None
    peak_memory_mib: float | None = None
    memory_device: str | None = None


class Meter:
    """Reads students in a process of its own, one at a time, each architecture once.

    The process is started when the first student is to be read, and ends with the one that made it,
    however that one ends. Where it breaks down, the next student is read by a new one.

    Parameters
    ----------
    asked : sequence of ObjectiveConfig
        What is to be measured, and where; nothing: every reading is empty, and no process starts.
    known : iterable of mapping
        Trial events of the log: what they hold is not measured again where it was measured on the
        same device, by as many threads, with the same batch.
    """

    def __init__(
        self, asked: Sequence[ObjectiveConfig] = (), known: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.asked = [{"name": o.name, "device": o.device, "batch": o.batch_size} for o in asked]
        self._process: subprocess.Popen[str] | None = None
        self._known: dict[str, Reading | UserError] = {}
        self._places: dict[str, str] | None = None
        self._before: list[tuple[str, Reading]] = []  # to be reused, if it was read here
        for event in known:
            if self.asked and all(event.get(ask["name"]) is not None for ask in self.asked):
                read = {field.name: event.get(field.name) for field in fields(Reading)}
                self._before.append((event["architecture_key"], Reading(**read)))

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, architecture: Architecture) -> Reading:
        """What is asked for, of this student.

        Raises
        ------
        UserError
            A student that cannot be measured: its forward fails, or it needs too much memory.
        """
        if not self.asked:
            return Reading()
        self._reuse()
        key = architecture.key
        if key not in self._known:
            self._known[key] = self._measured(architecture)
        found = self._known[key]
        if isinstance(found, UserError):
            raise found
        return found

    def places(self) -> dict[str, str]:
        """Where a reading would be taken now: by the column of a `Reading` that says it.

        Raises
        ------
        UserError
            A device that cannot be used.
        """
        if self._places is None:
            if all(ask["device"] == "cpu" for ask in self.asked):
                told = {
                    a["name"]: reading_place(a["name"], a["device"], a["batch"], THREADS)
                    for a in self.asked
                }
            else:  # asked of the process: a GPU's name would cost this one a share of the GPU
                if self._process is None:
                    self._start()
                told = self._exchange({"places": self.asked})
                if "fault" in told:
                    raise UserError("objectives", f"nothing can be measured: {told['fault']}")
            self._places = {TOLD_APART[name]: place for name, place in told.items()}
        return self._places

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    def _reuse(self) -> None:
        before, self._before = self._before, []
        here = self.places() if before else {}
        for key, read in before:
            if all(getattr(read, column) == place for column, place in here.items()):
                self._known[key] = read

    def _measured(self, architecture: Architecture) -> Reading | UserError:
        if self._process is None:
            self._start()
        answer = self._exchange({"architecture": architecture.to_json(), "asked": self.asked})
        if "fault" not in answer:
            return Reading(**answer)
        if any(ask["device"] != "cpu" for ask in self.asked):
            self.close()  # an error of a GPU would stay with the process
        return UserError(self.asked[0]["name"], f"cannot be measured: {answer['fault']}")

    def _start(self) -> None:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kdsearch.meter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(THREADS)},
            start_new_session=True,  # a Ctrl-C is for the search, which ends it
        )
        answer = self._exchange({"devices": sorted({ask["device"] for ask in self.asked})})
        if "fault" in answer:
            self.close()
            raise UserError("objectives", f"nothing can be measured: {answer['fault']}")

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:  # a pipe without an end
            line = ""
        except BaseException:  # the answer would be taken for that of the next question
            self.close()
            raise
        if line:
            return json.loads(line)
        self.close()
        return {"fault": "its process ended without an answer, killed for memory perhaps"}
