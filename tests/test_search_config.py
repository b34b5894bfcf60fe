"""A search file: read as it stands, refused by the path that the user wrote."""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kdsearch.errors import UserError
from kdsearch.search_config import SearchConfig, load_config
from tests.searches import tree

# The block that the documentation shows, as it stands there.
SHOWN = """\
search: fashion-resnet
data:    {name: fashion_mnist, root: data, images: 10000, batch_size: 128, augment: crop_flip}   # root: relative to this file
teacher: {architecture: {family: resnet, blocks: [1, 1, 1], widths: [16, 32, 64]}, epochs: 12}  # may be a choice of several
student:
  family: resnet
  blocks: {each: 3, int: [1, 3]}                     # three independent holes; `each: depth` follows another hole
  widths: {each: 3, int: [4, 32], step: 4}
losses:
  - {method: kd, weight: 0.9, temperature: {float: [1, 20], log: true}}
  - choice:                                          # an option may hold holes of its own; columns carry the option's name
      - none                                         # the word none: no term
      - {method: at,  weight: {float: [10, 1e4], log: true}}
      - {method: rkd, weight: {float: [0.1, 10], log: true}}
training:   {epochs: 9, lr: {float: [0.01, 0.5], log: true}, label_weight: {float: [0.0, 1.0]}}
objectives:
  - {name: validation_accuracy, direction: max}
  - {name: parameters, direction: min, scale: log}   # latency_ms adds device and batch_size, size_bytes adds bits
constraints: {parameters: 500_000}                   # upper bounds, checked by the driver before a worker is taken
proposer:   {name: tpe}                              # random | tpe | nsga2 | evolution | n2n | a portfolio of them
scheduler:  {name: asha, grace: 1, reduction: 3}     # none | asha
budget:     {trials: 64}                             # or hours, or epochs: whichever ends first
resources:  {cpu: 1, gpu: auto}                      # per trial; auto: 1 where the cluster has any, else 0; may be a fraction
seed: 0
"""  # noqa: E501


def shown(folder: Path, text: str = SHOWN) -> Path:
    path = folder / "search.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(source: Any, *edits: str) -> UserError:
    with pytest.raises(UserError) as caught:
        load_config(source, edits)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def test_the_block_of_the_documentation_loads(tmp_path: Path) -> None:
    config = load_config(shown(tmp_path))
    assert (config.fixed.search, config.base) == ("fashion-resnet", tmp_path.resolve())
    assert config.fixed.constraints == {"parameters": 500_000}
    assert config.columns() == {
        **{f"student.blocks[{i}]": "int64" for i in range(3)},
        **{f"student.widths[{i}]": "int64" for i in range(3)},
        "losses[0].temperature": "float64",
        "losses[1]": "string",
        "losses[1].at.weight": "float64",
        "losses[1].rkd.weight": "float64",
        "training.lr": "float64",
        "training.label_weight": "float64",
    }
    assert config.space.count("student") == 3**3 * 8**3


def test_every_sample_is_a_valid_plan(tmp_path: Path) -> None:
    config, rng = load_config(shown(tmp_path)), random.Random(0)
    lengths = set()
    for _ in range(50):
        plan = config.plan(config.space.sample(rng).assignment)
        lengths.add(len(plan.terms))
    assert lengths == {1, 2}


def test_a_mapping_means_the_same_as_a_file(tmp_path: Path) -> None:
    written = load_config(shown(tmp_path))
    again = load_config(MappingProxyType(written.tree), base=tmp_path.resolve())
    assert (again.fixed, again.tree, again.base) == (written.fixed, written.tree, written.base)
    assert again.columns() == written.columns()


def test_a_config_keeps_a_copy_of_its_tree() -> None:
    source = tree()
    config = load_config(source)
    source["budget"]["trials"] = 99
    source["losses"].clear()
    assert config.tree["budget"]["trials"] == 4 and len(config.tree["losses"]) == 2


