"""What a teacher is to a training loop."""

from __future__ import annotations

from typing import Protocol

from kdsearch.data.images import Batch
from kdsearch.students.outputs import Outputs


class Teacher(Protocol):
    """Says what it sees in a batch, and may learn from how the student did."""

    def outputs(self, batch: Batch) -> Outputs:
        """Outputs for the batch's inputs; no gradient reaches a network that is not to learn."""
        ...

    def observe(self, batch: Batch, student: Outputs, outputs: Outputs) -> None:
        """Take notice of a step that is done: the student's outputs, and the teacher's own."""
        ...
