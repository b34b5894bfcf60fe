"""Trees of plain values: bounded, copied, and edited by path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kdsearch.errors import UserError
from kdsearch.space.reader import join
from kdsearch.yaml_reader import parse_yaml

MOST_VALUES, MOST_LEVELS, MOST_CHARACTERS = 10_000, 40, 100_000
LARGEST = 2**63 - 1
SPECIAL = ".[]"  # of paths
PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d{1,9}\])*")


def plain_tree(tree: Any) -> Any:
    """A copy in dicts, lists and scalars alone, in which nothing is shared.

    Raises
    ------
    UserError
        What no search file holds: other values, keys that no path can name, more than 10,000
        values or 40 levels (what aliases can make of a few lines).
    """
    left = MOST_VALUES

    def copy(node: Any, path: str, level: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or level > MOST_LEVELS:
            bounds = f"more than {MOST_VALUES:,} values or {MOST_LEVELS} levels"
            raise UserError("", f"{bounds}; too large for a search file")
        if isinstance(node, Mapping):
            return {
                _key(key, path): copy(child, join(path, key), level + 1)
                for key, child in node.items()
            }
        if isinstance(node, (list, tuple)):
            return [copy(child, f"{path}[{i}]", level + 1) for i, child in enumerate(node)]
        return _scalar(node, path)

    return copy(tree, "", 0)


def edit_tree(tree: Any, edits: Sequence[str]) -> Any:
    """The tree after ``key=value`` edits, in order; values are YAML.

    Raises
    ------
    UserError
        An edit that is not of this form, or has no place in the tree.
    """
    for edit in edits:
        path, equals, text = edit.partition("=")
        if not equals:
            raise UserError(f"--set {edit}", "write key=value, for instance training.epochs=20")
        tree = set_path(tree, path, parse_yaml(text, f"--set {edit}"))
    return tree


def set_path(tree: Any, path: str, value: Any) -> Any:
    """A copy of `tree` in which `path` (``losses[0].weight``) holds `value`.

    Raises
    ------
    UserError
        A path through something that is neither a mapping nor a list, or past a list's end.
    """
    place = f"--set {path:.200}"
    if len(path) > 1000 or not PATH.fullmatch(path):
        raise UserError(place, "not a path; write it like losses[0].weight")

    def put(node: Any, rest: list[str]) -> Any:
        if not rest:
            return value
        key = rest[0]
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            return [put(c, rest[1:]) if i == int(key) else c for i, c in enumerate(node)]
        if node is None or isinstance(node, Mapping):
            node = node or {}
            return {**node, key: put(node.get(key), rest[1:])}
        raise UserError(place, f"there is nothing at {key!r} to set")

    return put(tree, re.findall(r"[^.\[\]]+", path))


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise UserError(join(path, f"{key!r:.80}"), f"keys are words, got {key!r:.80}; quote it")
    if not key or len(key) > 100 or any(c in SPECIAL or not c.isprintable() for c in key):
        fault = f"a key is up to 100 printable characters and none of {SPECIAL}; rename it"
        raise UserError(join(path, f"{key!r:.80}"), fault)
    return key


def _scalar(node: Any, path: str) -> Any:
    if node is not None and not isinstance(node, (str, bool, int, float)):
        raise UserError(
            path,
            "a value is a word, a number, true or false, a list or a mapping, got "
            f"{type(node).__name__} {node!r:.80}",
        )
    if isinstance(node, int) and not -LARGEST <= node <= LARGEST:
        raise UserError(path, "this whole number is too large: it needs more than 64 bits")
    if isinstance(node, float) and not math.isfinite(node):
        raise UserError(path, f"is {node!r}; a number is finite")
    if isinstance(node, str) and (len(node) > MOST_CHARACTERS or "\0" in node):
        raise UserError(path, f"text of more than {MOST_CHARACTERS:,} characters, or with a NUL")
    return node
