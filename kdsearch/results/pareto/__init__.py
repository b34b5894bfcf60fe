"""Pareto analysis of plain tables, for any columns. NumPy, pandas and moocore alone.

Every function takes DataFrames, as `read_trials` gives them, and objectives as pairs of name and
direction, with a scale behind them where volumes are measured: ``("parameters", "min", "log")``.
"""

from kdsearch.results.pareto.attainment import attained_share, attainment_surface
from kdsearch.results.pareto.choice import best_under, knee_point
from kdsearch.results.pareto.front import (
    front_ranks,
    fronts,
    hypervolume,
    nondominated,
    pareto_front,
)
from kdsearch.results.pareto.objectives import DEFAULT_OBJECTIVES, left_out, minimised
from kdsearch.results.pareto.progress import hypervolume_history, reference_box

__all__ = [
    "DEFAULT_OBJECTIVES",
    "attained_share",
    "attainment_surface",
    "best_under",
    "front_ranks",
    "fronts",
    "hypervolume",
    "hypervolume_history",
    "knee_point",
    "left_out",
    "minimised",
    "nondominated",
    "pareto_front",
    "reference_box",
]
