"""A search as a Ray job: submitted from outside a cluster, run on its head node."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.search_config import load_config


def submit_search(file: Path, address: str, results: str, edits: Sequence[str] = ()) -> str:
    """Submit a search; returns a line that says how to follow it.

    The search file's folder travels with the job, and with it the user's modules beside it. The
    cluster's nodes need kdsearch installed, and a folder for results that they share.

    Parameters
    ----------
    address : str
        The cluster's job server: ``http://head:8265``.
    results : str
        As the cluster's nodes see it.

    Raises
    ------
    UserError
        A bad search file; no job server there; the `cluster` extra is not installed.
    """
    load_config(file, edits)
    try:
        from ray.job_submission import JobSubmissionClient

        client = JobSubmissionClient(address)
    except (ImportError, RuntimeError) as error:
        line = " ".join(str(error).split())[:150]
        remedy = 'the client needs `pip install "kdsearch[cluster]"`'
        raise UserError("--address", f"{address}: {line}; {remedy}") from None
    except Exception as error:
        line = " ".join(str(error).split())[:150]
        raise UserError("--address", f"no job server answers at {address}: {line}") from None
    words = ["kdsearch", "run", file.name, "--address", "auto", "--results", results]
    words += [word for edit in edits for word in ("--set", edit)]
    job = client.submit_job(
        entrypoint=shlex.join(words), runtime_env={"working_dir": str(file.resolve().parent)}
    )
    return f"submitted as {job}; follow it: ray job logs --address {address} --follow {job}"
