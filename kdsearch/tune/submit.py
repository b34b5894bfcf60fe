"""A search as a Ray job: submitted from outside a cluster, run on its head node."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import kdsearch
from kdsearch.errors import UserError
from kdsearch.results.remote import is_address, refuse_secrets
from kdsearch.search_config import SearchConfig, load_config


def submit_search(file: Path, address: str, results: str, edits: Sequence[str] = ()) -> str:
    """Submit a search; returns a line that says how to follow it.

    kdsearch and the search file's folder travel with the job, and with it the user's modules beside
    the file. The nodes need kdsearch's dependencies, and a folder for results that they share,
    unless results stand at an address.

    Parameters
    ----------
    address : str
        The cluster's job server: ``http://head:8265``.
    results : str
        A folder as the cluster's nodes see it, or an address, which needs no shared folder.

    Raises
    ------
    UserError
        A bad search file; a path that means nothing on the cluster; no job server there; the
        `cluster` extra is not installed.
    """
    config = load_config(file, edits)
    _check_paths(config, results)
    try:
        from ray.exceptions import RayError
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise UserError("--address", f'{error}; install the extra "cluster"') from None
    try:
        with shown_token():
            client = JobSubmissionClient(address)
            words = ["python", "-m", "kdsearch", "run", file.name]
            words += ["--address", "auto", "--results", results]
            words += [word for edit in edits for word in ("--set", edit)]
            job = client.submit_job(
                entrypoint=shlex.join(words),
                runtime_env={
                    "working_dir": str(file.resolve().parent),
                    "py_modules": [str(Path(kdsearch.__file__).parent)],
                },
            )
    except (ImportError, RayError, RuntimeError, ValueError, OSError) as error:
        line = " ".join(str(error).split())[:200]
        remedy = (
            'is it the job server, and are the client\'s parts installed (the extra "cluster")?'
        )
        raise UserError("--address", f"{address}: {line}; {remedy}") from None
    return f"submitted as {job}; follow it: ray job logs --address {address} --follow {job}"


@contextmanager
def shown_token() -> Iterator[None]:
    """Show the cluster our token if there is one: Ray's job client does not look for it unasked."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    there = "RAY_AUTH_TOKEN" in os.environ or token.exists()
    if "RAY_AUTH_MODE" in os.environ or not there:
        yield
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_MODE"]  # a Ray that is started here later decides by itself


def _check_paths(config: SearchConfig, results: str) -> None:
    """Refuse paths that mean nothing where the job runs."""
    if is_address(results):
        refuse_secrets(results)
    elif not PurePosixPath(results).is_absolute():
        fault = "give an absolute path that the nodes share, or an address: s3://bucket/folder"
        raise UserError("--results", f"{results}: {fault}")
    paths = [("proposer.policy", config.fixed.proposer.policy)]
    for _, plan in config.plans():
        weights = plan.teacher.weights if plan.teacher else None
        paths += [("data.root", plan.data.root), ("teacher.weights", weights)]
    for name, path in paths:
        if path is not None and ".." in PurePosixPath(path).parts:
            fault = f"{path} leaves the search file's folder, which alone travels; give an "
            raise UserError(name, f"{fault}absolute path that the nodes share")
