"""Optuna's samplers behind ask and tell. The only room that imports Optuna."""

from kdsearch.proposers.optuna.samplers import NSGA2Proposer, TPEProposer
from kdsearch.proposers.optuna.study import export_study

__all__ = ["NSGA2Proposer", "TPEProposer", "export_study"]
