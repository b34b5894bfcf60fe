"""Bad input ends before any training, in one line that names the place."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from kdsearch.check import check_search
from kdsearch.errors import UserError
from kdsearch.losses import LossContext
from kdsearch.losses.kd import KD
from kdsearch.search_config import load_config
from kdsearch.students import build_student, describe
from kdsearch.teachers import save_weights
from tests.searches import TREE, fault, tree


class Greedy(KD):
    """Looks at numbers before there are any."""

    def prepare(self, context: LossContext) -> None:
        """Draw a number."""
        self.temperature = torch.rand(()).item()


class Scaled(KD):
    """Wants a parameter that every term has."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale)


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown section": ({"studnet": {}}, "studnet", "did you mean student"),
    "unknown key": ({"training.lrs": 1}, "training.lrs", "lr_schedule"),
    "unknown key of a family": ({"student.depth": 1}, "student.depth", "it takes"),
    "unknown key of a loss": ({"losses[0].temprature": 1}, "losses[0].temprature", "temperature"),
    "unknown modifier": ({"training.lr": {"float": [1, 2], "lg": True}}, "training.lr", "'lg'"),
    "wrong type": ({"training.epochs": "9"}, "training.epochs", "got '9'"),
    "wrong type in a list": ({"student.widths": [4, "8"]}, "student.widths[1]", "'8'"),
    "wrong type of a loss": ({"losses[0].temperature": "hot"}, "losses[0].temperature", "'hot'"),
    "low above high": ({"student.widths.int": [8, 4]}, "student.widths", "low 8 is above high 4"),
    "log of 0": ({"training.lr.float": [0, 1]}, "training.lr", "log needs low > 0, got 0"),
    "empty choice": ({"losses[1].choice": []}, "losses[1]", "at least one option"),
    "option twice": ({"losses[1].choice": ["none", "none"]}, "losses[1]", "stands twice"),
    "a low end out of bounds": ({"losses[0].weight": {"int": [0, 2]}}, "losses[0].weight", "got 0"),
    "no student under a bound": (
        {"constraints.parameters": 10},
        "constraints",
        "the closest one's parameters",
    ),
    "no data root": ({"data.name": "mnist"}, "data.root", "name it here"),
    "missing data root": (
        {"data": {"name": "mnist", "root": "nowhere"}},
        "data.root",
        "there is no folder",
    ),
    "a root that no home has": (
        {"data": {"name": "mnist", "root": "~nobody-of-this-name/x"}},
        "data.root",
        "cannot be read",
    ),
    "too many images": ({"data.images": 9999}, "data.images", "9999 asked for"),
    "a weight that is no number": ({"losses[0].weight": "aut"}, "losses[0].weight", "or auto"),
    "a misspelt key of a term": ({"losses[0].stopepoch": 2}, "losses[0].stopepoch", "stop_epoch"),
    "a schedule of a pre-training": (
        {"losses[0]": {"method": "ab", "weight": 1.0, "warmup": 1}},
        "losses[0].warmup",
        "only pre-trains",
    ),
    "pre-training to the end": (
        {"losses[0]": {"method": "ab", "weight": 1.0, "pretrain_epochs": 9}},
        "losses[0].pretrain_epochs",
        "leave none for the student",
    ),
    "nothing to learn after a pre-training": (
        {"losses": [{"method": "ab", "weight": 1.0}], "training.label_weight": 0},
        "training.label_weight",
        "nothing to learn then",
    ),
    "nothing to learn after a stop": (
        {
            "losses": [{"method": "kd", "weight": 1.0, "stop_epoch": 1}],
            "training.label_weight": 0,
        },
        "training.label_weight",
        "nothing to learn then",
    ),
    "a loss that reads values": (
        {"losses[0]": {"method": "tests.test_bad_input:Greedy", "weight": 1.0}},
        "losses[0].method",
        "fails in prepare, which has shapes but may have no values",
    ),
    "a loss that takes the term's word": (
        {"losses[0]": {"method": "tests.test_bad_input:Scaled", "weight": 1.0}},
        "losses[0].method",
        "a parameter called scale",
    ),
    "no weights": ({"teacher.weights": "nothing.pt"}, "teacher.weights: ", "no such file"),
    "features of an mlp": (
        {"student": {"family": "mlp", "widths": [4]}},
        "losses[1].choice[1].method",
        "AT needs maps",
    ),
    "a module that is not there": (
        {"student": {"family": "no_such_module:make"}},
        "student.family",
        "cannot import 'no_such_module'",
    ),
    "a callable that is not there": (
        {"student": {"family": "tests.searches:make"}},
        "student.family",
        "no callable 'make'",
    ),
    "a loss that is not there": (
        {"losses[0].method": "no_such_module:Loss"},
        "losses[0].method",
        "cannot load",
    ),
    "a data function that is not there": (
        {"data.name": "no_such_module:read"},
        "data.name 'no_such_module:read'",
        "cannot be imported",
    ),
    "unknown family": ({"student.family": "resent"}, "student.family", "take one of resnet"),
    "unknown method": ({"losses[0].method": "rkdd"}, "losses[0].method", "did you mean rkd"),
    "unknown proposer": ({"proposer.name": "tep"}, "proposer.name", "did you mean tpe"),
    "unknown member": (
        {"proposer": {"name": "portfolio", "members": ["random", "tep"]}},
        "proposer.members[1]",
        "did you mean tpe",
    ),
    "a portfolio of itself": (
        {"proposer": {"name": "portfolio", "members": ["portfolio"]}},
        "proposer.members[0]",
        "no member of a portfolio",
    ),
    "no members": ({"proposer.name": "portfolio"}, "proposer.members", "such as [tpe, evolution]"),
    "unknown data": ({"data.name": "digit"}, "data.name", "did you mean 'digits'"),
    "an objective nobody reports": (
        {"objectives": [{"name": "latency", "direction": "min"}]},
        "objectives[0].name",
        "did you mean latency_ms? known: latency_ms, macs,",
    ),
    "a loss to be raised": (
        {"objectives": [{"name": "validation_loss", "direction": "max"}]},
        "objectives[0].direction",
        "validation_loss is an objective to min",
    ),
    "a key of another objective": (
        {"objectives": [{"name": "macs", "direction": "min", "bits": 8}]},
        "objectives[0].bits",
        "a key of size_bytes, which macs does not take",
    ),
    "too many bits": (
        {"objectives": [{"name": "size_bytes", "direction": "min", "bits": 65}]},
        "objectives[0].bits",
        "less than or equal to 64",
    ),
    "no device": (
        {"objectives": [{"name": "latency_ms", "direction": "min", "device": "gpu"}]},
        "objectives[0].device",
        "write cpu, cuda or cuda:0",
    ),
    "an objective twice": (
        {"objectives": [{"name": "macs", "direction": "min"}] * 2},
        "objectives",
        "macs stands twice",
    ),
    "a bound on what a training reports": (
        {"constraints.validation_loss": 1.0},
        "constraints.validation_loss",
        "'latency_ms'",
    ),
    "unknown constraint": ({"constraints.size": 3}, "constraints.size", "'size_bytes'"),
    "too deep for the images": (
        {"student.blocks.each": 5, "student.widths.each": 5},
        "student",
        "8x8 carry at most",
    ),
}


