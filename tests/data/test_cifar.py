import hashlib
import os
import tarfile
from pathlib import Path

import pytest
import torch

from kdsearch.errors import UserError
from tests.data.made import (
    cifar_batch,
    contents,
    load,
    made_split,
    write_cifar10,
    write_cifar100,
    write_pickle,
)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar10_files_are_read(tmp_path: Path, protocol: int) -> None:
    *train, test = write_cifar10(tmp_path, protocol)
    data = load("cifar10", tmp_path, verify=False)
    assert contents(data.train, data.validation) == contents(*train)
    assert torch.equal(data.test.images, test.images)
    assert data.classes == tuple("abcdefghij")


def test_cifar100_has_fine_and_coarse_labels(tmp_path: Path) -> None:
    _, test = write_cifar100(tmp_path)
    fine = load("cifar100", tmp_path, verify=False, validation=0.4)
    coarse = load("cifar100", tmp_path, verify=False, labels="coarse")
    assert torch.equal(fine.test.labels, test.labels)
    assert torch.equal(coarse.test.labels, test.labels // 5)
    assert (len(fine.classes), len(coarse.classes)) == (100, 20)
    assert coarse.classes[0] == "coarse 0"


def test_unofficial_cifar_files_need_verify_off(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    with pytest.raises(UserError, match=r"not the official file .*data\.verify: false"):
        load("cifar10", tmp_path)


class Command:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    trace = tmp_path / "trace"
    write_pickle(tmp_path / "cifar-10-batches-py" / "data_batch_3", {"data": Command(trace)})
    with pytest.raises(UserError, match=r"data_batch_3 cannot be read .*mkdir, which is not data"):
        load("cifar10", tmp_path, verify=False)
    assert not trace.exists()


BATCH = made_split([2] * 10, (3, 32, 32))
LABELS = BATCH.labels.tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list"),
        ({"labels": LABELS}, "no uint8 array"),
        ({"data": BATCH.images.numpy(), "labels": LABELS}, "no uint8 array"),
        ({"data": BATCH.images.numpy().reshape(20, -1) / 255, "labels": LABELS}, "no uint8 array"),
        (cifar_batch(BATCH), "no list of 20 labels under 'labels'"),
        (cifar_batch(BATCH, labels=LABELS[1:]), "no list of 20 labels"),
        (cifar_batch(BATCH, labels=["a", *LABELS[1:]]), "not whole numbers"),  # type: ignore[list-item]
    ],
)
def test_wrong_cifar_files_are_named(content: object, words: str, tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    write_pickle(tmp_path / "cifar-10-batches-py" / "data_batch_2", content)
    with pytest.raises(UserError, match=f"data_batch_2.*{words}"):
        load("cifar10", tmp_path, verify=False)


@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
def test_truncated_cifar_files_are_named(file: str, tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / file
    for content in (path.read_bytes()[:-20], b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{file} cannot be read"):
            load("cifar10", tmp_path, verify=False)


def test_cifar_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: tuple[Path, str]
) -> None:
    from torchvision.datasets import CIFAR10

    write_cifar10(tmp_path / "here")
    archive = site[0] / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "here" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(CIFAR10, "url", site[1] + archive.name)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    there = load("cifar10", tmp_path / "there", download=True, verify=False)
    assert there.id == load("cifar10", tmp_path / "here", verify=False).id
    monkeypatch.setattr(CIFAR10, "url", site[1] + "gone")
    with pytest.raises(UserError, match=r"data\.download: http.*gone cannot be fetched"):
        load("cifar10", tmp_path / "elsewhere", download=True, verify=False)
