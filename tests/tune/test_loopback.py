"""A Ray that is started for a search is reached from this machine alone."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

START = """
import ray
from kdsearch.tune import cluster
from tests.tune.made import made_config

assert cluster.start(made_config(), None)
print("at", ray.get_runtime_context().gcs_address, flush=True)
print("node", ray.nodes()[0]["NodeManagerAddress"], ray.nodes()[0]["NodeManagerPort"], flush=True)
print("worker", ray.get(ray.remote(ray.util.get_node_ip_address).remote()), flush=True)
input()
ray.shutdown()
"""


def outward() -> str:
    """The address of this machine that others would use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return probe.getsockname()[0]


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.ray
def test_ray_listens_on_loopback_alone() -> None:
    try:
        other = outward()
    except OSError:
        pytest.skip("this machine has no address but its own")
    if other.startswith("127."):
        pytest.skip("this machine has no address but its own")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", START], **pipes) as process:
        assert process.stdout is not None and process.stdin is not None
        said = dict(process.stdout.readline().strip().split(" ", 1) for _ in range(3))
        port = int(said["at"].rpartition(":")[2])
        node, raylet = said["node"].split()
        try:
            assert (said["at"], node, said["worker"]) == (
                f"127.0.0.1:{port}",
                "127.0.0.1",
                "127.0.0.1",
            )
            for open_port in (port, int(raylet)):
                assert answers("127.0.0.1", open_port) and not answers(other, open_port)
        finally:
            process.stdin.write("\n")
            process.stdin.flush()
            process.wait(60)
