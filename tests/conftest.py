"""What tests share: the same draws, and one Ray a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


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
