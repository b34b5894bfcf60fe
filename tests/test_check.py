"""Checking a search: everything is built and wired, nothing is trained, and it is quick."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from kdsearch.check import Summary, check_search
from kdsearch.cost import cost
from kdsearch.domains import Choice
from kdsearch.errors import UserError
from kdsearch.losses import LOSSES
from kdsearch.search_config import load_config
from kdsearch.students import build_student, describe
from kdsearch.summary import summary_lines
from kdsearch.teachers import save_weights
from kdsearch.wiring import architecture_of, check_plan
from tests.searches import fault, tree

SPACES = Path(__file__).parents[1] / "search_spaces"


def check(**values: Any) -> Summary:
    return check_search(load_config(tree(**values)))


def test_a_summary_tells_what_the_space_holds() -> None:
    summary = check()
    assert (summary.students, summary.assignments) == (2**2 * 4**2, math.inf)
    assert summary.outline.shape == (1, 8, 8) and summary.outline.train_images == 160
    ((section, teacher, price),) = summary.teachers
    assert section.epochs == 1 and price == cost(teacher)


def test_of_a_small_space_the_cheapest_and_the_dearest_are_exact() -> None:
    config = load_config(tree())
    prices = []
    for filled in config.space.every("student"):
        prices.append(cost(describe(filled.plain["student"], (1, 8, 8), 10)).parameters)
    summary = check_search(config)
    assert (summary.cheapest[1].parameters, summary.dearest[1].parameters) == (
        min(prices),
        max(prices),
    )


def test_the_dearest_keeps_the_constraints() -> None:
    bound = check().dearest[1].parameters - 1
    summary = check(constraints={"parameters": bound})
    assert summary.dearest[1].parameters <= bound
    assert summary.cheapest == check().cheapest


def test_sizes_are_at_the_bits_of_the_objective() -> None:
    objectives = [{"name": "size_bytes", "direction": "min", "bits": 8}]
    whole, eighth = check().cheapest[1].size_bytes, check(objectives=objectives).cheapest[1]
    assert eighth.size_bytes * 4 == whole
    constraints = {"size_bytes": eighth.size_bytes}
    assert check(objectives=objectives, constraints=constraints).students == check().students
    line = fault(tree(constraints=constraints))
    assert line.startswith("constraints: ") and "size_bytes" in line


def test_what_is_measured_is_left_to_the_search_and_said() -> None:
    objectives = [{"name": "latency_ms", "direction": "min", "batch_size": 3}]
    impossible = {"latency_ms": 1e-9, "peak_memory_mib": 1e-9}
    config = load_config(tree(objectives=objectives, constraints=impossible))
    lines = summary_lines(config, check_search(config))
    said = [line for line in lines if line.startswith("measured before each trial: ")]
    assert [line.split()[4] for line in said] == ["latency_ms", "peak_memory_mib"]
    assert said[0].endswith("1 thread, batch 3") and said[1].endswith("1 thread, batch 3")


def test_a_bound_alone_says_where_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    line = fault(tree(constraints={"latency_ms": 5}))
    assert (
        line.startswith("constraints.latency_ms: nothing says on which device") and "most" in line
    )
    placed = {"most": 1e-9, "device": "cpu", "batch_size": 8}
    config = load_config(tree(constraints={"latency_ms": placed}))
    lines = summary_lines(config, check_search(config))
    assert any("latency_ms" in x and x.endswith("batch 8") for x in lines)
    assert config.fixed.constraints == {"latency_ms": 1e-9}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    line = fault(tree(constraints={"latency_ms": {**placed, "device": "cuda"}}))
    assert line.startswith("constraints.latency_ms.device: 'cuda' is not there")
    latency = {"name": "latency_ms", "direction": "min", "batch_size": 2}
    for faulty in (
        {"constraints": {"latency_ms": {"most": 5}}},
        {"constraints": {"latency_ms": {"device": "cpu"}}},
        {"constraints": {"latency_ms": {**placed, "device": "gpu"}}},
        {"constraints": {"latency_ms": {**placed, "most": 0}}},
        {"constraints": {"parameters": placed}},
        {"constraints": {"latency_ms": placed}, "objectives": [latency]},
    ):
        assert fault(tree(**faulty)).startswith("constraints")


def test_a_device_that_is_not_there_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy = {"name": "validation_accuracy", "direction": "max"}
    latency = {"name": "latency_ms", "direction": "min", "device": "cuda:2"}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    line = fault(tree(objectives=[accuracy, latency]))
    assert line.startswith("objectives[1].device: 'cuda:2' is not there: ") and "cuda:1" in line
    check(objectives=[accuracy, {**latency, "device": "cuda:1"}])


def test_every_teacher_of_a_choice_is_listed_once() -> None:
    section = {"architecture": {"family": "mlp", "widths": [4]}, "epochs": {"choice": [1, 2]}}
    summary = check(
        teacher={"choice": [section, {**section, "epochs": 2}, {**section, "epochs": 3}]},
        losses=[{"method": "kd", "weight": 1}],
    )
    assert sorted(teacher.epochs for teacher, _, _ in summary.teachers) == [1, 2, 3]


def test_a_number_of_another_section_may_be_followed() -> None:
    student = {"family": "mlp", "widths": {"each": "training.epochs", "int": [2, 3]}}
    training = {"epochs": {"int": [1, 2]}}
    summary = check(student=student, losses=[], training=training)
    assert summary.students == 2 + 4


def test_teacher_weights_are_read(tmp_path: Path) -> None:
    architecture = describe(tree()["teacher"]["architecture"], (1, 8, 8), 10)
    save_weights(build_student(architecture), tmp_path / "teacher.safetensors")
    config = load_config(tree(teacher__weights="teacher.safetensors"), base=tmp_path)
    assert check_search(config).teachers[0][0].weights == "teacher.safetensors"


def test_faults_begin_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text((SPACES / "digits.yaml").read_text() + "\n")
    with pytest.raises(UserError) as caught:
        check_search(load_config(path, ["student.family=resnt"]))
    assert str(caught.value).startswith(f"{path}: student.family: 'resnt' is unknown")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"losses[1].choice[1].p": 0}, "losses[1].choice[1].p"),
        ({"losses[1].choice[2].angel": 1}, "losses[1].choice[2].angel"),
        ({"losses[0].temperature": {"int": [0, 4]}}, "losses[0].temperature"),
        ({"losses[0]": {"choice": [{"method": "x", "weight": 1}]}}, "losses[0].choice[0].method"),
        ({"student": {"choice": [{"family": "mlp", "width": [1]}]}}, "student.choice[0].width"),
        ({"student.blocks": [1, {"choice": [1, 0]}]}, "student.blocks[1].choice[1]"),
        ({"student.blocks": {"each": 6, "int": [1, 2]}}, "student.widths"),
        ({"student.inner": [[1, 0], 1]}, "student.inner[0]"),
        ({"teacher.architecture.family": "resnt"}, "teacher.architecture.family"),
        ({"teacher": "none"}, "teacher"),
        ({"proposer.name": "rnadom"}, "proposer.name"),
    ],
)
def test_a_fault_is_named_as_written(values: dict[str, Any], place: str) -> None:
    assert fault(tree(**values)).startswith(f"{place}: ")


def test_nothing_to_learn_from_is_a_fault() -> None:
    losses = [{"choice": ["none", {"method": "kd", "weight": 1}]}]
    assert fault(tree(losses=losses)).startswith("training.label_weight: 0 where there is no loss")
    check(losses=losses, training__label_weight={"float": [0.1, 1]})


def test_too_many_teachers_are_a_fault() -> None:
    line = fault(tree(teacher__lr={"float": [0.1, 0.2]}))
    assert line.startswith("teacher: the holes make inf teachers")


def test_a_network_that_no_machine_holds_is_a_fault() -> None:
    line = fault(tree(student={"family": "mlp", "widths": {"each": 9, "int": [1, 65_536]}}))
    assert line.startswith("student: ") and "parameters; at most" in line


def test_a_plan_alone_is_checked_too() -> None:
    config = load_config(tree())
    outline = check_search(config).outline
    filled, plan = next(iter(config.plans()))
    check_plan(plan, outline, filled)
    assert architecture_of(plan, outline).classes == 10
    with pytest.raises(UserError) as caught:
        check_plan(plan.model_copy(update={"teacher": None}), outline)
    assert caught.value.place == "teacher"


def test_a_check_is_quick() -> None:
    config = load_config(SPACES / "digits.yaml")
    check_search(config)  # what is imported and cached on the way stays out of the measure
    started = time.process_time()
    check_search(config)
    assert time.process_time() - started < 1.5


def test_the_search_of_methods_has_every_row_of_the_table_and_fits() -> None:
    digits = "data={name: digits, batch_size: 32}"  # the file's own set is not at hand everywhere
    config = load_config(SPACES / "methods.yaml", [digits])
    named = config.space.holes["losses[0]"]
    assert isinstance(named, Choice) and list(named.names) == ["none", *LOSSES]
    check_search(config)


def test_a_search_file_is_read_without_torch() -> None:
    code = (
        "import sys; from kdsearch.search_config import load_config; "
        f"load_config({str(SPACES / 'digits.yaml')!r}); "
        "assert not {'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