def test_sections_left_out_take_their_defaults() -> None:
    small = {k: v for k, v in tree().items() if k not in ("constraints", "proposer", "teacher")}
    fixed = load_config({**small, "losses": []}).fixed
    assert [o.name for o in fixed.objectives] == ["validation_accuracy", "parameters"]
    assert (fixed.proposer.name, fixed.scheduler.name, fixed.constraints) == ("tpe", "asha", {})


@pytest.mark.parametrize(
    ("edit", "path", "value"),
    [
        ("training.epochs=20", ("training", "epochs"), 20),
        ("training.lr=1e-2", ("training", "lr"), 0.01),
        ("losses[0].weight=2", ("losses", 0, "weight"), 2),
        ("losses[1].choice[2].weight=3", ("losses", 1, "choice", 2, "weight"), 3),
        ("losses[1]=none", ("losses", 1), "none"),
        ("student.widths=[4, 8]", ("student", "widths"), [4, 8]),
        ("student.widths={each: 2, int: [1, 2]}", ("student", "widths", "int"), [1, 2]),
        ("scheduler.name=none", ("scheduler", "name"), "none"),
        ("search=a=b", ("search",), "a=b"),
    ],
)
def test_edits_change_the_tree(edit: str, path: tuple[str | int, ...], value: Any) -> None:
    source = tree()
    try:
        node: Any = load_config(source, [edit]).tree
    except UserError as error:
        assert error.place == "search"  # a name with an equals sign: set, and refused as a name
        return
    for step in path:
        node = node[step]
    assert node == value and source == tree()


def test_later_edits_win() -> None:
    config = load_config(tree(), ["budget.trials=5", "budget.trials=6", "budget={epochs: 3}"])
    assert config.tree["budget"] == {"epochs": 3}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("training.epochs", "write key=value"),
        ("=3", "not a path"),
        ("a..b=3", "not a path"),
        ("losses[x]=3", "not a path"),
        ("losses[2]=none", "nothing at '2'"),
        ("losses.kd=1", "nothing at 'kd'"),
        ("search.x=1", "nothing at 'x'"),
        ("training.epochs=[1", "not YAML"),
        ("training.epochs={a: 1, a: 2}", "stands twice"),
        ("a." * 3000 + "b=1", "not a path"),
        ("training.lr=&a [*a]", "levels"),
        ("trainin.lr=1", "did you mean training"),
    ],
)
def test_edits_that_fit_nowhere(edit: str, words: str) -> None:
    assert words in str(refused(tree(), edit))


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        ({"trianing": {}}, "trianing", "did you mean training"),
        ({"training__epohcs": 3}, "training.epohcs", "did you mean epochs"),
        ({"proposer__nmae": 3}, "proposer.nmae", "did you mean name"),
        ({"training__epochs": "x"}, "training.epochs", "valid integer"),
        ({"training__lr": {"float": [0, 1]}}, "training.lr", "got 0.0"),  # a corner, not a sample
        ({"training__label_weight": {"float": [-1, 1]}}, "training.label_weight", "got -1.0"),
        ({"data__batch_size": {"int": [1, 64]}}, "data.batch_size", "got 1"),
        ({"data__images": {"int": [100, 200]}}, "data.images", "no hole may stand here"),
        ({"data": {"choice": [{"name": "digits"}]}}, "data", "no hole may stand here"),
        ({"losses[1].choice[2].weight": -1}, "losses[1].choice[2].weight", "greater than 0"),
        ({"losses[1].choice[1].weight": {"int": [0, 9]}}, "losses[1].choice[1].weight", "got 0"),
        ({"losses[1].choice[2]": {"method": "rkd"}}, "losses[1].choice[2].weight", "missing"),
        ({"teacher": {"choice": ["none", {"epochs": 1}]}}, "teacher.choice[1].architecture", ""),
        ({"training__lr": {"choice": [0.1, "x"]}}, "training.lr.choice[1]", "got 'x'"),
        ({"budget": {"trials": {"int": [1, 2]}}}, "budget.trials", "no hole may stand here"),
        ({"budget": {}}, "budget", "so that the search ends"),
        ({"budget": {"trials": 0}}, "budget.trials", "greater than or equal to 1"),
        ({"constraints": {"flops": 1}}, "constraints.flops", "'parameters'"),
        ({"constraints": {"macs": -1}}, "constraints.macs", "greater than 0"),
        ({"objectives": []}, "objectives", "at least 1"),
        ({"search": "../x"}, "search", "pattern"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"resources": {"gpu": "all"}}, "resources.gpu", "from 0, or 'auto'"),
        ({"resources": {"cpu": 0}}, "resources.cpu", "above 0, or 'auto'"),
        ({"resources": "all"}, "resources", "must be 'auto', or a mapping"),
    ],
)
def test_a_fault_is_named_as_written(values: dict[str, Any], place: str, words: str) -> None:
    found = refused(tree(**values))
    assert found.place == place and words in found.fault


