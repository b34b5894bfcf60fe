"""The holes of a space as Optuna's distributions, and Optuna's values as ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from kdsearch.domains import Choice, Domain, Float, Int, Scalar
from kdsearch.space import SearchSpace


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The distribution of every hole of a space, by its name."""
    return {name: _distribution(domain) for name, domain in space.holes.items()}


def suggest(trial: optuna.Trial, name: str, domain: Domain) -> Scalar:
    """What the sampler proposes for a hole: a value of its domain."""
    if isinstance(domain, Choice):
        option: Any = trial.suggest_categorical(name, domain.values)
        return option
    if isinstance(domain, Int):
        low, high = domain.corners
        return trial.suggest_int(name, int(low), int(high), log=domain.log, step=domain.step)
    with _quietly_rounded():
        value = trial.suggest_float(name, *_bounds(domain), log=domain.log, step=domain.step)
    return domain.nearest(value)


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Int):
        low, high = domain.corners
        return IntDistribution(int(low), int(high), log=domain.log, step=domain.step)
    with _quietly_rounded():
        return FloatDistribution(*_bounds(domain), log=domain.log, step=domain.step)


def _bounds(domain: Float) -> tuple[float, float]:
    """Bounds of which Optuna, which rounds the range down to whole steps, loses none."""
    low, high = domain.corners
    return float(low), float(high) + (0.0 if domain.step is None else domain.step / 1000)


@contextmanager
def _quietly_rounded() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
