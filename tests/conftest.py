"""Ray, started once a run and shared by every test that needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Two CPUs on this machine; searches that find Ray running leave it running."""
    from kdsearch.tune import cluster  # first: it sets what Ray reads when it is imported

    import ray  # isort: skip

    assert cluster
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
