"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): torchvision's file lists, a reader of our own.

The files are pickles, and a pickle can run any code when it is opened. torchvision relies on their
checksums; where the user switches these off, nothing would be left, so only plain containers and
NumPy arrays are let through here.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data.images import Split
from kdsearch.data.source import Outline, Raw, Root, needed_root, remedy
from kdsearch.errors import UserError

# All that a pickled dict of arrays, byte strings and numbers asks for, in NumPy 1 and 2.
ADMITTED = {
    ("_codecs", "encode"),  # how protocol 2 writes bytes
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
}


class PlainUnpickler(pickle.Unpickler):
    """Admits dicts, lists, strings, numbers and NumPy arrays; refuses every other name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """The named object, if it is one that data needs."""
        if (module_name, global_name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is not data")
        return super().find_class(module_name, global_name)


def read(config: DataConfig, root: Root) -> Raw:
    """Official training and test images of shape (3, 32, 32).

    CIFAR-100 has 100 fine or 20 coarse classes, by `config.labels`.

    Raises
    ------
    UserError
        Files that are missing, cannot be had, differ from the official ones while `config.verify`
        holds, or hold something else than images and labels.
    """
    kind = _kind(config.name)
    folder = _folder(kind, config, root)
    splits = [
        _split([folder / file for file, _ in files], _keys(config)[0])
        for files in (kind.train_list, kind.test_list)
    ]
    return Raw(splits[0], splits[1], _classes(kind, config, folder))


def outline(config: DataConfig, root: Root) -> Outline:
    """The shape, the names in the meta file, and the published size."""
    kind = _kind(config.name)
    classes = _classes(kind, config, _folder(kind, config, root))
    return Outline((3, 32, 32), classes, 50_000, has_test=True)


def _kind(name: str) -> Any:
    from torchvision.datasets import CIFAR10, CIFAR100  # 2 s to import: not before it is needed

    return {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]


def _keys(config: DataConfig) -> tuple[str, str]:
    """The keys of the labels in a data file and of their names in the meta file."""
    if config.name == "cifar10":
        return "labels", "label_names"
    return f"{config.labels}_labels", f"{config.labels}_label_names"


def _folder(kind: Any, config: DataConfig, root: Root) -> Path:
    """The folder of the files, once all are there and official; fetched if they may be."""
    from torchvision.datasets.utils import download_and_extract_archive

    outer = needed_root(config, root)
    fault = _fault(kind, outer, config.verify)
    if fault and config.download:
        try:
            download_and_extract_archive(kind.url, outer, filename=kind.filename, md5=kind.tgz_md5)
        except (OSError, RuntimeError) as error:
            raise UserError("data.download", f"{kind.url} cannot be fetched: {error}") from error
        fault = _fault(kind, outer, config.verify)
    if fault:
        raise UserError("data.root", f"{fault}; {remedy(config)}")
    return outer / kind.base_folder


def _fault(kind: Any, root: Path, verify: bool) -> str:
    from torchvision.datasets.utils import check_integrity

    meta = (kind.meta["filename"], kind.meta["md5"])
    for file, md5 in [*kind.train_list, *kind.test_list, meta]:
        path = root / kind.base_folder / file
        if not path.is_file():
            return f"there is no {path}"
        if verify and not check_integrity(path, md5):
            return f"{path} is not the official file (data.verify: false takes it as it is)"
    return ""


def _classes(kind: Any, config: DataConfig, folder: Path) -> tuple[str, ...]:
    path, key = folder / kind.meta["filename"], _keys(config)[1]
    names = _load(path).get(key)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise UserError("data.root", f"{path} has no list of names under {key!r}")
    return tuple(names)


def _split(paths: list[Path], key: str) -> Split:
    images, labels = zip(*(_images_and_labels(path, key) for path in paths), strict=True)
    return Split(torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels)))


def _images_and_labels(path: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    content = _load(path)
    data, labels = content.get("data"), content.get(key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        raise UserError("data.root", f"{path} has no uint8 array of shape (images, 3072) as 'data'")
    if not isinstance(labels, list) or len(labels) != len(data):
        raise UserError("data.root", f"{path} has no list of {len(data)} labels under {key!r}")
    if not all(isinstance(label, int) for label in labels):
        raise UserError("data.root", f"{path} has labels under {key!r} that are not whole numbers")
    return data.reshape(-1, 3, 32, 32), np.asarray(labels, dtype=np.int64)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = PlainUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a broken pickle may raise nearly anything
        raise UserError(
            "data.root", f"{path} cannot be read ({str(error) or type(error).__name__}); replace it"
        ) from error
    if not isinstance(content, dict):
        raise UserError("data.root", f"{path} holds a {type(content).__name__}, not a dict")
    return content
