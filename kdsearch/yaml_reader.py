"""YAML by safe loading, with the numbers and truth values of YAML 1.2 and no duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from kdsearch.errors import UserError

MOST_BYTES = 1_000_000


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises
    ------
    UserError
        A file that cannot be read, is too large, or is not YAML; with the line where known.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(str(path), f"larger than {MOST_BYTES} bytes; not a search file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(str(path), f"not UTF-8 text: {error.reason}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, place: str) -> Any:
    """The content of YAML text; `place` names it in errors.

    Raises
    ------
    UserError
        Text that is not YAML.
    """
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        fault = getattr(error, "problem", None) or str(error)
        raise UserError(
            f"{place}:{mark.line + 1}" if mark else place, f"not YAML: {fault}"
        ) from None


class _Loader(yaml.SafeLoader):
    """Safe YAML with the numbers and truth values of YAML 1.2."""

    # A table of its own: 1.1 reads `no` as false and `1e4` as a word.
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [
            (tag, rule) for tag, rule in rules if tag.rpartition(":")[2] not in ("float", "bool")
        ]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?$|^[-+]?\.inf$|^\.nan$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
