"""kdsearch finds the best small network for your data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdsearch.architecture import Architecture
    from kdsearch.errors import UserError
    from kdsearch.measures import (
        agreement,
        distillation_error,
        distillation_error_l1,
        equivalent_smoothing,
        kl_divergence,
        mutual_information,
    )
    from kdsearch.results import (
        attained_share,
        attainment_surface,
        best_under,
        front_ranks,
        hypervolume,
        hypervolume_history,
        knee_point,
        left_out,
        pareto_front,
        read_epochs,
        read_trials,
        reference_box,
    )
    from kdsearch.search_config import load_config
    from kdsearch.student_folder import load_student
    from kdsearch.students import build_student
    from kdsearch.trial import run_trial
    from kdsearch.tune.finish import finish_search
    from kdsearch.tune.search import run_search

__version__ = "0.1.0"

# Loaded on first use (PEP 562): reading results costs neither torch nor Ray.
_HOMES = {
    "Architecture": "kdsearch.architecture",
    "UserError": "kdsearch.errors",
    "agreement": "kdsearch.measures",
    "attained_share": "kdsearch.results",
    "attainment_surface": "kdsearch.results",
    "best_under": "kdsearch.results",
    "build_student": "kdsearch.students",
    "distillation_error": "kdsearch.measures",
    "distillation_error_l1": "kdsearch.measures",
    "equivalent_smoothing": "kdsearch.measures",
    "finish_search": "kdsearch.tune.finish",
    "front_ranks": "kdsearch.results",
    "hypervolume": "kdsearch.results",
    "hypervolume_history": "kdsearch.results",
    "kl_divergence": "kdsearch.measures",
    "knee_point": "kdsearch.results",
    "left_out": "kdsearch.results",
    "load_config": "kdsearch.search_config",
    "load_student": "kdsearch.student_folder",
    "mutual_information": "kdsearch.measures",
    "pareto_front": "kdsearch.results",
    "read_epochs": "kdsearch.results",
    "read_trials": "kdsearch.results",
    "reference_box": "kdsearch.results",
    "run_search": "kdsearch.tune.search",
    "run_trial": "kdsearch.trial",
}

__all__ = [
    "Architecture",
    "UserError",
    "agreement",
    "attained_share",
    "attainment_surface",
    "best_under",
    "build_student",
    "distillation_error",
    "distillation_error_l1",
    "equivalent_smoothing",
    "finish_search",
    "front_ranks",
    "hypervolume",
    "hypervolume_history",
    "kl_divergence",
    "knee_point",
    "left_out",
    "load_config",
    "load_student",
    "mutual_information",
    "pareto_front",
    "read_epochs",
    "read_trials",
    "reference_box",
    "run_search",
    "run_trial",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
