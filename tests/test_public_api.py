"""The public names: those that are documented, each loaded when it is first used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kdsearch

NAMES = [
    "Architecture",
    "UserError",
    "agreement",
    "attained_share",
    "attainment_surface",
    "best_under",
    "build_student",
    "distillation_error",
    "distillation_error_l1",
    "equivalent_smoothing",
    "finish_search",
    "front_ranks",
    "hypervolume",
    "hypervolume_history",
    "kl_divergence",
    "knee_point",
    "left_out",
    "load_config",
    "load_student",
    "mutual_information",
    "pareto_front",
    "read_epochs",
    "read_trials",
    "reference_box",
    "run_search",
    "run_trial",
]
README = Path(__file__).parents[1] / "README.md"
LIGHT = [
    "import kdsearch",
    "from kdsearch import read_trials, pareto_front",
]


def test_the_names_are_those_that_are_documented() -> None:
    assert kdsearch.__all__ == NAMES == sorted(NAMES)
    assert dir(kdsearch) == NAMES
    for name in NAMES:
        assert getattr(kdsearch, name).__doc__


def test_the_readme_uses_public_names_alone() -> None:
    used = re.findall(r"^from kdsearch import (.+)$", README.read_text(), re.MULTILINE)
    assert {name.strip() for line in used for name in line.split(",")} <= set(NAMES)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(kdsearch.__file__).read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == kdsearch._HOMES


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kdsearch.nothing  # noqa: B018


@pytest.mark.parametrize("line", LIGHT, ids=["the package", "reading results"])
def test_results_are_read_without_torch_and_ray(line: str) -> None:
    program = f"{line}\nimport sys\nprint(*sorted({{'torch', 'ray', 'optuna'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
