"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017), read by torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdsearch.config import DataConfig
from kdsearch.data.images import Split
from kdsearch.data.source import Outline, Raw, Root, needed_root, remedy
from kdsearch.errors import UserError

FAULTS = (RuntimeError, ValueError, TypeError, AssertionError, KeyError, OSError, MemoryError)


def read(config: DataConfig, root: Root) -> Raw:
    """60,000 training and 10,000 test images of shape (1, 28, 28).

    torchvision knows checksums of the compressed files only, so `config.verify` has nothing to
    compare; sizes, types and labels are checked all the same.

    Raises
    ------
    UserError
        Files that are missing, cannot be had, or are not in the IDX format.
    """
    kind = _kind(config.name)
    folder = _folder(kind, config, root)
    splits = [_split(kind, folder, train) for train in (True, False)]
    return Raw(splits[0], splits[1], tuple(kind.classes))


def outline(config: DataConfig, root: Root) -> Outline:
    """The published shape, classes and size, once the files are there."""
    kind = _kind(config.name)
    _folder(kind, config, root)
    return Outline((1, 28, 28), tuple(kind.classes), 60_000, has_test=True)


def _kind(name: str) -> Any:
    from torchvision.datasets import MNIST, FashionMNIST  # 2 s to import: not before it is needed

    return {"fashion_mnist": FashionMNIST, "mnist": MNIST}[name]


def _folder(kind: Any, config: DataConfig, root: Root) -> Path:
    """The root, once the files are there; they are fetched if they may be."""
    folder = needed_root(config, root)
    files = [_raw(kind, folder) / name.removesuffix(".gz") for name, _ in kind.resources]
    missing = [file for file in files if not file.is_file()]
    if missing and not config.download:
        raise UserError("data.root", f"there is no {missing[0]}; {remedy(config)}")
    if missing:
        try:
            kind(folder, download=True)
        except FAULTS as error:
            raise UserError("data.download", f"{config.name} cannot be had: {error}") from error
    return folder


def _raw(kind: Any, folder: Path) -> Path:
    return folder / kind.__name__ / "raw"


def _split(kind: Any, folder: Path, train: bool) -> Split:
    part = "train" if train else "t10k"
    try:
        data = kind(folder, train=train)
        return Split(data.data[:, None].contiguous(), data.targets.long())
    except FAULTS as error:
        raise UserError(
            "data.root",
            f"the {part} files in {_raw(kind, folder)} cannot be read "
            f"({str(error) or 'wrong header'}); put sound ones there, or delete them and set "
            "data.download: true",
        ) from error