def test_resources_may_be_one_word() -> None:
    found = load_config(tree(resources="auto")).fixed.resources
    assert (found.cpu, found.gpu) == ("auto", "auto")
    assert load_config(tree(resources={"cpu": 2})).fixed.resources.gpu == "auto"


def test_objectives_go_one_way() -> None:
    objective = {"name": "validation_accuracy", "direction": "min"}
    found = refused(tree(objectives=[objective]))
    assert found.place == "objectives[0].direction" and "max" in found.fault


def test_faults_begin_with_the_file(tmp_path: Path) -> None:
    path = shown(tmp_path, SHOWN.replace("weight: 0.9", "wieght: 0.9"))
    assert str(refused(path)).startswith(f"{path}: losses[0].weight: this key is missing")
    assert "rename 'wieght'" in str(refused(path))
    path = shown(tmp_path, SHOWN + "seed: 1\n")
    assert f"{path}:24: not YAML: the key 'seed' stands twice" in str(refused(path))
    assert str(refused(tmp_path / "none.yaml")).startswith(f"{tmp_path / 'none.yaml'}: cannot")
    assert "mapping of sections" in str(refused(shown(tmp_path, "[1, 2]")))
    assert "mapping of sections" in str(refused(shown(tmp_path, "")))


NINES = ", ".join(["*a{0}"] * 9)
BOMB = "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{NINES.format(i)}]\n" for i in range(12))


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        BOMB.replace("[x]", "{k: x}").replace("[*", "{<<: [*").replace("]\n", "]}\n"),
        "a: &a [*a, *a, *a]",
        "a: &a {b: *a, c: [*a]}",
        "a: " + "[" * 60 + "]" * 60,
        "a: [" + "1, " * 20_000 + "1]",
    ],
    ids=["aliases", "merges", "itself", "itself in a mapping", "deep", "long"],
)
def test_what_a_few_lines_can_blow_up_is_refused_quickly(tmp_path: Path, text: str) -> None:
    started = time.process_time()
    refused(shown(tmp_path, text))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: 2}, "keys are words"),
        ({"a.b": 1}, "none of .[]"),
        ({"a\nb": 1}, "printable"),
        (2**64, "64 bits"),
        pytest.param(-(10**5000), "64 bits", id="thousands of digits"),
        (b"x", "got bytes"),
        ({1, 2}, "got set"),
        (Path("x"), "got"),
        ("x\0", "NUL"),
    ],
)
def test_what_is_no_plain_value_is_refused(value: Any, words: str) -> None:
    found = refused({**tree(), "training": {"epochs": value}})
    assert found.place.startswith("training.epochs") and words in found.fault


def test_every_file_in_search_spaces_loads() -> None:
    files = sorted((Path(__file__).parents[1] / "search_spaces").glob("*.yaml"))
    assert files
    for file in files:
        assert isinstance(load_config(file), SearchConfig)


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_a_number_that_json_cannot_hold_is_refused_wherever_it_stands(
    tmp_path: Path, number: str
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SHOWN.replace("family: resnet\n", f"family: nets:tiny\n  scale: {number}\n"))
    with pytest.raises(UserError, match=r"student\.scale: is \S+; a number is finite"):
        load_config(file)


def test_a_budget_may_be_so_large_that_it_means_none() -> None:
    config = load_config(tree(budget={"epochs": 10**10}))
    assert config.fixed.budget.epochs == 10**10
