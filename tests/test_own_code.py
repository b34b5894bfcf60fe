"""Code that results name runs only from a folder that the user gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import UserError
from kdsearch.export import build_from_config, export_student
from kdsearch.own_code import named_code, permit_code
from kdsearch.student_folder import StudentCard, load_student, write_student
from kdsearch.students import build_student, describe
from kdsearch.teachers import weights_to_bytes

FACTORY = """
from torch import nn

def plain(input, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input[0] * input[1] * input[2], classes))
"""


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"data": {"name": "mine:load"}}, {"mine:load"}),
        ({"data": {"name": "digits"}, "losses": [None, {"method": "kd"}]}, set()),
        ({"losses": [{"choice": ["none", {"method": "a.b:C"}]}]}, {"a.b:C"}),
        ({"student": {"family": {"choice": ["mlp", "a:b", {"x": "c:d"}]}}}, {"a:b", "c:d"}),
        ({"architecture": '{"family": "a\\u003ab"}'}, {"a:b"}),
        ({"plan": {"student": {"architecture": '{"family":"a:b"}'}}}, {"a:b"}),
        ({"architecture": '{"architecture": "{\\"family\\": \\"a:b\\"}"}'}, {"a:b"}),
        ({"objectives": [{"name": "latency_ms", "device": "cuda:0"}]}, set()),
        ("a:b", set()),
        (None, set()),
    ],
)
def test_names_are_found_wherever_they_stand(content: Any, names: set[str]) -> None:
    assert named_code(content) == names
    deep: Any = content
    for _ in range(50_000):  # whoever writes a file chooses its depth
        deep = [deep]
    assert named_code(deep) == names


def test_code_stands_in_the_folder_that_was_given_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = [*sys.path]
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine.py").write_text("")
    permit_code({"family": "mlp"}, "log", None)
    for content, code, place in [
        ({"family": "mine:net"}, None, "log"),
        ({"family": "mine:net"}, tmp_path, "--code"),
        ({"family": "json:loads"}, tmp_path / "one", "--code"),
        ({"family": "mine:net", "method": "os:system"}, tmp_path / "one", "--code"),
        ({"family": "one/mine:net"}, tmp_path, "--code"),
        ({"family": "..:net"}, tmp_path / "one", "--code"),
        ({"family": ":net"}, tmp_path / "one", "--code"),
    ]:
        with pytest.raises(UserError) as caught:
            permit_code(content, "log", code)
        assert caught.value.place == place and "\n" not in str(caught.value)
        assert sys.path == before
    permit_code({"family": "mine:net"}, "log", tmp_path / "one")
    assert sys.path == [str(tmp_path / "one"), *before]


def test_a_strangers_student_brings_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine, theirs):
        folder.mkdir()
    (mine / "factory_of_mine.py").write_text(FACTORY)
    (theirs / "factory_of_theirs.py").write_text("raise SystemExit('it ran')")
    monkeypatch.setattr(sys, "path", [str(theirs), str(mine), *sys.path])
    monkeypatch.chdir(theirs)
    made = describe({"family": "factory_of_mine:plain"}, (1, 2, 2), 2)
    card = StudentCard("s", "00001", made.to_json(), ("a", "b"), (0.5,), (0.5,), "digits")
    weights = weights_to_bytes(build_student(made))
    write_student(tmp_path / "good", weights, card)
    text = made.to_json().replace("factory_of_mine", "factory_of_theirs")
    bad = StudentCard("s", "00001", text, ("a", "b"), (0.5,), (0.5,), "digits")
    write_student(tmp_path / "bad", weights, bad)
    for read in (load_student, build_from_config, lambda f: export_student(f, tmp_path / "out")):
        for name in ("good", "bad"):
            with pytest.raises(UserError, match="--code DIR"):
                read(tmp_path / name)
    assert "factory_of_theirs" not in sys.modules and not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="has no module 'factory_of_theirs'"):
        load_student(tmp_path / "bad", code=mine)
    assert load_student(tmp_path / "good", code=mine) is not None
    export_student(tmp_path / "good", tmp_path / "out", onnx=False, code=mine)
    assert build_from_config(tmp_path / "out", code=mine) is not None


def test_a_card_asks_for_no_weights_from_afar(tmp_path: Path) -> None:
    options = '"options":[["model","fasterrcnn_resnet50_fpn"]]'
    text = f'{{"classes":2,"family":"torchvision","input":[3,32,32],{options}}}'
    stats = (0.5, 0.5, 0.5)
    write_student(
        tmp_path / "s", b"\0" * 64, StudentCard("s", "0", text, ("a", "b"), stats, stats, "x")
    )
    with pytest.raises(UserError, match="no classifier"):
        load_student(tmp_path / "s")
