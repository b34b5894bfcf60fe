"""An exported student stands alone and gives the logits of the one that was searched."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.export import ExportReport, Parity, build_from_config, export_student
from kdsearch.export.onnx_model import sample
from kdsearch.student_folder import StudentCard, load_student, read_student, write_student
from kdsearch.students import build_student, describe
from kdsearch.teachers import weights_to_bytes
from tests.students.cases import tiny

ALL = ("README.md", "config.json", "student.onnx", "student.safetensors")
SECRET = "/home/maker/data"
FACTORY = """
from torch import nn

def plain(input, classes):
    return nn.Sequential(
        nn.Conv2d(input[0], 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(16, classes))

class Branch(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.head = nn.Linear(inputs, classes)
    def forward(self, x):
        return self.head(x.flatten(1) * 2 if x.sum().item() > 0 else x.flatten(1))

def branching(input, classes):
    return Branch(input[0] * input[1] * input[2], classes)
"""


def write(folder: Path, architecture: Architecture) -> Path:
    """A student whose running statistics are not the fresh ones."""
    student, channels = build_student(architecture, seed=1), architecture.input[0]
    with torch.no_grad():
        student(torch.randn(16, *architecture.input, generator=torch.Generator().manual_seed(0)))
    card = StudentCard(
        search="tiny",
        trial_id="00003",
        architecture=architecture.to_json(),
        classes=tuple(f"class {i}" for i in range(architecture.classes)),
        mean=(0.45,) * channels,
        std=(0.25,) * channels,
        data="noise",
        validation_accuracy=0.5,
        spec={"plan": {"data": {"root": SECRET}}},
    )
    write_student(folder, weights_to_bytes(student), card)
    return folder


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, in which a user's factories are found."""
    room, before = tmp_path_factory.mktemp("export"), Path.cwd()
    (room / "factories_of_a_test.py").write_text(FACTORY)
    os.chdir(room)
    yield room
    os.chdir(before)


@pytest.fixture(scope="module")
def exports(room: Path) -> dict[str, tuple[Path, ExportReport]]:
    """Every kind of student, exported once: ONNX takes its seconds."""
    images = torch.full((2, 1, 9, 7), 255, dtype=torch.uint8)
    students = {
        "resnet": tiny("resnet", (1, 9, 7)),
        "user": describe({"family": "factories_of_a_test:plain"}, (3, 8, 8), 4),
    }
    made: dict[str, tuple[Path, ExportReport]] = {}
    for name, architecture in students.items():
        source = write(room / "students" / name, architecture)
        real = images if name == "resnet" else None
        made[name] = (
            source,
            export_student(source, room / "out" / name, onnx=True, images=real, code=room),
        )
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", tiny("mlp"))


def onnx_logits(folder: Path, images: torch.Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "student.onnx")
    found: Any = session.run(["logits"], {"images": images.numpy()})[0]
    return found


@pytest.mark.parametrize("name", ["resnet", "user"])
def test_onnx_and_pytorch_agree_on_raw_images_of_any_batch(
    room: Path, exports: dict[str, tuple[Path, ExportReport]], name: str
) -> None:
    source, report = exports[name]
    assert report.files == ALL and report.note is None
    assert report.parity is not None and report.parity.holds and report.parity.agreement == 1
    assert report.parity.images == 64 + 2 * (name == "resnet")
    assert 0 < report.parity.max_difference < 1e-5 * max(1, report.parity.largest_logit)
    shape = Architecture.from_json(read_student(source)[0].architecture).input
    for batch in (1, 5):
        images = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)
        with torch.no_grad():
            wanted = load_student(source, raw=True, code=room)(images).logits.numpy()
        np.testing.assert_allclose(onnx_logits(report.folder, images), wanted, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet", "user"])
def test_an_export_is_the_student_itself(
    exports: dict[str, tuple[Path, ExportReport]], name: str
) -> None:
    source, report = exports[name]
    card, weights = read_student(source)
    exported, same = read_student(report.folder)
    assert same == weights and exported.classes == card.classes
    assert Architecture.from_json(exported.architecture) == Architecture.from_json(
        card.architecture
    )


def test_an_export_knows_nothing_of_its_maker(
    exports: dict[str, tuple[Path, ExportReport]], room: Path
) -> None:
    for _, report in exports.values():
        for name in report.files:
            content = (report.folder / name).read_bytes()
            for word in (SECRET, str(room), ".py", str(Path(__file__).parents[1])):
                assert word.encode() not in content, (name, word)


def test_the_code_of_the_model_card_runs(
    exports: dict[str, tuple[Path, ExportReport]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, report = exports["resnet"]
    monkeypatch.chdir(report.folder)
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), flags=re.DOTALL)
    logits = []
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        logits.append(np.asarray(names["logits"]))
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)


def test_config_builds_the_network_again(
    exports: dict[str, tuple[Path, ExportReport]],
) -> None:
    folder = exports["resnet"][1].folder
    first, second = build_from_config(folder), build_from_config(folder / "config.json")
    trained = load_student(folder).state_dict()
    assert {k: v.shape for k, v in first.state_dict().items()} == {
        k: v.shape for k, v in trained.items()
    }
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in pairs)
    with pytest.raises(UserError, match="no student here"):
        build_from_config(folder / "absent.json")


