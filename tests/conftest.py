"""What tests share: two processes, the same draws, and one Ray a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)  # two processes share the cores


@pytest.hookimpl(tryfirst=True)  # before the processes are told who takes what
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with Ray first and all in one process; of the others, each file in one."""

    def starts_ray(item: pytest.Item) -> bool:
        return any(item.get_closest_marker(name) for name in ("ray", "kill"))

    items.sort(key=starts_ray, reverse=True)
    for item in items:
        group = "ray" if starts_ray(item) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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
