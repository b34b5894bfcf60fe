"""Work of minutes as one Ray task beside the trials, whose results come back one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError

from kdsearch.errors import UserError, line_of


def streamed(
    function: Callable[..., Iterator[Any]],
    taken: dict[str, float],
    failed: Callable[[BaseException, str], UserError],
) -> Callable[..., Iterator[Any]]:
    """The generator function, run once by a worker, where the GPUs are.

    Parameters
    ----------
    taken : dict
        ``cpu`` and ``gpu`` that the task takes.
    failed : callable
        What to raise of its own failure, or of the end of its worker; also told it in one line.
    """
    task: Any = ray.remote(function).options(
        num_cpus=taken["cpu"], num_gpus=taken["gpu"], num_returns="streaming", max_retries=0
    )

    def run(*given: Any) -> Iterator[Any]:
        try:
            for ref in task.remote(*given):
                yield ray.get(ref)
        except RayError as error:
            cause = getattr(error, "cause", None) or error
            raise failed(cause, line_of(cause)) from None

    return run