def test_a_former_export_is_replaced_and_nothing_else(source: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    to.mkdir()  # an empty folder is as good as none
    assert export_student(source, to, onnx=False).parity is None
    assert export_student(to, to, onnx=False).files == (
        "README.md",
        "config.json",
        "student.safetensors",
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "source"]
    (to / "notes.txt").write_text("mine")
    for kept, words in ((to, r"holds notes\.txt"), (source, r"holds student\.json")):
        before = sorted(p.name for p in kept.iterdir())
        with pytest.raises(UserError, match=words):
            export_student(source, kept, onnx=False)
        assert sorted(p.name for p in kept.iterdir()) == before
    with pytest.raises(UserError, match="is a file"):
        export_student(source, to / "notes.txt", onnx=False)


@pytest.mark.parametrize("config", [None, '{"model_type": "bert"}'])
def test_anothers_model_is_not_replaced(source: Path, tmp_path: Path, config: str | None) -> None:
    to = tmp_path / "model"
    to.mkdir()
    (to / "README.md").write_text("mine")
    if config is not None:
        (to / "config.json").write_text(config)
    with pytest.raises(UserError, match="is no former export"):
        export_student(source, to, onnx=False)
    assert (to / "README.md").read_text() == "mine"


def test_without_the_onnx_extra_all_else_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = export_student(source, tmp_path / "out")
    assert report.note is not None and 'pip install "kdsearch[onnx]"' in report.note
    assert "student.onnx" not in report.files
    assert "onnx" not in (report.folder / "README.md").read_text().lower()
    load_student(report.folder)
    with pytest.raises(UserError, match="onnxruntime not installed"):
        export_student(source, tmp_path / "other", onnx=True)
    assert not (tmp_path / "other").exists()


def test_a_network_that_onnx_cannot_hold_is_said_so(
    room: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    architecture = describe({"family": "factories_of_a_test:branching"}, (1, 4, 4), 3)
    source = write(tmp_path / "source", architecture)
    report = export_student(source, tmp_path / "out", code=room)
    assert report.note is not None and report.note.startswith("no student.onnx: ")
    assert "\n" not in report.note and report.parity is None
    assert capfd.readouterr() == ("", "")


def test_parity_holds_within_rounding_alone() -> None:
    assert Parity(1, 1e-3, 0.1, 1).holds and Parity(1, 5e-3, 1e3, 1).holds
    assert not Parity(1, 2e-3, 0.1, 1).holds and not Parity(1, float("nan"), 1, 1).holds


def test_images_to_compare_on_are_raw_ones_of_the_students_shape() -> None:
    shape = (1, 4, 4)
    assert torch.equal(sample(shape), sample(shape))
    for wrong in (torch.zeros(2, *shape), torch.zeros(2, 1, 4, 5, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            sample(shape, wrong)
