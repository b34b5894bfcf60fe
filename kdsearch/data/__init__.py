"""Data: sources, fixed splits, batches that stay on the device, replayable augmentation."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from pathlib import Path

from kdsearch.config import DataConfig
from kdsearch.data import cifar, digits, image_folder, mnist, own
from kdsearch.data.augment import AUGMENTATIONS
from kdsearch.data.batches import Batches
from kdsearch.data.holding import Say, check_whole, choose, in_memory, parts_of
from kdsearch.data.images import Batch, ImageData, Split
from kdsearch.data.normalise import Normalise
from kdsearch.data.on_disk import decoded
from kdsearch.data.source import Description, Raw, Source, check_raw
from kdsearch.data.splits import sizes, split
from kdsearch.errors import UserError

__all__ = [
    "AUGMENTATIONS",
    "SOURCES",
    "Batch",
    "Batches",
    "Description",
    "ImageData",
    "Normalise",
    "Split",
    "describe_data",
    "load_data",
]

SOURCES: dict[str, Source] = {
    "cifar10": Source(cifar.read, cifar.outline),
    "cifar100": Source(cifar.read, cifar.outline),
    "digits": Source(digits.read, digits.outline),
    "fashion_mnist": Source(mnist.read, mnist.outline),
    "image_folder": Source(image_folder.read, image_folder.outline),
    "mnist": Source(mnist.read, mnist.outline),
}


def load_data(config: DataConfig, base: Path | None = None, say: Say = lambda _: None) -> ImageData:
    """The data set that a config names, split; equal configs and files give equal data.

    Parameters
    ----------
    config : DataConfig
        `config.name` is a row of `SOURCES`, or ``module:callable`` for images of the user's own
        (`kdsearch.data.own.read`).
    base : Path or None
        What a relative `config.root` is relative to: the search file's folder. None: the current
        folder.
    say : callable
        Told in one line where the images are held, where there is a choice, and why it takes long.

    Raises
    ------
    UserError
        An unknown name, files that are missing or wrong, or a split that cannot be made.
    """
    root = _root(config, base)
    found = _source(config, base).read(config, root)
    if isinstance(found, Raw):
        check_whole(config)
        return split(config, check_raw("data.root" if config.root else "data.name", found))
    parts = parts_of(config, found)
    holding = choose(config, sum(len(part.rows) for part in parts.values()), found.shape)
    say(f"data: {holding}")
    if holding.streamed:
        place = [str(p and p.resolve()) for p in (root, base if ":" in config.name else None)]
        return decoded(config, found, parts, " ".join(place), say)
    return in_memory(config, found, parts)


def describe_data(config: DataConfig, base: Path | None = None) -> Description:
    """Shape, classes and size of the training split, without reading pixels where that can be.

    A published set is counted as it was published, even where the copy is smaller; a user's own
    function is called.

    Raises
    ------
    UserError
        As `load_data`, for what can be seen without reading the pixels.
    """
    outline = _source(config, base).outline(config, _root(config, base))
    wanted = sizes(config, outline.images, len(outline.classes), outline.has_test)
    if not outline.listed:
        check_whole(config)
        return Description(outline.shape, outline.classes, wanted.train)
    holding = choose(config, sum(wanted) + outline.tests, outline.shape)
    return Description(outline.shape, outline.classes, wanted.train, str(holding))


def _source(config: DataConfig, base: Path | None) -> Source:
    if ":" in config.name:
        return Source(partial(own.read, base=base), partial(own.outline, base=base))
    if config.name not in SOURCES:
        near = get_close_matches(config.name, SOURCES, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(
            "data.name",
            f"{config.name!r} is not known; {guess}there are {', '.join(SOURCES)}, and "
            "module:callable for your own",
        )
    return SOURCES[config.name]


def _root(config: DataConfig, base: Path | None) -> Path | None:
    if config.root is None:
        return None
    return (base or Path()) / Path(config.root).expanduser()
