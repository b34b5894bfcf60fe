"""Code of a user's own, named as ``module:callable``: run where the user says so, never by results.

A search file that a user runs names code, and that is the user's word. Results may come from a
stranger: a log, a student's card or a teacher's record that names code is only data, until the
user gives the folder in which that code stands (``--code DIR``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdsearch.errors import UserError

KEYS = ("family", "method", "name")  # of networks, losses and data


def named_code(content: Any) -> set[str]:
    """Every ``module:callable`` in plain content; architectures kept as text are read too."""
    found: set[str] = set()
    left = [(content, False)]  # no recursion: a stranger chooses the depth
    while left:
        node, names = left.pop()
        if isinstance(node, Mapping):
            for key, child in node.items():
                left.append((child, names or key in KEYS))
                if key == "architecture" and isinstance(child, str):
                    left.append((_read(child), False))
        elif isinstance(node, (list, tuple)):
            left += [(child, names) for child in node]
        elif names and isinstance(node, str) and ":" in node:
            found.add(node)
    return found


def permit_code(content: Any, place: str, code: Path | None) -> None:
    """Let the code that results name be imported, from the folder `code` and no other.

    Parameters
    ----------
    content : plain values
        What is about to be built or run.
    place : str
        Where it was read.
    code : Path or None
        The folder that the user gave; its modules come before all others from here on.

    Raises
    ------
    UserError
        A module that is named and does not stand in that folder, or no folder.
    """
    names = sorted(named_code(content))
    for name in names:
        module = name.partition(":")[0].partition(".")[0]
        if code is None:
            raise UserError(
                place,
                f"names {name!r:.80}: code, which does not run because results name it; read it, "
                f"then give the folder that the module {module!r:.80} stands in: --code DIR, in "
                "Python code=DIR",
            )
        if not _stands(module, code):
            raise UserError("--code", f"{code} has no module {module!r:.80}, which {place} names")
    if names and code is not None:
        folder = str(code.resolve())
        sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]


def _stands(module: str, code: Path) -> bool:
    whole = module.isidentifier()  # and so no path
    return whole and ((code / f"{module}.py").is_file() or (code / module).is_dir())


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None  # no architecture then: nothing can be built from it
