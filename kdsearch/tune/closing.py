"""A search's folder, closed: test accuracies, each read once, and the files of the front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from kdsearch.data import Batches, ImageData
from kdsearch.errors import UserError
from kdsearch.results.finished import best_repeat, finished_near
from kdsearch.results.front import front_with_tests, write_front, write_rows
from kdsearch.results.pareto import pareto_front
from kdsearch.results.records import TrialRow
from kdsearch.results.store import ResultStore
from kdsearch.schemes import evaluate
from kdsearch.search_config import SearchConfig
from kdsearch.student_folder import read_student, student_of
from kdsearch.tune.observe import directions


def close_search(
    store: ResultStore, config: SearchConfig, load: Callable[[], ImageData] | None
) -> None:
    """Read the test accuracy of every front student and repeat that has none; write the front.

    Of a student's repeats the weights of the best on validation stay, the others go.

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
        front = list(pareto_front(trials, directions(objectives))["trial_id"])
        _measure(store, [*front, *(row.trial_id for row in _repeats(store))], load)
    _drop_repeats(store)
    front = front_with_tests(trials, store.history, directions(objectives))
    declared = [o.model_dump() for o in objectives]
    write_front(trials, front, declared, store.folder, config.fixed.search)
    near = finished_near(trials, front, store.history)
    if len(near):
        write_rows(near, store.folder, "near")
    else:  # of an earlier call: since then they may have come on the front
        for suffix in ("parquet", "csv"):
            (store.folder / f"near.{suffix}").unlink(missing_ok=True)


def search_over(store: ResultStore, config: SearchConfig) -> bool:
    """Whether the search itself has come to its end: nothing runs or rests, its budget is spent."""
    history = store.history
    done = sum(row.purpose == "search" for row in history.rows)
    in_flight = any(trial["purpose"] == "search" for trial in history.running.values())
    if not done or in_flight or history.resting:
        return False
    spent = config.fixed.budget.spent(done, history.epoch_count, history.seconds)
    return spent or history.exhausted is not None


def _measure(store: ResultStore, trial_ids: Sequence[str], load: Callable[[], ImageData]) -> None:
    kept = store.students()
    missing = [t for t in trial_ids if t not in store.history.tests and t in kept]
    if not missing:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = Batches(load(), 1000, device=device)
    for trial_id in missing:
        student = _student(store, trial_id).to(device)
        accuracy, _ = evaluate(student, batches.evaluation("test"))
        store.append({"event": "test", "trial_id": trial_id, "test_accuracy": accuracy})


def _student(store: ResultStore, trial_id: str) -> nn.Module:
    folder = store.folder / "students" / trial_id
    card, weights = read_student(folder)
    if card.architecture != store.history.trials[trial_id]["architecture"]:
        fault = "is another network than the log says; remove this folder, and run the trial again"
        raise UserError(str(folder), fault)
    return student_of(card, weights, str(folder))


def _repeats(store: ResultStore) -> list[TrialRow]:
    purposes = ("finish", "baseline")
    return [r for r in store.history.rows if r.purpose in purposes and r.status == "complete"]


def _drop_repeats(store: ResultStore) -> None:
    """Remove weights of repeats that are measured and are not the best of their student's."""
    rows, trials = _repeats(store), store.history.trials
    taught: dict[tuple[str | None, int | None], dict[int, TrialRow]] = {}
    for row in rows:
        if row.purpose == "finish":
            asked = trials[row.trial_id].get("finish_epochs")
            taught.setdefault((row.parent_id, asked), {})[row.seed] = row
    best = {best_repeat(found).trial_id for found in taught.values()}
    measured = {row.trial_id for row in rows if row.trial_id in store.history.tests}
    store.drop_students(measured - best)
