"""A teacher is what decided it; it is trained once, and found by every search after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdsearch.config import DataConfig, TeacherConfig, TrialSpec
from kdsearch.errors import UserError
from kdsearch.results.records import EpochReport
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, save_weights, weights_from_bytes
from kdsearch.tune import teachers
from kdsearch.tune.teachers import prepare_teacher, teacher_identity
from tests.tune.made import DATA, NAN, made_report

SECTION = {"family": "mlp", "widths": [6]}
TEACHER = TeacherConfig(architecture=SECTION, epochs=2)
ARCHITECTURE = describe(SECTION, DATA.shape, 10)
MADE = DataConfig(name="made", batch_size=16)


def identity(teacher: dict[str, Any] | None = None, **others: Any) -> str:
    given = {
        "config": TEACHER.model_copy(update=teacher or {}),
        "architecture": ARCHITECTURE,
        "data": MADE,
        "data_id": "d0",
        "base": Path("."),
        **others,
    }
    return teacher_identity(**given)


def prepared(folder: Path, config: TeacherConfig = TEACHER, **more: Any) -> TeacherRecord:
    given = {"watch": lambda *_: None, "base": folder, **more}
    return prepare_teacher(config, ARCHITECTURE, MADE, DATA, folder / "teachers", **given)


def never(*_: Any) -> Iterator[Any]:
    raise AssertionError("trained although it was there")


def test_whatever_decides_a_teacher_decides_its_identity() -> None:
    other = describe({"family": "mlp", "widths": [7]}, DATA.shape, 10)
    found = [
        identity(),
        identity({"epochs": 3}),
        identity({"stop_epoch": 1}),
        identity({"seed": 1}),
        identity({"lr": 0.2}),
        identity({"label_smoothing": 0.1}),
        identity({"augment": "crop"}),
        identity({"batch_size": 8}),
        identity(architecture=other),
        identity(data_id="d1"),
    ]
    assert len(set(found)) == len(found)


def test_what_it_takes_from_the_data_section_counts_and_the_rest_does_not() -> None:
    same = MADE.model_copy(update={"root": "elsewhere", "download": True, "verify": False})
    assert identity(data=same) == identity()
    cropped = MADE.model_copy(update={"augment": "crop"})
    assert identity(data=cropped) == identity({"augment": "crop"}) != identity()
    assert identity({"augment": "none"}, data=cropped) == identity()


def test_given_weights_count_by_their_content(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (identity({"weights": name, "epochs": 9}, base=tmp_path) for name in "abc")
    assert a == b != c
    assert identity({"weights": "a"}, base=tmp_path) == a  # nothing is trained


def test_a_teacher_is_trained_once_and_then_found(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    record = prepared(tmp_path, watch=lambda name, r, n: seen.append((name, r.epoch, n)))
    assert seen == [(record.identity, 1, 2), (record.identity, 2, 2)]
    again = prepared(tmp_path, teach=never)
    assert again.identity == record.identity and again.weights == record.weights
    assert again.validation_accuracy == record.validation_accuracy


def test_its_logits_are_those_of_its_weights_by_training_row(tmp_path: Path) -> None:
    record = prepared(tmp_path)
    network = build_student(ARCHITECTURE)
    weights_from_bytes(network, record.weights)
    mean, std = DATA.mean[0], DATA.std[0]
    with torch.no_grad():
        wanted = network.eval()((DATA.train.images / 255 - mean) / std).logits
    assert record.logits is not None
    np.testing.assert_allclose(record.logits, wanted.numpy(), atol=1e-4)


def test_a_damaged_teacher_is_trained_again(tmp_path: Path) -> None:
    record = prepared(tmp_path)
    (tmp_path / "teachers" / record.identity / "model.safetensors").write_bytes(b"half")
    assert prepared(tmp_path).weights == record.weights


def test_given_weights_are_read_and_not_trained(tmp_path: Path) -> None:
    network = build_student(ARCHITECTURE, seed=7)
    save_weights(network, tmp_path / "own.safetensors")
    config = TeacherConfig(architecture=SECTION, weights="own.safetensors")
    seen: list[Any] = []
    record = prepared(tmp_path, config, watch=lambda *all: seen.append(all))
    kept = build_student(ARCHITECTURE)
    weights_from_bytes(kept, record.weights)
    assert not seen
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), kept.parameters(), strict=True)
    )


def test_a_training_that_diverges_is_one_line_and_leaves_no_teacher(tmp_path: Path) -> None:
    def teach(spec: TrialSpec, weights: bytes | None, name: str) -> Iterator[EpochReport]:
        yield made_report(1, 0.1, loss=NAN)

    with pytest.raises(UserError, match="diverged"):
        prepared(tmp_path, teach=teach)
    with pytest.raises(UserError, match="diverged"):
        prepared(tmp_path, TEACHER.model_copy(update={"lr": 1e30, "epochs": 3}))
    assert not list(tmp_path.glob("teachers/*"))


@pytest.mark.ray
def test_a_fault_on_the_cluster_is_one_line(ray_cluster: None, tmp_path: Path) -> None:
    import ray

    teach = teachers.on_cluster(ray.put("no data at all"), {"cpu": 1, "gpu": 0})
    with pytest.raises(UserError, match="its training failed") as error:
        prepared(tmp_path, teach=teach)
    assert "\n" not in str(error.value) and error.value.place == "teacher"


OWN = """
from torch import nn
power, flipped = 1.0, 0

class Net(nn.Module):
    def __init__(self, input, classes):
        super().__init__()
        self.last = nn.Linear(input[0] * input[1] * input[2], classes)
    def forward(self, x):
        said = self.last(x.flatten(1)) ** power
        said[:flipped] *= -1
        return said
"""


def test_a_kept_teacher_whose_code_says_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_teacher.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    section = {"family": "own_teacher:Net"}
    own = TeacherConfig(architecture=section, epochs=1)
    architecture = describe(section, DATA.shape, 10)
    given = MADE, DATA, tmp_path / "teachers", tmp_path, lambda *_: None
    first = prepare_teacher(own, architecture, *given)
    assert prepare_teacher(own, architecture, *given, teach=never).weights == first.weights
    monkeypatch.setattr("own_teacher.flipped", 3)  # as on a GPU that rounds otherwise
    assert prepare_teacher(own, architecture, *given, teach=never).weights == first.weights
    monkeypatch.setattr("own_teacher.power", 3.0)
    with pytest.raises(UserError, match=r"own_teacher:Net computes something else .*remove") as e:
        prepare_teacher(own, architecture, *given)
    assert "\n" not in str(e.value) and first.identity in str(e.value)