@pytest.mark.parametrize(("values", "place", "words"), CASES.values(), ids=CASES)
def test_bad_input_ends_in_one_line(values: dict[str, Any], place: str, words: str) -> None:
    line = fault(tree(**values))
    assert line.startswith(f"{place}: " if place[-1] != " " else place) and words in line


def rubbish(path: Path) -> None:
    path.write_bytes(b"no weights at all")


def cut_short(path: Path) -> None:
    made(path, [4, 8])
    path.write_bytes(path.read_bytes()[:200])


def wider(path: Path) -> None:
    made(path, [4, 9])


def shallower(path: Path) -> None:
    made(path, [4])


def made(path: Path, widths: list[int]) -> None:
    architecture = describe({"family": "convnet", "widths": widths}, (1, 8, 8), 10)
    save_weights(build_student(architecture), path)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (rubbish, "neither safetensors nor"),
        (cut_short, "damaged"),
        (wider, "must have the shape"),
        (shallower, "is missing"),
    ],
)
def test_weights_that_are_not_the_teacher_s(
    tmp_path: Path, write: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "teacher.bin"
    write(path)
    line = fault(tree(teacher__weights=str(path)))
    assert line.startswith(f"teacher.weights: {path}: ") and words in line


# Any search, mutated in any way, is checked or refused in one line.

DOMAINS = st.sampled_from(
    [
        {"int": [1, 2]},
        {"int": [2, 1]},
        {"int": [0, 2**60]},
        {"int": [1, 64], "log": True},
        {"float": [0, 1]},
        {"float": [0, 1], "log": True},
        {"float": [-1e308, 1e308]},
        {"float": [0.1, 0.3], "step": 0.1},
        {"float": [0, 1], "step": 1e-12},
        {"choice": []},
        {"choice": [1, 2.5]},
        {"choice": ["none", {"method": "kd", "weight": {"int": [0, 1]}}]},
        {"each": 2, "int": [1, 2]},
        {"each": 1000, "choice": [1, {"a": {"int": [1, 2]}}]},
        {"each": "depth", "int": [1, 2]},
        {"each": "epochs", "float": [0, 1]},
    ]
)
WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "none", "a\nb", "kd", "mlp", "digits", "~nobody/x", "x" * 300, "a.b"]),
)
NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([2**16, 2**53, 2**63, 10**30, -(10**18), 10**400]),
    st.floats(),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS)
