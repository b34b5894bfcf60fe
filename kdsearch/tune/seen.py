"""Whether every node sees the files that a set too large for memory is read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from kdsearch.data import ImageData
from kdsearch.errors import UserError

Ask = Callable[[Path], Mapping[str, bool]]


def check_seen(data: ImageData, ask: Ask | None = None) -> None:
    """Refuse a set in files that some node does not see; one in memory travels by itself.

    Parameters
    ----------
    ask : callable, optional
        Whether each node, by its name, sees a folder; by default the nodes of the cluster are
        asked.

    Raises
    ------
    UserError
        A node that does not, before any trial is sent there.
    """
    if data.folder is None:
        return
    blind = sorted(name for name, sees in (ask or on_nodes)(data.folder).items() if not sees)
    if blind:
        fault = f"{data.folder} is not seen by {len(blind)} nodes, {blind[0]} among them; set "
        fault += "KDSEARCH_CACHE to a folder that all nodes see, or write data.stream: false"
        raise UserError("data.stream", fault)


def on_nodes(folder: Path) -> dict[str, bool]:
    """Whether each node that lives sees the folder; one node alone is not asked."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    if len(alive) < 2:
        return {}
    look = ray.remote(num_cpus=0)(Path.is_dir)
    refs = {
        f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})": look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(folder)
        for node in alive
    }
    return {name: bool(ray.get(ref)) for name, ref in refs.items()}
