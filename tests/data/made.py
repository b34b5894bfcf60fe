"""Small made-up sets: in memory, and as files in the published formats."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data import load_data
from kdsearch.data.images import ImageData, Split
from kdsearch.data.source import Raw
from kdsearch.data.splits import split

KINDS = {"fine": 100, "coarse": 20}  # classes of CIFAR-100


def made_split(counts: list[int], shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Split:
    """Random pixels; label k stands `counts[k]` times, in a mixed order."""
    random = np.random.RandomState(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    pixels = random.randint(0, 256, (len(labels), *shape), dtype=np.uint8)
    return Split(torch.from_numpy(pixels), torch.from_numpy(labels))


def made_raw(counts: list[int], test: bool = True, shape: tuple[int, int, int] = (1, 8, 8)) -> Raw:
    classes = tuple("abcdefghijklmnopqrstuvwxyz"[: len(counts)])
    held = made_split([2] * len(counts), shape, seed=1) if test else None
    return Raw(made_split(counts, shape), held, classes)


def made_data(
    per_class: int = 40, classes: int = 5, shape: tuple[int, int, int] = (1, 8, 8)
) -> ImageData:
    return split(DataConfig(name="made"), made_raw([per_class] * classes, shape=shape))


def write_idx(folder: Path, part: str, split: Split) -> None:
    """One part, ``train`` or ``t10k``, in the IDX format of MNIST and Fashion-MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = split.images.numpy(), split.labels.numpy().astype(np.uint8)
    head = struct.pack(">IIII", 0x803, len(images), *images.shape[2:])
    (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    head = struct.pack(">II", 0x801, len(labels))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())


def write_mnist(root: Path, kind: str = "FashionMNIST") -> tuple[Split, Split]:
    splits = [made_split([n] * 10, (1, 28, 28), seed=n) for n in (6, 2)]
    for part, made in zip(("train", "t10k"), splits, strict=True):
        write_idx(root / kind / "raw", part, made)
    return splits[0], splits[1]


def cifar_batch(split: Split, **labels: list[int]) -> dict[str, object]:
    return {"data": split.images.numpy().reshape(-1, 3072), **labels}


def write_pickle(path: Path, content: object, protocol: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def write_cifar10(root: Path, protocol: int = 2) -> list[Split]:
    """Five training batches and a test batch."""
    folder = root / "cifar-10-batches-py"
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    splits = [made_split([2] * 10, (3, 32, 32), seed=i) for i in range(6)]
    for name, made in zip(names, splits, strict=True):
        write_pickle(folder / name, cifar_batch(made, labels=made.labels.tolist()), protocol)
    write_pickle(folder / "batches.meta", {"label_names": list("abcdefghij")})
    return splits


def write_cifar100(root: Path) -> list[Split]:
    """Fine label 5k to 5k + 4 is coarse label k, though not so in the published set."""
    folder = root / "cifar-100-python"
    splits = [made_split([n] * 100, (3, 32, 32), seed=n) for n in (3, 1)]
    for name, made in zip(("train", "test"), splits, strict=True):
        fine, coarse = made.labels.tolist(), (made.labels // 5).tolist()
        write_pickle(folder / name, cifar_batch(made, fine_labels=fine, coarse_labels=coarse))
    names = {f"{k}_label_names": [f"{k} {i}" for i in range(n)] for k, n in KINDS.items()}
    write_pickle(folder / "meta", names)
    return splits


def load(name: str, root: Path, **more: object) -> ImageData:
    """The named set, from a folder."""
    return load_data(DataConfig(name=name, root=str(root), **more))  # type: ignore[arg-type]


def contents(*splits: Split) -> list[tuple[bytes, int]]:
    return sorted(
        (image.numpy().tobytes(), int(label))
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )
