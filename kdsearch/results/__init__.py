"""What a search leaves behind, and how it is read. Needs neither torch nor Ray."""

from kdsearch.results.pareto import (
    attained_share,
    attainment_surface,
    best_under,
    front_ranks,
    fronts,
    hypervolume,
    hypervolume_history,
    knee_point,
    left_out,
    nondominated,
    pareto_front,
    reference_box,
)
from kdsearch.results.records import EpochReport, TrialRow
from kdsearch.results.store import ResultStore, read_epochs, read_trials

__all__ = [
    "EpochReport",
    "ResultStore",
    "TrialRow",
    "attained_share",
    "attainment_surface",
    "best_under",
    "front_ranks",
    "fronts",
    "hypervolume",
    "hypervolume_history",
    "knee_point",
    "left_out",
    "nondominated",
    "pareto_front",
    "read_epochs",
    "read_trials",
    "reference_box",
]
