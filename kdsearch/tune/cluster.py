"""Ray, started or joined; what a trial takes of it; how a user's code gets to the workers."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

# Read by Ray when it is imported: silence, no per-trial log files, no snapshots of its own.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "86400")
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray._private import ray_constants  # no public way to bind to loopback

import kdsearch
from kdsearch.errors import UserError
from kdsearch.own_code import named_code
from kdsearch.search_config import SearchConfig
from kdsearch.search_sections import ResourcesConfig

MIB = 2**20
LOWER = "lower it, or use another cluster"
REMEDIES = {"cpu": LOWER, "gpu": LOWER, "memory": "end what else runs, or use another cluster"}
UNKNOWN = 2.0**60  # bytes: a node that is yet to come bounds nothing


def start(config: SearchConfig, address: str | None) -> bool:
    """Start Ray on this machine, or join the cluster at `address`; nothing if it runs already.

    Returns
    -------
    bool
        Whether it was started or joined here, so that who did it ends it.

    Raises
    ------
    UserError
        No cluster answers at the address.
    """
    if ray.is_initialized():
        return False
    if address is not None and address.startswith("ray://"):
        raise UserError(
            "--address",
            f"{address}: a search does not run through ray://, where a lost connection ends it; "
            "use `kdsearch submit` from outside the cluster, or --address auto on its head node",
        )
    try:
        with nullcontext() if address else _on_loopback():
            ray.init(
                address=address or "local",
                runtime_env=runtime_env(config, joined=address is not None),
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        what = f"no Ray cluster answers at {address}" if address else "Ray does not start here"
        raise UserError("--address", f"{what}: {line}") from None
    return True


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Ray listens where this machine alone can reach it.

    On Linux it takes an address that others reach, and listens on all, even when told 127.0.0.1.
    This switch of its own, which is off on other systems, is what decides.
    """
    switch = "ENABLE_RAY_CLUSTER"
    before = getattr(ray_constants, switch, None)  # a Ray without it does as it does
    setattr(ray_constants, switch, False)
    try:
        yield
    finally:
        setattr(ray_constants, switch, before)


def runtime_env(config: SearchConfig, *, joined: bool) -> dict[str, Any]:
    """What workers need beside an installed environment.

    Workers on this machine find the user's modules where the driver found them. On a cluster they
    are uploaded, and kdsearch with them, so that all nodes run the driver's version.
    """
    modules = user_modules(config)
    if not joined:
        if not modules:
            return {}
        places = [str(config.code or config.base), os.getcwd(), os.environ.get("PYTHONPATH", "")]
        return {"env_vars": {"PYTHONPATH": os.pathsep.join(p for p in places if p)}}
    if _job_brings_code():
        return {}  # and Ray refuses to be told twice
    return {"py_modules": [str(Path(kdsearch.__file__).parent), *map(_source, modules)]}


