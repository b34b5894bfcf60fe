"""The examples of clusters are what Ray and KubeRay read, and start what the README says."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsearch.cli import app

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "cluster"


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((EXAMPLES / name).read_text())


def test_ray_takes_the_file_of_a_cluster() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = read("ray-up.yaml")
    validate_config(prepare_config(config))
    with pytest.raises(Exception, match="no_such_key"):
        validate_config(prepare_config({**config, "no_such_key": 1}))
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if " start " in line)
    assert "~/.ray/auth_token" in config["file_mounts"]
    # From the root: a bare `results` would leave the package's own room of that name behind.
    assert all(path.startswith("/") for path in config["rsync_exclude"])


def test_a_job_of_kuberay_runs_a_search_that_goes_on_after_its_head_died() -> None:
    spec = read("rayjob.yaml")["spec"]
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    assert spec["rayClusterSpec"]["authOptions"]["mode"] == "token" and spec["backoffLimit"] > 0
    images = {c["image"] for g in groups for c in g["template"]["spec"]["containers"]}
    assert len(images) == 1
    head = groups[0]["template"]["spec"]
    places = [m["mountPath"] for m in head["containers"][0]["volumeMounts"]]
    program, *words = shlex.split(spec["entrypoint"])
    assert program == "kdsearch" and words[words.index("--address") + 1] == "auto"
    assert words[words.index("--results") + 1].startswith(places[0])


def test_the_readme_says_how_and_its_commands_are_there() -> None:
    section = (ROOT / "README.md").read_text().split("### On a cluster\n")[1].split("\n### ")[0]
    assert all(f"examples/cluster/{path.name}" in section for path in EXAMPLES.iterdir())
    commands = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    named = {line.split()[1] for line in section.splitlines() if line.startswith("kdsearch ")}
    assert named and named <= commands
