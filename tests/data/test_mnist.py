import hashlib
from gzip import compress
from pathlib import Path

import pytest

from kdsearch.data.images import Split
from kdsearch.errors import UserError
from tests.data.made import contents, load, made_split, write_idx, write_mnist

MNIST = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST"}
OTHER = {
    "t10k-images-idx3": "t10k-labels-idx1",
    "train-images-idx3": "train-labels-idx1",
    "train-labels-idx1": "train-images-idx3",
}


@pytest.mark.parametrize("name", MNIST)
def test_mnist_files_are_read(name: str, tmp_path: Path) -> None:
    train, test = write_mnist(tmp_path, MNIST[name])
    data = load(name, tmp_path, validation=0.5)
    assert contents(data.train, data.validation) == contents(train)
    assert contents(data.test) == contents(test)
    assert data.shape == (1, 28, 28) and len(data.classes) == 10


@pytest.mark.parametrize("part", OTHER)
@pytest.mark.parametrize("kind", ["empty", "truncated", "other", "swapped"])
def test_wrong_mnist_files_are_named(part: str, kind: str, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "FashionMNIST" / "raw" / f"{part}-ubyte"
    whole = path.read_bytes()
    wrong = {
        "empty": b"",
        "truncated": whole[: len(whole) - 9],
        "other": b"<html>not found</html>",
        "swapped": (path.parent / f"{OTHER[part]}-ubyte").read_bytes(),
    }
    path.write_bytes(wrong[kind])
    with pytest.raises(UserError, match=r"data\.root: the \w+ files in .* cannot be read"):
        load("fashion_mnist", tmp_path, validation=0.5)


def test_labels_must_fit_images_and_classes(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    raw, good = tmp_path / "FashionMNIST" / "raw", made_split([6] * 10, (1, 28, 28))
    write_idx(raw, "train", Split(good.images, good.labels[:-1]))
    with pytest.raises(UserError, match="60 train images but 59 labels"):
        load("fashion_mnist", tmp_path)
    write_idx(raw, "train", Split(good.images, good.labels + 1))
    with pytest.raises(UserError, match="from 1 to 10; 10 classes allow 0 to 9"):
        load("fashion_mnist", tmp_path)


def test_mnist_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: tuple[Path, str]
) -> None:
    from torchvision.datasets import FashionMNIST

    write_mnist(tmp_path / "here")
    (folder, address), resources = site, []
    for file in sorted((tmp_path / "here" / "FashionMNIST" / "raw").iterdir()):
        packed = compress(file.read_bytes())
        (folder / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    there = tmp_path / "there"
    first = load("fashion_mnist", there, download=True, validation=0.5)
    assert first.id == load("fashion_mnist", tmp_path / "here", validation=0.5).id
    monkeypatch.setattr(FashionMNIST, "mirrors", [address + "gone/"])
    assert load("fashion_mnist", there, download=True, validation=0.5).id == first.id
    with pytest.raises(UserError, match=r"data\.download: fashion_mnist cannot be had"):
        load("fashion_mnist", tmp_path / "elsewhere", download=True)
