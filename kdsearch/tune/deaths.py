"""How workers die: what Ray says of it, and what it comes to."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager  # no public way in
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from kdsearch.tune.wear import WornError

SIGNS = ("out of memory", "allocate memory", "unable to allocate", "memoryerror")


class NoMemoryError(RayActorError):
    """A worker was killed because its node ran out of memory."""


def error_of(trial: Any) -> Exception | None:
    """What ended the worker of a trial; None where Ray does not say.

    Ray Tune writes it here and copies it to its storage later: its own way to ask looks there.
    """
    try:
        with open(trial.pickled_error_file, "rb") as file:
            return pickle.load(file)
    except (OSError, TypeError, EOFError, pickle.PickleError):
        return None


def close(trial: Any) -> None:
    """Have Ray Tune not ask a dead worker for a first result: not every answer is one it knows."""
    trial.run_metadata.last_result = trial.run_metadata.last_result or {"done": True}


def lacks_memory(why: str) -> bool:
    """Whether an error of torch, CUDA or numpy says that there was no memory left."""
    return any(sign in why.lower() for sign in SIGNS)


def worn(error: Exception | None) -> bool:
    """Whether a worker has found itself to be in need of replacement."""
    return isinstance(getattr(error, "cause", None), WornError)


def told(error: Exception | None) -> str:
    """One line of what Ray tells over a page and more; None: it lost sight of the worker."""
    if isinstance(error, RayTaskError):
        cause = getattr(error, "cause", None) or error
        name = "" if worn(error) else f"{type(cause).__name__}: "
        lines = f"{name}{cause}".strip().splitlines()
    else:
        lines = str(error or "the worker died").strip().splitlines() or ["the worker died"]
    # The first line of an actor's death says that it died, the last one of what.
    line = lines[0] if isinstance(error, (RayTaskError, NoMemoryError)) else lines[-1]
    return " ".join(line.split())[:500]


@contextmanager
def deaths_of_workers() -> Iterator[None]:
    """While it holds, whatever Ray says of a worker ends its trial, and not the search.

    Ray Tune (2.60) knows of workers that died and of steps that raised, and gives up at any other
    error. But one that Ray kills because its node runs out of memory has an error of its own, and
    so has a result that was lost with the node it lay on.
    """
    knows = RayActorManager._actor_task_failed

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        known = isinstance(exception, (RayActorError, RayTaskError))
        if isinstance(exception, RayError) and not known:
            kind = NoMemoryError if isinstance(exception, OutOfMemoryError) else RayActorError
            exception = kind(error_msg=f"{type(exception).__name__}: {exception}")
        knows(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = knows