def _job_brings_code() -> bool:
    """Whether this process is a Ray job whose submission carried our code: see `submit_search`."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return bool(job.get("runtime_env", {}).get("py_modules"))


def user_modules(config: SearchConfig) -> list[str]:
    """Top-level modules that the file names as ``module:callable``: workers need them too."""
    named = {name.partition(":")[0].partition(".")[0] for name in named_code(config.tree)}
    return sorted(named - {"kdsearch"})


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UserError(module, "no such module; put it beside the search file")
    path = Path(spec.origin)
    return str(path.parent if path.name == "__init__.py" else path)


def share(resources: ResourcesConfig) -> dict[str, float]:
    """What one trial takes; for ``auto`` the usual, a CPU and a GPU if the cluster has one.

    Raises
    ------
    UserError
        More than any node has, on a cluster that will not grow.
    """
    has = ray.cluster_resources()
    gpu = resources.gpu
    if gpu == "auto":
        gpu = 1.0 if has.get("GPU", 0) >= 1 else 0.0
    cpu = 1.0 if resources.cpu == "auto" else float(resources.cpu)
    taken = {"cpu": cpu, "gpu": float(gpu)}
    refuse_more(taken)
    return taken


def refuse_more(taken: dict[str, float]) -> None:
    """Refuse a trial that takes what no node has, on a cluster that will not grow.

    Raises
    ------
    UserError
        Ray would wait for such a node for ever.
    """
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, key in (("cpu", "CPU"), ("gpu", "GPU"), ("memory", "memory")):
        asked, unit = taken.get(name, 0.0), MIB if name == "memory" else 1
        most = max((has.get(key, 0.0) for has in alive), default=0.0)
        if asked > most:
            words = " MiB" * (name == "memory")
            fault = f"{asked / unit:g}{words} asked for, but no node has more than "
            fault += f"{most / unit:,.4g}{words}"
            if not _autoscales():
                raise UserError(f"resources.{name}", f"{fault}; {REMEDIES[name]}")
            logging.getLogger("kdsearch").warning("resources.%s: %s yet", name, fault)
    if 1 < (gpu := taken.get("gpu", 0.0)) != int(gpu):
        raise UserError("resources.gpu", f"{gpu:g}: above 1 only whole GPUs can be had")


def place() -> str:
    """The kinds of nodes of the cluster, each once: ``2 CPU``, or ``16 CPU, 1 GPU (H200)``."""
    kinds: set[str] = set()
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        made = [name.partition(":")[2] for name in has if name.startswith("accelerator_type:")]
        gpus = f", {has.get('GPU', 0):g} GPU" + f" ({', '.join(made)})" * bool(made)
        if has.get("CPU"):
            kinds.add(f"{has['CPU']:g} CPU" + gpus * bool(has.get("GPU")))
    return "; ".join(sorted(kinds))


def nodes() -> int:
    """How many of them can train."""
    return sum(bool(n["Alive"] and n["Resources"].get("CPU")) for n in ray.nodes())


def poorest_node(taken: dict[str, float]) -> dict[str, float]:
    """CPUs, GPUs and bytes of memory of the node with the least of them for each trial.

    Of those that can run one; where there is none yet, one that could do no more than that.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    able = [
        {name: has.get(name, 0.0) for name in ("CPU", "GPU", "memory")}
        for has in nodes
        if has.get("CPU", 0) >= taken["cpu"] and has.get("GPU", 0) >= taken["gpu"]
    ]
    if not able:
        return {"CPU": taken["cpu"], "GPU": taken["gpu"], "memory": UNKNOWN}
    least = min(able, key=lambda has: has["CPU"] / (has["GPU"] or 1))
    return {**least, "memory": min(has["memory"] for has in able)}


def device_of(taken: dict[str, float]) -> str:
    """The device of who takes this: a worker without a GPU of its own may still see one."""
    return "cuda" if taken["gpu"] > 0 else "cpu"


def slots(taken: dict[str, float]) -> int:
    """How many trials run at a time on the cluster as it is; a share of a GPU spans no two."""
    count = 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        fits = [_times(has.get("CPU", 0), taken["cpu"])]
        if 0 < taken["gpu"] < 1:
            fits.append(int(has.get("GPU", 0)) * _times(1, taken["gpu"]))
        elif taken["gpu"]:
            fits.append(_times(has.get("GPU", 0), taken["gpu"]))
        if taken.get("memory"):
            fits.append(_times(has.get("memory", 0), taken["memory"]))
        count += min(fits)
    return max(1, count)


def _times(has: float, each: float) -> int:
    """How often one goes into the other, as Ray counts: 1 // 0.1 would be 9."""
    return int(has / each + 1e-6)


def _autoscales() -> bool:
    """Whether nodes may still come: what Ray's own monitor has written down of the node types.

    A monitor runs on every cluster. Where it may start none itself it calls every node's type
    after the node.
    """
    from ray._private import worker  # no public way to ask

    try:
        client: Any = getattr(worker.global_worker, "gcs_client")  # noqa: B009 - untyped
        if client.internal_kv_get(b"__autoscaler_v2_enabled", b"__autoscaler", timeout=2) == b"1":
            return True
        status = client.internal_kv_get(b"__autoscaling_status", None, timeout=2)
        report = json.loads(status or b"{}").get("autoscaler_report") or {}
        types = {*(report.get("active_nodes") or {}), *(report.get("idle_nodes") or {})}
        return not types <= {f"node_{node['NodeID']}" for node in ray.nodes()}
    except Exception:  # an old or a new Ray: better a warning too few than a search refused
        return True
