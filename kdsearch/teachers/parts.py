"""Parts of a teacher's outputs: which there are, and outputs that hold some of them."""

from __future__ import annotations

from functools import lru_cache

from kdsearch.errors import UserError
from kdsearch.students.outputs import Outputs

PARTS = Outputs._fields
SMALL = frozenset({"logits", "pooled"})  # a vector each; the others are maps, a stage each


@lru_cache
def outputs_of(parts: frozenset[str]) -> type[Outputs]:
    """Outputs of a network of which only these parts are known.

    Whoever reads another one is told so by a `UserError`: an empty part would pass for a network
    that does not show it.
    """
    hidden = {part: _unseen(part) for part in PARTS if part not in parts}
    return type("PartialOutputs", (Outputs,), hidden)


def _unseen(part: str) -> property:
    def read(_: Outputs) -> None:
        fault = f"a loss reads the teacher's {part} without naming it in its `taps`"
        raise UserError("method", f"{fault}; add {part!r} to them")

    return property(read)
