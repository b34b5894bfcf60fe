"""Several nodes on this machine, a search on them, and what the tests ask of both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdsearch.tune import cluster  # before Ray: sets what Ray reads when it is imported

from ray.cluster_utils import Cluster  # isort: skip

from tests.tune.made import events_of

assert cluster
TRIALS, EPOCHS, IMAGES, MAPS = 6, 10, 500, 64 * 16
LARGE = 100_000  # bytes; smaller objects travel inside of messages
NETS = """
from pathlib import Path
import time
import numpy as np
import torch
from torch import nn

class Slow(nn.Module):
    '''A training that takes a while, and no processor for it.'''
    def forward(self, maps):
        if self.training and maps.device.type != "meta":
            time.sleep(0.04)
        return maps

def load(root):
    random = np.random.default_rng(0)
    labels = np.arange({images}) % 10
    images = random.integers(0, 255, ({images}, 3, 32, 32), dtype=np.uint8)
    images[np.arange({images}), 0, labels] = 255  # a row says the class
    return images, labels, images[:50], labels[:50]

def tiny(input, classes, width):
    import ray
    if ray.is_initialized() and not torch.zeros(1).is_meta:
        (Path("{seen}") / f"{{ray.get_runtime_context().get_node_id()}}.{{width}}").touch()
    return nn.Sequential(
        Slow(), nn.Conv2d(input[0], width, 4, stride=4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
"""
SEARCH = f"""
search: nodes
data: {{name: "nets_on_nodes:load", batch_size: 64}}
teacher: {{architecture: {{family: "nets_on_nodes:tiny", width: 16}}, epochs: 1}}
student: {{family: "nets_on_nodes:tiny", width: {{int: [3, 12]}}}}
losses: [{{method: fitnet, weight: 0.1, hint: 0}}]
training: {{epochs: {EPOCHS}}}
scheduler: {{name: none}}
proposer: {{name: random}}
budget: {{trials: {TRIALS}}}
resources: {{cpu: 1, gpu: 0}}
"""
# `kdsearch run` that tells, while it runs, where the large objects lie that it has shared.
COMMAND = """
import json, threading, time
from pathlib import Path
from kdsearch.tune import cluster
import ray
from kdsearch.cli import main

refs, put = [], ray.put

def noted(value, **options):
    refs.append(put(value, **options))
    return refs[-1]

def tell():
    while True:
        time.sleep(0.2)
        if refs and ray.is_initialized():
            found = ray.experimental.get_object_locations(list(refs)).values()
            told = [[f["object_size"], f["node_ids"]] for f in found]
            Path("told.part").write_text(json.dumps(told))
            Path("told.part").rename("told.json")

ray.put = noted
threading.Thread(target=tell, daemon=True).start()
main()
"""


@contextmanager
def nodes(count: int) -> Iterator[Cluster]:
    """A head that trains nothing, and so many nodes of one slot."""
    ray_cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(count):
            ray_cluster.add_node(num_cpus=1)
        yield ray_cluster
    finally:
        ray_cluster.shutdown()


class Search:
    """The command in a folder, on one cluster after another."""

    def __init__(self, room: Path) -> None:
        self.room, self.folder = room, room / "results" / "nodes"
        (room / "seen").mkdir()
        (room / "nodes.yaml").write_text(SEARCH)
        nets = NETS.format(images=IMAGES, seen=room / "seen")
        (room / "nets_on_nodes.py").write_text(nets)

    @contextmanager
    def on(self, ray_cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
        """The command; it is killed with the block."""
        command = [sys.executable, "-c", COMMAND, "run", "nodes.yaml"]
        address = ["--address", ray_cluster.address, "--quiet"]
        with (self.room / "out.txt").open("w") as out:
            process = subprocess.Popen(
                [*command, *address], cwd=self.room, stdout=out, stderr=out, text=True
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Events of the log so far."""
        return events_of(self.folder, kind) if (self.folder / "log.jsonl").exists() else []

    def trained_on(self) -> set[str]:
        """Nodes on which a student was built."""
        return {mark.stem for mark in (self.room / "seen").iterdir() if mark.suffix != ".16"}

    def shared(self) -> list[tuple[int, set[str]]]:
        """Bytes of every large object that the command has shared, and the nodes it lies on."""
        if not (told := self.room / "told.json").exists():
            return []
        return [(n, set(on)) for n, on in json.loads(told.read_text()) if n and n > LARGE]

    def wait(self, process: subprocess.Popen[str], until: Callable[[], bool]) -> None:
        """Until it is so; the command must not end before."""
        limit = time.monotonic() + 120
        while not until():
            assert process.poll() is None and time.monotonic() < limit, self.out
            time.sleep(0.05)

    @property
    def out(self) -> str:
        """What the command last printed."""
        return (self.room / "out.txt").read_text()
