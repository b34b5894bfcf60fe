from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdsearch.config import DataConfig
from kdsearch.data import describe_data, load_data
from kdsearch.data.images import ImageData
from kdsearch.errors import UserError


def write(
    root: Path, classes: str = "ab", count: int = 6, size: tuple[int, int] = (20, 12)
) -> None:
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            colour = (label * 100, 10 * i, 30)
            Image.new("RGB", size, colour).save(root / name / f"{i:02}.png")


def load(root: Path, **more: object) -> ImageData:
    more = {"size": 8, "validation": 0.4, **more}
    return load_data(DataConfig(name="image_folder", root=str(root), **more))  # type: ignore[arg-type]


def test_one_folder_a_class(tmp_path: Path) -> None:
    write(tmp_path)
    data = load(tmp_path)
    assert data.classes == ("a", "b") and data.shape == (3, 8, 8)
    assert [len(s.labels) for s in (data.train, data.validation, data.test)] == [6, 4, 2]
    for split in (data.train, data.validation, data.test):
        assert (split.images[:, 0, 4, 4] == split.labels * 100).all()
        assert (split.images[:, 2] == 30).all()
    assert load(tmp_path).id == data.id


def test_a_train_folder_and_perhaps_a_test_folder(tmp_path: Path) -> None:
    write(tmp_path / "train")
    assert [len(s.labels) for s in (load(tmp_path).train, load(tmp_path).test)] == [6, 2]
    write(tmp_path / "test", count=3)
    data = load(tmp_path)
    assert len(data.test.labels) == 6
    assert len(data.train.labels) + len(data.validation.labels) == 12


@pytest.mark.parametrize("layout", ["", "train"])
def test_a_description_is_true(layout: str, tmp_path: Path) -> None:
    write(tmp_path / layout, count=9)
    config = DataConfig(name="image_folder", root=str(tmp_path), size=16)
    data = load_data(config)
    assert describe_data(config)[:3] == (data.shape, data.classes, len(data.train.labels))


def test_the_centre_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    assert (load(tmp_path, size=10).train.images == 200).all()


def test_grey_and_transparent_images_become_colour(tmp_path: Path) -> None:
    write(tmp_path)
    Image.new("L", (9, 9), 30).save(tmp_path / "a" / "00.png")
    Image.new("RGBA", (9, 9), (0, 0, 30, 7)).save(tmp_path / "b" / "00.png")
    assert (load(tmp_path).train.images[:, 2] == 30).all()


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_an_image_of_more_than_8_bits_is_refused_not_cut_off(mode: str, tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "a" / f"00.{'png' if mode == 'I;16' else 'tiff'}"
    Image.new(mode, (9, 9), 300).save(path)
    with pytest.raises(UserError, match=r"data\.root: .*00\.\w+ has more than 8 bits a pixel"):
        load(tmp_path)


def test_size_is_needed(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match=r"data\.size: image_folder needs"):
        load(tmp_path, size=None)


@pytest.mark.parametrize("cut", [0, 30, 60])
def test_a_broken_image_is_named(cut: int, tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "b" / "03.png"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"03\.png cannot be read as an image"):
        load(tmp_path)


def test_folders_without_classes_or_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root: .*one folder a class"):
        load(tmp_path)
    write(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"data\.root: .*empty.*one folder a class"):
        load(tmp_path)


def test_train_and_test_have_the_same_classes(tmp_path: Path) -> None:
    write(tmp_path / "train", "abc")
    write(tmp_path / "test", "abd")
    with pytest.raises(UserError, match="class 'c' is in only one of train and test"):
        load(tmp_path)


def test_a_class_needs_an_image_for_every_split(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "c", count=2)
    with pytest.raises(UserError, match=r"class 'c' of image_folder has 2 images; .* needs 3"):
        load(tmp_path)
