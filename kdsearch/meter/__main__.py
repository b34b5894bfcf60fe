"""The meter's process: a question a line on its input, an answer a line on its output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from kdsearch.architecture import Architecture
from kdsearch.errors import line_of
from kdsearch.meter import THREADS
from kdsearch.meter.device import reading_place
from kdsearch.meter.latency import latency_ms
from kdsearch.meter.memory import peak_memory_mib
from kdsearch.results.records import TOLD_APART
from kdsearch.students import build_student


def main() -> None:
    """Answer until the input ends."""
    # What a user's network prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(THREADS)
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line))
        except Exception as error:  # anything: a network may be foreign code
            answer = {"fault": line_of(error, 300)}
        try:
            print(json.dumps(answer), file=answers)
        except BrokenPipeError:  # nobody listens any more
            with suppress(BrokenPipeError):
                answers.close()
            return


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    for device in request.get("devices", ()):
        torch.zeros(1, device=device)  # so that a device that fails does it before any student
    if "places" in request:
        asks = request["places"]
        return {a["name"]: reading_place(a["name"], a["device"], a["batch"], THREADS) for a in asks}
    if "architecture" not in request:
        return {}
    architecture = Architecture.from_json(request["architecture"])
    answer: dict[str, Any] = {}
    for ask in request["asked"]:
        device, batch = torch.device(ask["device"]), ask["batch"]
        student = build_student(architecture, seed=0, device=device)
        place = reading_place(ask["name"], ask["device"], batch, THREADS)
        answer[TOLD_APART[ask["name"]]] = place
        if ask["name"] == "latency_ms":
            answer["latency_ms"] = latency_ms(student, architecture.input, batch, device)
        else:
            peak = peak_memory_mib(student, architecture.input, batch, device)
            answer["peak_memory_mib"] = peak
    return answer


if __name__ == "__main__":
    main()
