"""What a search leaves behind, and how it is read. Needs neither torch nor Ray."""

from kdsearch.results.pareto import fronts, hypervolume, nondominated, pareto_front
from kdsearch.results.records import EpochReport, TrialRow
from kdsearch.results.store import ResultStore, read_epochs, read_trials

__all__ = [
    "EpochReport",
    "ResultStore",
    "TrialRow",
    "fronts",
    "hypervolume",
    "nondominated",
    "pareto_front",
    "read_epochs",
    "read_trials",
]
