"""``resources: auto``: what trials take, chosen from what a few students were seen to take."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from kdsearch.config import Plan, TrialSpec
from kdsearch.cost import cost
from kdsearch.errors import UserError
from kdsearch.objectives import violation
from kdsearch.pricing import extreme
from kdsearch.results.store import ResultStore
from kdsearch.search_sections import ResourcesConfig
from kdsearch.space import Filled
from kdsearch.tune.cluster import device_of, poorest_node, refuse_more, slots
from kdsearch.tune.deaths import lacks_memory
from kdsearch.tune.gate import Ground, now
from kdsearch.tune.held import MIB
from kdsearch.tune.packing import Node, Share, share_of
from kdsearch.tune.tasks import streamed
from kdsearch.tune.trying import Tried, try_students
from kdsearch.wiring import Wired, architecture_of, check_plan

SAMPLES = 24  # random plans beside the corners of the space, of which three are tried
EPOCHS = 2  # of the student's own training: the first one warms up
Run = Callable[[Sequence[TrialSpec], int], Tried]


def settle(
    ground: Ground, store: ResultStore, taken: dict[str, float], run: Run, say: Callable[[str], Any]
) -> dict[str, float]:
    """What every trial takes of the cluster: as the search file says, as chosen before, or chosen.

    What is chosen stands in the log, and holds for this search on machines of these kinds.

    Parameters
    ----------
    taken : dict
        ``cpu`` and ``gpu`` where each ``auto`` is the usual: one CPU, and a GPU if there is one.
    run : callable
        Tries students on a worker: `on_cluster` gives one.
    say : callable
        Told what was chosen and why, in one line.

    Returns
    -------
    dict
        ``cpu`` and ``gpu``; ``memory`` in bytes where it was chosen.

    Raises
    ------
    UserError
        No student of the space can be trained, or the largest one fits nowhere.
    """
    asked = ground.config.fixed.resources
    if asked.gpu == "auto" and not taken["gpu"]:
        say("resources: gpu: auto is none here, for the cluster has no GPU; trials train on CPUs")
    if asked.cpu != "auto" and (asked.gpu != "auto" or not taken["gpu"]):
        return taken
    known = store.history.resources.get(ground.place)
    begun = any(trial["purpose"] == "search" for trial in store.history.trials.values())
    if begun and not store.history.resources and asked.cpu != "auto":
        return taken  # begun by an earlier kdsearch, with the usual
    if known is not None and _agrees(known, asked):
        share = Share(known["cpu"], known["gpu"], known["memory_mib"], known["why"])
        why = "as this search chose before"
    else:
        say("resources: a few students are trained for some steps, to see what they take")
        share = _chosen(ground, taken, run)
        place = {"event": "resources", "place": ground.place}
        store.append({**place, **asdict(share), "at": now()})
        why = share.why
    chosen = {"cpu": share.cpu, "gpu": share.gpu, "memory": share.memory_mib * MIB}
    refuse_more(chosen)
    gpu = f"{share.gpu:g} GPU" if share.gpu else "no GPU"
    each = f"{share.cpu:g} CPU, {gpu} and {share.memory_mib:,} MiB a trial"
    say(f"resources: {each}, {slots(chosen)} at a time: {why}")
    return chosen


def _agrees(known: dict[str, Any], asked: ResourcesConfig) -> bool:
    """Whether what was chosen once is all there, and is what numbers in the file say by now."""
    if not known.keys() >= {"cpu", "gpu", "memory_mib", "why"}:
        return False
    said = ("cpu", asked.cpu), ("gpu", asked.gpu)
    return all(number == "auto" or float(number) == known[name] for name, number in said)


def on_cluster(data: Any, teachers: Any, stores: Any, taken: dict[str, float]) -> Run:
    """Students tried by one Ray task, where the GPUs are.

    Parameters
    ----------
    data, teachers, stores : ObjectRef
        What trials share, in the object store.
    taken : dict
        ``cpu`` and ``gpu`` that the task takes.
    """
    task = streamed(try_students, {**taken, "gpu": min(1.0, taken["gpu"])}, _failed)

    def run(specs: Sequence[TrialSpec], cpus: int) -> Tried:
        (tried,) = task(list(specs), data, teachers, stores, device_of(taken), cpus)
        return tried

    return run


def _chosen(ground: Ground, taken: dict[str, float], run: Run) -> Share:
    fixed = ground.config.fixed
    asked = fixed.resources
    cpu = None if asked.cpu == "auto" else float(asked.cpu)
    gpu = None if asked.gpu == "auto" and taken["gpu"] else taken["gpu"]
    has = poorest_node(taken)
    tried = run(examples(ground), int(has["CPU"]) if cpu is None else 1)
    if not tried.taken:
        fault = f"no student of the space could be tried ({tried.fault}); mend that, or write"
        raise UserError("resources", f"{fault} numbers here: {{cpu: 1, gpu: 0}}")
    node = Node(has["CPU"], has["memory"] / MIB, has["GPU"], tried.gpu_mib)
    trials = fixed.budget.trials
    return share_of(tried.taken, node, tried.threads, cpu=cpu, gpu=gpu, trials=trials)


def examples(ground: Ground) -> list[TrialSpec]:
    """The cheapest, a middling and the dearest training of the space, by arithmetic of a step.

    Raises
    ------
    UserError
        No plan that can be trained.
    """
    config = ground.config
    priced: list[tuple[float, Plan, Filled]] = []
    for filled in _fills(ground):
        plan = config.validate(filled)
        try:
            price = cost(architecture_of(plan, ground.outline, filled), config.fixed.bits)
        except UserError:
            continue  # costs nothing: the search passes it over too
        if violation(config.fixed.constraints, asdict(price)) is None:
            priced.append((price.macs * plan.data.batch_size, plan, filled))
    priced.sort(key=lambda one: one[0])
    specs = {
        spec.model_dump_json(): spec
        for near in (0, len(priced) // 2, len(priced) - 1)
        if (spec := _nearest(ground, priced, near)) is not None
    }
    if not specs:
        fault = "no student of the space can be tried; write numbers: {cpu: 1, gpu: 0}"
        raise UserError("resources", fault)
    return list(specs.values())


def _nearest(
    ground: Ground, priced: Sequence[tuple[float, Plan, Filled]], place: int
) -> TrialSpec | None:
    """Of the plans that can be trained, the one nearest to a place of the list."""
    for i in sorted(range(len(priced)), key=lambda i: abs(i - place)):
        _, plan, filled = priced[i]
        if ground.store is not None:
            plan = plan.model_copy(update={"store": ground.store})
        with suppress(UserError):  # does not fit: the search passes it over too
            return _spec(ground, plan, check_plan(plan, ground.outline, filled))
    return None


def _fills(ground: Ground) -> Iterator[Filled]:
    space, rng = ground.config.space, random.Random(0)
    yield from space.cover()
    for pick in (min, max):  # `cover` takes the first and the last number of a choice
        yield space.fill(partial(extreme, pick))
    for _ in range(SAMPLES if space.holes else 0):
        yield space.sample(rng)


def _spec(ground: Ground, plan: Plan, wired: Wired) -> TrialSpec:
    """A training that ends after a few epochs, whatever its schedule."""
    last = wired.pretraining + EPOCHS
    epochs = {"epochs": max(plan.training.epochs, last), "stop_epoch": last}
    training = plan.training.model_copy(update=epochs)
    taught = None
    if plan.teacher is not None and plan.taught:
        taught = ground.teachers[plan.teacher.model_dump_json()].identity
    return TrialSpec(
        plan=plan.model_copy(update={"training": training, "measures": []}),
        architecture=wired.student.to_json(),
        teacher_id=taught,
        rungs=[last],
    )


def _failed(cause: BaseException, line: str) -> UserError:
    if lacks_memory(line):
        return UserError(
            "resources",
            f"there is no memory for the dearest student of the space even alone ({line:.200}); "
            "bound the students in constraints, or lower data.batch_size",
        )
    return UserError("resources", f"no student could be tried: {line}; write {{cpu: 1, gpu: 0}}")
