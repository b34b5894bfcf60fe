"""YAML by safe loading, with the plain values of YAML 1.2, no merges and no duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from kdsearch.errors import UserError

MOST_BYTES = 100_000  # about a second of parsing; a search file has a few thousand
FAULTS = (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, OverflowError)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises
    ------
    UserError
        A file that cannot be read, is too large, or is not YAML; with the line where known.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UserError(str(path), f"larger than {MOST_BYTES:,} bytes; not a search file")
        text = content.decode()
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(str(path), f"not UTF-8 text: {error.reason}") from None
    except ValueError as error:  # a name that no file can have
        raise UserError(str(path), f"cannot be read: {error}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, place: str) -> Any:
    """The content of YAML text; `place` names it in errors.

    Aliases give shared nodes, or a tree that contains itself: what reads on must count its steps.

    Raises
    ------
    UserError
        Text that is not YAML.
    """
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except RecursionError:
        raise UserError(place, "not a search file: too many levels") from None
    except FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        parts = (getattr(error, "context", None), getattr(error, "problem", None))
        fault = ", ".join(part for part in parts if part) or str(error)
        here = f"{place}:{mark.line + 1}" if mark and "\n" in text else place
        raise UserError(here, f"not YAML: {fault:.300}") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML with the plain values of YAML 1.2.

    YAML 1.1 reads `no` as false, `1e4` as a word, `010` as 8, `1:30` as 90 and a date as a date.
    """

    def compose_mapping_node(self, anchor: Any) -> Any:
        # Here each mapping passes once, as it was written.
        node = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key, _ in node.value:
            fault = None
            if not isinstance(key, yaml.ScalarNode):
                fault = "a key must be a word"
            elif key.value == "<<":  # a few nested merges are gigabytes
                fault = "merges (<<) are not part of YAML 1.2; write the values out"
            elif key.value in seen:
                fault = f"the key {key.value!r} stands twice"
            if fault:
                raise yaml.constructor.ConstructorError(None, None, fault, key.start_mark)
            seen.add(key.value)
        return node

    def construct_whole_number(self, node: Any) -> int:
        """Decimal, 0x or 0o; underscores between digits are passed over."""
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole_number)

for _tag, _rule, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?\d[\d_]*|0x[\da-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_rule})$", re.ASCII), _first
    )
