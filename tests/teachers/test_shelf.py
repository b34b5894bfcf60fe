"""What is kept is read bit for bit; what is torn or of another origin is not read at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdsearch.config import StoreConfig
from kdsearch.data import ImageData
from kdsearch.errors import UserError
from kdsearch.teachers import Origin, TeacherRecord, origin_of, read_part, write_parts
from tests.data.made import made_data

DATA = made_data(per_class=8, classes=5)
RECORD = TeacherRecord("t", "{}", b"weights", None, 0.5, 1.0)
ORIGIN = Origin("features", "t0", "d0", "crop 12", "float16")
GENERATOR = np.random.default_rng(0)
VIEWS = [
    {
        "features": (
            GENERATOR.normal(size=(6, 2, 4, 4)).astype(np.float16),
            GENERATOR.normal(size=(6, 3)).astype(np.float16),
        ),
        "logits": (GENERATOR.normal(size=(6, 5)).astype(np.float16),),
    }
    for _ in range(3)
]
BOTH = {"features": ORIGIN, "logits": replace(ORIGIN, part="logits")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parts(tmp_path / "outputs", BOTH, iter(VIEWS), 3)
    return tmp_path / "outputs"


def never(line: str) -> None:
    raise AssertionError(line)


def test_there_and_back_bit_for_bit(folder: Path) -> None:
    for part, origin in BOTH.items():
        found = read_part(folder, origin, 3, never)
        assert found is not None
        wanted = [np.stack(each) for each in zip(*(view[part] for view in VIEWS), strict=True)]
        for (path, array), want in zip(found.items(), wanted, strict=True):
            assert isinstance(array, np.memmap) and array.dtype == np.float16
            assert np.array_equal(array, want) and np.array_equal(np.load(path), want)
    assert {p.name for p in folder.iterdir()} == {"features-crop-float16", "logits-crop-float16"}


def test_fewer_views_are_the_first_of_more(folder: Path) -> None:
    assert read_part(folder, ORIGIN, 2, never) is not None
    said: list[str] = []
    assert read_part(folder, ORIGIN, 4, said.append) is None
    assert "holds 3 views of 4" in said[0]


def test_what_is_not_there_is_no_fault(folder: Path, tmp_path: Path) -> None:
    assert read_part(tmp_path, ORIGIN, 1, never) is None
    assert read_part(folder, replace(ORIGIN, numbers="float32"), 1, never) is None


@pytest.mark.parametrize(
    ("word", "value"), [("teacher", "t1"), ("data", "d1"), ("augmentation", "crop 13")]
)
def test_another_origin_is_refused_in_one_line(folder: Path, word: str, value: str) -> None:
    said: list[str] = []
    other = replace(ORIGIN, **{word: value})
    assert read_part(folder, other, 3, said.append) is None
    (line,) = said
    assert f"is of another {word}" in line and str(folder) in line and "\n" not in line
    write_parts(folder, {"features": other}, iter(VIEWS_OF_FEATURES), 3)
    assert read_part(folder, other, 3, never) is not None  # and takes its place


VIEWS_OF_FEATURES = [{"features": view["features"]} for view in VIEWS]


@pytest.mark.parametrize("name", ["store.json", "0.npy", "1.npy"])
@pytest.mark.parametrize("damage", ["absent", "cut", "bit"])
def test_a_torn_folder_is_told_and_written_again(folder: Path, name: str, damage: str) -> None:
    path, said = folder / ORIGIN.folder / name, []
    whole = path.read_bytes()
    torn = bytearray(whole)
    torn[len(torn) // 2] ^= 0xFF
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(torn if damage == "bit" else whole[:-1])
    assert read_part(folder, ORIGIN, 3, said.append) is None
    assert len(said) == 1 and "computed again" in said[0]
    if (name, damage) == ("0.npy", "cut"):
        assert f"cut short: {len(whole) - 1:,} bytes of {len(whole):,}" in said[0]
    write_parts(folder, {"features": ORIGIN}, iter(VIEWS_OF_FEATURES), 3)
    assert read_part(folder, ORIGIN, 3, never) is not None and path.read_bytes() == whole


def test_a_pass_that_breaks_off_leaves_what_was_there(folder: Path) -> None:
    def broken():
        yield VIEWS_OF_FEATURES[0]
        raise RuntimeError("the worker ended")

    with pytest.raises(RuntimeError):
        write_parts(folder, {"features": ORIGIN}, broken(), 3)
    with pytest.raises(ValueError, match="1 views were written of 3"):
        write_parts(folder, {"features": ORIGIN}, iter(VIEWS_OF_FEATURES[:1]), 3)
    assert read_part(folder, ORIGIN, 3, never) is not None
    assert not list(folder.glob(".*"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        write_parts(tmp_path / "outputs", BOTH, iter(VIEWS), 3)


def test_whatever_decides_the_outputs_decides_the_origin() -> None:
    def made(
        record: TeacherRecord = RECORD,
        data: ImageData = DATA,
        augment: str = "crop",
        **config: object,
    ) -> Origin:
        given = StoreConfig.model_validate(config)
        return origin_of("logits", record, data, data.id, augment, given)

    others = [
        made(replace(RECORD, weights=b"others")),
        made(data=made_data(per_class=9, classes=5)),
        made(augment="crop_flip"),
        made(dtype="float32"),
        made(top_k=3),
    ]
    assert made() == made(views=2, memory_mib=9) and len({made(), *others}) == 6
