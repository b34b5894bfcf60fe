"""The training loops: one row a loop."""

from collections.abc import Callable, Iterator

from kdsearch.results.records import EpochReport
from kdsearch.schemes.parts import Parts
from kdsearch.schemes.schedule import rung_epochs
from kdsearch.schemes.single import evaluate, single
from kdsearch.schemes.state import StateError, read_state, state_to_bytes
from kdsearch.schemes.terms import Term, build_terms

SCHEMES: dict[str, Callable[[Parts], Iterator[EpochReport]]] = {
    "single": single,
}

__all__ = [
    "SCHEMES",
    "Parts",
    "StateError",
    "Term",
    "build_terms",
    "evaluate",
    "read_state",
    "rung_epochs",
    "single",
    "state_to_bytes",
]
