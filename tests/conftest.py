"""What tests share: two processes, the same draws, and one Ray a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

torch.set_num_threads(1)  # two processes share the cores
os.environ.setdefault("RAY_worker_niceness", "0")  # or Ray's workers would wait for the other one


class RayApart(LoadScopeScheduling):
    """One process takes all of ``tests/tune``, where Ray is; of the others whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/tune" if file.startswith("tests/tune/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> RayApart:
    """Asked once, where there is more than one process."""
    return RayApart(config, log)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Every test draws the same numbers, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Two CPUs on this machine; searches that find Ray running leave it running."""
    from kdsearch.tune import cluster  # first: it sets what Ray reads when it is imported

    import ray  # isort: skip

    assert cluster
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
