"""The end of a search: test accuracy of the front, read once, and the front's files."""

from __future__ import annotations

from collections.abc import Callable

import torch

from kdsearch.data import Batches, ImageData
from kdsearch.results.front import front_with_tests, write_front
from kdsearch.results.pareto import pareto_front
from kdsearch.results.store import ResultStore
from kdsearch.schemes import evaluate
from kdsearch.search_config import SearchConfig
from kdsearch.student_folder import load_student
from kdsearch.tune.observe import directions


def finish_search(
    store: ResultStore, config: SearchConfig, load: Callable[[], ImageData] | None
) -> None:
    """Read the test accuracy of every front student that has none yet, and write the front.

    Parameters
    ----------
    load : callable or None
        Gives the data, asked for only if something is to be measured. None: nothing is, for the
        search goes on; the files alone are written.
    """
    store.flush(force=True)
    objectives = config.fixed.objectives
    trials = store.trials()
    if load is not None:
        _measure(store, list(pareto_front(trials, directions(objectives))["trial_id"]), load)
    front = front_with_tests(trials, store.history.tests, directions(objectives))
    declared = [o.model_dump() for o in objectives]
    write_front(trials, front, declared, store.folder, config.fixed.search)


def _measure(store: ResultStore, front: list[str], load: Callable[[], ImageData]) -> None:
    kept = store.students()
    missing = [t for t in front if t not in store.history.tests and t in kept]
    if not missing:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = Batches(load(), 1000, device=device)
    for trial_id in missing:
        student = load_student(store.folder / "students" / trial_id).to(device)
        accuracy, _ = evaluate(student, batches.evaluation("test"))
        store.append({"event": "test", "trial_id": trial_id, "test_accuracy": accuracy})