ODD = st.sampled_from([b"bytes", {1, 2}, object(), {3: 4}, (1, 2), 10**5000])
JUNK: SearchStrategy[Any] = st.one_of(
    SCALARS,
    DOMAINS,
    ODD,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)
        ),
        max_leaves=6,
    ),
)
KEYS = st.one_of(
    WORDS,
    st.sampled_from(["weight", "method", "family", "architecture", "widths", "int", "each", "log"]),
)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a tree with every key or index of it."""
    if isinstance(node, (dict, list)):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


@st.composite
def mutated(draw: DrawFn) -> Any:
    search = tree()
    for _ in range(draw(st.integers(1, 3))):
        around = list(places(search))
        if not around:
            break
        node, key = around[draw(st.integers(0, len(around) - 1))]
        mutate(draw, node, key)
    return search


def mutate(draw: DrawFn, node: Any, key: Any) -> None:
    value = node[key]
    kind = draw(st.sampled_from(["delete", "rename", "replace", "number", "wrap", "swap", "nest"]))
    if kind == "delete":
        del node[key]
    elif kind == "rename" and isinstance(node, dict):
        node[draw(KEYS)] = node.pop(key)
    elif kind == "number":
        node[key] = draw(NUMBERS)
    elif kind == "wrap":
        node[key] = {"choice": [value, copy.deepcopy(draw(JUNK))]}
    elif kind == "swap" and isinstance(value, list):
        node[key] = value[::-1]
    elif kind == "nest":
        node[key] = draw(st.sampled_from([[value], {"x": value}, [value] * 3]))
    else:
        node[key] = copy.deepcopy(draw(JUNK))  # later mutations change it


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(mutated())
def test_any_search_is_checked_or_refused_in_one_line(search: Any) -> None:
    try:
        summary = check_search(load_config(search))
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert summary.students >= 1 and not math.isnan(summary.assignments)


def test_the_search_that_is_mutated_is_valid() -> None:
    assert check_search(load_config(TREE)).students > 1
