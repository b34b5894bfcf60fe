"""Successive halving on accuracy alone, in its promoting form: small enough to be seen through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdsearch.tune.scheduler import Decision

SECTION = {"name": "asha", "grace": 1, "reduction": 2, "form": "promoting"}


class Promoting:
    """At every rung all trials wait; the better half of those that reached it may go on.

    Its parameters are those of `Asha`; the first objective is to be maximised.
    """

    def __init__(self, objectives: Any = (), *_: Any) -> None:
        self.rungs: dict[int, dict[str, float]] = {}
        self.promoted: set[tuple[int, str]] = set()
        self.told: list[tuple[str, int]] = []
        self.named: list[tuple[int, str]] = []

    def report(self, trial_id: str, epoch: int, values: Sequence[float]) -> Decision:
        self.told.append((trial_id, epoch))
        self.promoted |= {(rung, trial_id) for rung in self.rungs if rung < epoch}
        if epoch & (epoch - 1) or values[0] != values[0]:  # rungs: 1, 2, 4, ...
            return "continue" if values[0] == values[0] else "stop"
        self.rungs.setdefault(epoch, {}).setdefault(trial_id, values[0])
        return "pause"

    def withdraw(self, trial_id: str) -> None:
        """Its turn is used up: enough for what is tested with this one."""

    def promote(self) -> str | None:
        for rung, reached in sorted(self.rungs.items(), reverse=True):
            best = sorted(reached, key=lambda t: (-reached[t], t))[: len(reached) // 2]
            for trial_id in best:
                if (rung, trial_id) not in self.promoted:
                    self.promoted.add((rung, trial_id))
                    self.named.append((rung, trial_id))
                    return trial_id
        return None
