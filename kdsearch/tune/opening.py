"""A search's folder, opened: made on the first run, compared on every other."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from kdsearch.data import ImageData, load_data
from kdsearch.errors import UserError
from kdsearch.meter import Meter
from kdsearch.own_code import named_code
from kdsearch.results.history import Event, History
from kdsearch.results.log import legible
from kdsearch.results.records import SCHEMA_VERSION, TOLD_APART
from kdsearch.results.remote import WorkingCopy, is_address
from kdsearch.results.store import ResultStore
from kdsearch.results.tables import write_aside
from kdsearch.search_config import SearchConfig
from kdsearch.tune.policy import check_same_policy, policy_hash

PACKAGES = ("kdsearch", "numpy", "optuna", "pandas", "pyarrow", "ray", "torch", "torchvision")


@contextmanager
def open_search(
    folder: Path, config: SearchConfig, copy: WorkingCopy | None = None
) -> Iterator[ResultStore]:
    """The store of a search, locked; its config compared with the one it was started with.

    Parameters
    ----------
    copy : WorkingCopy, optional
        Whose folder it is, where the search stands at an address.

    Raises
    ------
    UserError
        Another process runs it, the folder holds another search, or a key other than a larger
        budget was changed, or the policy that it began with.
    """
    with ResultStore.open(folder, copy) as store:
        tree = json.loads(json.dumps(config.tree, allow_nan=False, default=str))
        if store.history.trials:
            _compare(folder, store.history.header["config"], tree)
            check_same_policy(store.history, config)
            _refuse_other_code(store, config)
        then = store.history.header
        policy = then.get("policy") if store.history.trials else policy_hash(config)
        said = tree, policy, legible(str(config.base))
        if (then.get("config"), then.get("policy"), then.get("base")) != said:
            store.append(  # new, mended before a run, raised, or gone on with from elsewhere
                {
                    "event": "search",
                    "schema": SCHEMA_VERSION,
                    "search": config.fixed.search,
                    "config": tree,
                    "columns": config.columns(),
                    "base": str(config.base),
                    **({"policy": policy} if policy else {}),
                    "started_at": datetime.now(UTC).isoformat(),
                }
            )
        text = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True)
        write_aside(folder / "config.yaml", lambda part: part.write_text(text, encoding="utf-8"))
        store.flush(force=True)  # readers find tables from the first moment on
        yield store


@contextmanager
def open_there(results: str | os.PathLike[str]) -> Iterator[ResultStore]:
    """The store of a search that is there already, by its folder or its address.

    Raises
    ------
    UserError
        There is none.
    """
    copy = WorkingCopy.at(str(results)) if is_address(results) else None
    folder = copy.folder if copy else Path(results)
    if copy is None and not (folder / "log.jsonl").exists():
        raise UserError(str(folder), "holds no search; give the folder that `kdsearch run` made")
    if copy is not None:
        copy.find()
    with ResultStore.open(folder, copy) as store:
        yield store


def own_trials(history: History) -> list[Event]:
    """The trials that a search, or its repeats, may train again; reruns are their user's."""
    return [trial for trial in history.trials.values() if trial["purpose"] != "rerun"]


def _refuse_other_code(store: ResultStore, config: SearchConfig) -> None:
    """Refuse to go on with trials of code that the search file does not name."""
    if strange := named_code(own_trials(store.history)) - named_code(config.tree):
        fault = f"names {min(strange)!r:.80}, which the search file does not; restore the file"
        raise UserError(str(store.folder / "log.jsonl"), fault)


def load_same(
    store: ResultStore, config: SearchConfig, say: Callable[[str], None] = lambda _: None
) -> ImageData:
    """The data of a search, the same as when it was started; `say` is told where it is held.

    Raises
    ------
    UserError
        Files that have changed since.
    """
    data = load_data(next(iter(config.plans()))[1].data, config.base, say)
    trials = store.history.trials.values()
    then = next((t["data_id"] for t in trials if t["purpose"] != "rerun"), data.id)
    if then != data.id:
        raise UserError(
            "data",
            f"the files have changed since {store.folder} was started (then {then}, now {data.id});"
            " restore them, or give the search another name",
        )
    return data


def refuse_elsewhere(store: ResultStore, meter: Meter) -> None:
    """Refuse to go on where trials would be measured on another device than those before.

    Raises
    ------
    UserError
        Trials that could not be compared with those of the search so far.
    """
    here = meter.places()
    for name, column in TOLD_APART.items():
        for trial in store.history.trials.values():
            then = trial.get(column)
            if trial["purpose"] != "search" or column not in here or then in (None, here[column]):
                continue
            raise UserError(
                "objectives",
                f"{name} was measured on {then} so far, here it would be on {here[column]}; go on "
                f"there, or give the search another name and begin it --from {store.folder}",
            )


def write_environment(folder: Path, data_id: str, resources: Mapping[str, Any]) -> None:
    """Write ``environment.json``: versions, hardware, git and data hashes."""
    content = {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cluster": {k: v for k, v in sorted(resources.items()) if not k.startswith("node:")},
        "git": _git(),
        "data_id": data_id,
    }
    text = json.dumps(content, indent=1)
    write_aside(folder / "environment.json", lambda part: part.write_text(text))


def _compare(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    was, now = _flat(old), _flat(new)
    for path in [*was, *(p for p in now if p not in was)]:
        if was.get(path) == now.get(path):
            continue
        if path.startswith("budget.") and _larger(was.get(path), now.get(path)):
            continue
        if path.partition(".")[0] == "resources":  # of the machines, not of what is searched
            continue
        raise UserError(
            path,
            f"{folder} was started with {was.get(path)!r}, this file says {now.get(path)!r}; only "
            "a larger budget, or resources, may change: give the search another name, or another "
            "--results",
        )


def _larger(was: Any, now: Any) -> bool:
    """A budget that is raised, or lifted."""
    if now is None:
        return True
    return isinstance(was, (int, float)) and isinstance(now, (int, float)) and now >= was


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if isinstance(node, Mapping) and node:
        pairs = [(f"{path}.{key}" if path else str(key), child) for key, child in node.items()]
    elif isinstance(node, list) and node:
        pairs = [(f"{path}[{i}]", child) for i, child in enumerate(node)]
    else:
        return {path: node}
    return {p: value for place, child in pairs for p, value in _flat(child, place).items()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def _git() -> str | None:
    """The commit that this process runs in, with a mark if files were changed."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
