"""Teacher outputs at rest: a folder a part beside the teacher's weights, for the next search."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kdsearch.config import StoreConfig
from kdsearch.data import Batches, ImageData
from kdsearch.errors import UserError
from kdsearch.teachers.record import TeacherRecord
from kdsearch.teachers.views import View
from kdsearch.whole import new_folder, write_bytes

SCHEMA_VERSION = 1
CARD = "store.json"
PROBED = 32  # images of the first view, by which one augmentation is told from another
CHUNK = 2**22  # bytes read at a time
Say = Callable[[str], None]
# What a card or an array raises that is not what was written.
FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Origin:
    """What decides a part of the outputs, beside the number of views.

    Attributes
    ----------
    part : str
    teacher : str
        Hash of its weights and its architecture: a teacher may be trained again.
    data : str
        `ImageData.id`.
    augmentation : str
        Its name and a hash of what it makes of some images.
    numbers : str
        dtype, and how many logits are kept.
    """

    part: str
    teacher: str
    data: str
    augmentation: str
    numbers: str

    @property
    def folder(self) -> str:
        """Name of the folder: ``logits-crop_flip-float16``."""
        name, _, _ = self.augmentation.partition(" ")
        return f"{self.part}-{name}-{self.numbers}"


def origin_of(
    part: str,
    record: TeacherRecord,
    data: ImageData,
    data_id: str,
    augment: str,
    config: StoreConfig,
) -> Origin:
    """The origin of a part that is computed here and now."""
    teacher = hashlib.sha256(record.architecture.encode() + record.weights).hexdigest()[:16]
    top = f"-top{config.top_k}" if part == "logits" and config.top_k is not None else ""
    batches = Batches(data, PROBED, augment, views=1)
    pixels = next(batches.whole_view(0, PROBED)).inputs.contiguous().numpy()
    seen = hashlib.sha256(pixels.data).hexdigest()[:16]
    return Origin(part, teacher, data_id, f"{augment} {seen}", f"{config.dtype}{top}")


def write_parts(
    folder: Path, origins: Mapping[str, Origin], views: Iterable[View], count: int
) -> None:
    """Write the parts of `count` views, one view after another; each is there whole or not at all.

    Parameters
    ----------
    folder : Path
        Of all outputs of the teacher.
    origins : mapping of str to Origin
        Of each part.
    views : iterable of mapping
        See `compute_views`.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    try:
        with ExitStack() as stack:
            asides = {
                part: stack.enter_context(new_folder(folder / origin.folder))
                for part, origin in origins.items()
            }
            writers: dict[str, list[_Writer]] = {}
            for view in views:
                for part, arrays in view.items():
                    if part not in writers:
                        files = [asides[part] / f"{i}.npy" for i in range(len(arrays))]
                        opened = [_Writer(f, a, count) for f, a in zip(files, arrays, strict=True)]
                        writers[part] = [stack.enter_context(one) for one in opened]
                    for writer, array in zip(writers[part], arrays, strict=True):
                        writer.add(array)
            for part, origin in origins.items():
                files = {one.path.name: one.seal() for one in writers[part]}
                card = {"schema": SCHEMA_VERSION, "views": count, **asdict(origin), "files": files}
                write_bytes(asides[part] / CARD, json.dumps(card, indent=1).encode())
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; choose other --results"
        raise UserError(str(folder), fault) from None


def read_part(folder: Path, origin: Origin, views: int, say: Say) -> dict[Path, np.ndarray] | None:
    """The files of a part, mapped, at least `views` long; None where they have to be made.

    Every file is held against the size and the hash on its card. Where something stands there and
    cannot be used, `say` is told why.
    """
    place = folder / origin.folder
    if not place.is_dir():
        return None
    try:
        card = json.loads((place / CARD).read_bytes())
        if (fault := _fault(card, origin, views)) is None:
            files = {_named(name): seal for name, seal in card["files"].items()}
            return {place / n: _checked(place / n, s, card["views"]) for n, s in files.items()}
    except FAULTS as error:
        fault = error.args[0] if isinstance(error, _NotWholeError) else "is not whole"
    say(f"{place}: {fault}; the teacher's outputs are computed again")
    return None


class _NotWholeError(ValueError):
    """A file that is not what was written."""


class _Writer:
    """Appends views to a NumPy file, and takes its hash on the way."""

    def __init__(self, path: Path, first: np.ndarray, count: int) -> None:
        self.path, self._shape, self._dtype = path, (count, *first.shape), first.dtype
        self._digest, self._bytes, self._added = hashlib.sha256(), 0, 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Writer:
        self._file = self.path.open("wb")
        head = {"descr": self._dtype.str, "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(_Through(self._put), head)  # pyright: ignore
        return self

    def __exit__(self, *exc: Any) -> None:
        assert self._file is not None
        self._file.close()

    def add(self, array: np.ndarray) -> None:
        if array.shape != self._shape[1:] or array.dtype != self._dtype:
            raise ValueError(f"a view of {array.shape} {array.dtype}, not like the first one")
        self._added += 1
        self._put(np.ascontiguousarray(array).data.cast("B"))

    def seal(self) -> dict[str, Any]:
        if self._added != self._shape[0]:
            raise ValueError(f"{self._added} views were written of {self._shape[0]}")
        assert self._file is not None
        self._file.flush()
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def _put(self, data: bytes | memoryview) -> None:
        assert self._file is not None
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)


class _Through:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write


def _fault(card: Mapping[str, Any], origin: Origin, views: int) -> str | None:
    if card["schema"] != SCHEMA_VERSION:
        return f"was written by another kdsearch (schema {card['schema']})"
    for word, value in asdict(origin).items():
        if card[word] != value:
            return f"is of another {word}"
    return f"holds {card['views']} views of {views}" if card["views"] < views else None


def _named(name: str) -> str:
    """A file's name of ours, and so no path."""
    if not re.fullmatch(r"[0-9]+\.npy", name):
        raise _NotWholeError("names files that are not its own")
    return name


def _checked(path: Path, seal: Mapping[str, Any], views: int) -> np.ndarray:
    if (size := path.stat().st_size) != seal["bytes"]:
        raise _NotWholeError(f"{path.name} is cut short: {size:,} bytes of {seal['bytes']:,}")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != seal["sha256"]:
        raise _NotWholeError(f"{path.name} is damaged")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # NumPy fails in a dozen ways on a head that is not its own
        raise _NotWholeError(f"{path.name} holds no outputs") from None
    if array.ndim < 2 or len(array) != views or array.dtype.kind not in "fi":
        raise _NotWholeError(f"{path.name} holds no outputs")
    return array
