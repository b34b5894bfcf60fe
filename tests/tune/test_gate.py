"""What may not run costs nothing; what may is written down so that it can run again, alone."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import replace
from typing import Any

import pytest

from kdsearch.architecture import Architecture
from kdsearch.config import TrialSpec
from kdsearch.cost import cost
from kdsearch.proposers import Proposal
from kdsearch.schemes import rung_epochs
from kdsearch.tune.gate import Ground, Taught, gate
from tests.tune.made import LR, WIDTH, made_config, made_ground

PROPOSAL = Proposal({WIDTH: 8, LR: 0.05}, parent_id="00000")


def passed(config: Any, proposal: Proposal = PROPOSAL, trial_id: str = "00003") -> dict[str, Any]:
    event, refusal = gate(made_ground(config), set(), trial_id, proposal)
    assert refusal is None and event is not None
    return event


def refused(ground: Ground, proposal: Proposal = PROPOSAL, seen: Container[str] = ()) -> Any:
    """The fate of a proposal; None where it may run."""
    refusal = gate(ground, seen, "00000", proposal)[1]
    return refusal and refusal.fate


def test_a_student_above_a_bound_is_infeasible_and_one_at_it_is_not() -> None:
    price = passed(made_config())["parameters"]
    for bound, wanted in ((price, None), (price - 1, "infeasible")):
        ground = made_ground(made_config(constraints={"parameters": bound}))
        assert refused(ground) == wanted


def test_a_refusal_says_by_how_much_each_bound_is_broken_and_why() -> None:
    price = passed(made_config())
    bounds = {"latency_ms": 1.0, "macs": price["macs"] / 2, "parameters": 2 * price["parameters"]}
    ground = made_ground(made_config(constraints=bounds))
    refusal = gate(ground, set(), "00000", PROPOSAL)[1]
    assert refusal is not None and refusal.violations == (0.0, 1.0, -0.5)
    assert refusal.why.startswith("macs ")


def test_a_student_that_cannot_be_built_is_infeasible() -> None:
    student = {"family": "convnet", "depth": {"int": [1, 2]}, "widths": [4, 4]}
    ground = made_ground(made_config(student=student))
    for depth, wanted in ((2, None), (1, "infeasible")):
        proposal = Proposal({"student.depth": depth, LR: 0.05})
        assert refused(ground, proposal) == wanted


def test_an_architecture_that_was_proposed_is_refused_unless_repeats_are_wanted() -> None:
    key = passed(made_config())["architecture_key"]
    assert refused(made_ground(made_config()), seen={key}) == "repeated"
    wanted = made_config(proposer={"name": "random", "repeats": True})
    assert refused(made_ground(wanted), seen={key}) is None


def test_a_search_with_one_student_may_train_it_again_and_again() -> None:
    config = made_config(student={"family": "mlp", "widths": [8]})
    proposal = Proposal({LR: 0.05})
    key = passed(config, proposal)["architecture_key"]
    assert refused(made_ground(config), proposal, {key}) is None


def test_the_event_says_what_a_worker_needs() -> None:
    config = made_config(seed=3, scheduler={"name": "asha", "grace": 1, "reduction": 2})
    event = json.loads(json.dumps(passed(config)))  # as the log gives it back
    spec = TrialSpec.model_validate(event["spec"])
    assert spec.plan == config.plan(PROPOSAL.assignment)
    assert spec.architecture == event["architecture"] and spec.seed == event["seed"]
    assert spec.rungs == list(rung_epochs(1, 2, 4))
    assert (event["parent_id"], event["purpose"], event["proposer"]) == ("00000", "search", "tpe")
    price = cost(Architecture.from_json(event["architecture"]))
    assert (event["parameters"], event["macs"]) == (price.parameters, price.macs)
    assert passed(made_config(scheduler={"name": "none"}))["spec"]["rungs"] == [4]


def test_rungs_count_the_epochs_after_a_pre_training() -> None:
    config = made_config(
        teacher={"architecture": {"family": "mlp", "widths": [8]}},
        losses=[{"method": "ab", "weight": 0.01, "pretrain_epochs": 2}],
        training={"epochs": 9, "lr": {"float": [0.01, 0.1]}},
    )
    _, teacher = next(iter(config.plans()))
    assert teacher.teacher is not None
    taught = {teacher.teacher.model_dump_json(): Taught("t", 0.9)}
    ground = replace(made_ground(config), teachers=taught)
    event, _ = gate(ground, (), "00000", PROPOSAL)
    assert event is not None and event["spec"]["rungs"] == [3, 4, 6, 9]


def test_seeds_differ_between_trials_and_between_searches() -> None:
    seeds = {
        passed(made_config(seed=seed), trial_id=trial)["seed"]
        for seed in (0, 1, 2**31 - 1)
        for trial in ("00000", "00001", "99999")
    }
    assert len(seeds) == 9
    assert passed(made_config(seed=1))["seed"] == passed(made_config(seed=1))["seed"]


@pytest.mark.parametrize("width", [8, 12])
def test_a_row_speaks_of_the_teacher_that_its_choice_named(width: int) -> None:
    sections = [{"architecture": {"family": "mlp", "widths": [w]}} for w in (8, 12)]
    config = made_config(
        teacher={"architecture": {"family": "mlp", "widths": [{"choice": [8, 12]}]}},
        losses=[{"choice": ["none", {"method": "kd", "weight": 0.5}]}],
    )
    hole = "teacher.architecture.widths[0]"
    plans = [plan for _, plan in config.plans() if plan.teacher is not None]
    ground = made_ground(config)
    ground.teachers = {
        plan.teacher.model_dump_json(): Taught(f"t{plan.teacher.architecture['widths'][0]}", 0.9)
        for plan in plans
        if plan.teacher is not None
    }
    assert len(ground.teachers) == len(sections)
    assignment = {WIDTH: 8, LR: 0.05, hole: width, "losses[0]": "kd"}
    event, _ = gate(ground, set(), "00000", Proposal(assignment))
    assert event is not None and event["teacher_id"] == f"t{width}"
    assert event["spec"]["teacher_id"] == f"t{width}"
    alone, _ = gate(ground, set(), "00000", Proposal({**assignment, "losses[0]": "none"}))
    assert alone is not None and alone["spec"]["teacher_id"] is None  # nobody asks it
