"""What of a working copy is carried to an address, in which order, and what is brought back."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

# By its place below a results folder. Outputs of teachers are large, and computed again.
STATE = re.compile(r"states/[0-9]{1,12}\.[0-9]{1,9}\.state")
STUDENT = re.compile(r"students/[0-9]{1,12}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
VIEW = re.compile(
    r"(?!writer\.)[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\.(yaml|json|parquet|csv|svg|html|png)"
)
TEACHER = re.compile(r"teachers/[A-Za-z0-9_-]{1,64}/(teacher\.json|model\.safetensors|logits\.npy)")
GONE = ("near.parquet", "near.csv")  # views that a later search may have none of
ROWS = "trials.parquet"
CARDS = ("teacher.json", "student.json")
Stamp = tuple[int, int]  # when it was written, and its size


def kind_of(key: str, search: str) -> str | None:
    """What a file is, by its place below a results folder; None: none of the search's.

    Names from elsewhere become paths on this machine only through here.
    """
    if TEACHER.fullmatch(key):
        return "teacher"
    above, _, rest = key.partition("/")
    if above != search:
        return None
    kinds = {"state": STATE, "student": STUDENT, "view": VIEW}
    return next((kind for kind, form in kinds.items() if form.fullmatch(rest)), None)


def files_of(results: Path, search: str) -> dict[str, Stamp]:
    """The files of a working copy that are carried, but for the log.

    Rows are seen before their epochs, which are written first: no row is taken without its own.

    Raises
    ------
    OSError
        A folder that cannot be listed, or is gone: that is no sign that its files are.
    """
    found: dict[str, Stamp] = {}
    if not (results / search).is_dir():
        raise FileNotFoundError(errno.ENOENT, "the working copy is gone", str(results / search))
    paths = [*_below(results / search), *_below(results / "teachers")]
    for path in sorted(paths, key=lambda path: path.name != ROWS):
        key = path.relative_to(results).as_posix()
        if kind_of(key, search) is not None:
            with suppress(FileNotFoundError):  # it went meanwhile
                told = path.stat()
                found[key] = told.st_mtime_ns, told.st_size
    return found


def before_log(keys: Iterable[str], search: str) -> list[str]:
    """Weights and states, in the order in which they go: ahead of the log that speaks of them."""
    return sorted(
        (key for key in keys if kind_of(key, search) in ("teacher", "state", "student")),
        key=lambda key: (key.rpartition("/")[2] in CARDS, key),  # a card says that all is there
    )


def after_log(keys: Iterable[str], search: str) -> list[str]:
    """Views of the log: epochs before the rows that they are of."""
    views = (key for key in keys if kind_of(key, search) == "view")
    return sorted(views, key=lambda key: (key.endswith(f"/{ROWS}"), key))


def _below(folder: Path) -> Iterator[Path]:
    """Files of a folder to the third level; what goes meanwhile is left out."""

    def told(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for above, folders, names in os.walk(folder, onerror=told):
        folders[:] = [name for name in folders if name not in ("outputs", "log")]
        yield from (Path(above, name) for name in names)
