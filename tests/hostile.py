"""Files from a stranger: good ones, and what may be made of them."""

from __future__ import annotations

import copy
import json
import math
import random
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

NUMBERS = (
    0, 1, -1, 2, 0.5, 1e308, -1e308, 5e-324, 2**31, 2**53, 2**63, -(2**63) - 1, 10**30, 10**400,
)  # fmt: skip
WORDS = (
    "", "nan", "none", "../../x", "/etc/passwd", "a\nb", "\x1b[2J", "\ud800", "x" * 5000, "00000",
)  # fmt: skip
CODE = ("evil:make", "os:system", "subprocess:run")
EMPTY = (None, True, [], {}, [[]], {"x": None}, "search", math.inf, math.nan)
JUNK: tuple[Any, ...] = (*NUMBERS, *WORDS, *CODE, *EMPTY)


def mutated(tree: Any, chance: random.Random, times: int = 2) -> Any:
    """The tree with something in it lost, doubled, renamed, or of another kind or size."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(1, times)):
        places = list(_places(tree))
        if not places:
            return chance.choice(JUNK)
        node, key = chance.choice(places)
        kind = chance.randrange(5)
        if kind == 0:
            del node[key]
        elif kind == 1 and isinstance(node, dict):
            node[str(chance.choice(WORDS))] = node.pop(key)
        elif kind == 2:
            other, there = chance.choice(places)
            node[key] = copy.deepcopy(
                other.get(there) if isinstance(other, dict) else _at(other, there)
            )
        elif kind == 3:
            node[key] = [copy.deepcopy(node[key])] * chance.randint(1, 3)
        else:
            node[key] = copy.deepcopy(chance.choice(JUNK))
    return tree


def torn(content: bytes, chance: random.Random) -> bytes:
    """The bytes cut short, with bits turned, with a piece lost, doubled or of other bytes."""
    if not content:
        return chance.randbytes(8)
    made, kind, at = bytearray(content), chance.randrange(5), chance.randrange(len(content))
    end = min(len(made), at + chance.randint(1, 64))
    if kind == 0:
        del made[at:]
    elif kind == 1:
        for _ in range(chance.randint(1, 4)):
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del made[at:end]
    elif kind == 3:
        made[at:at] = made[at:end]
    else:
        made[at:end] = chance.randbytes(end - at)
    return bytes(made)


def log_bytes(events: Sequence[Any]) -> bytes:
    """A log of these events, whose sums are as they should be."""
    lines, total = b"", 0
    for event in events:
        line = json.dumps(event, separators=(",", ":")).encode()
        total = zlib.crc32(line, total)
        lines += line[:-1] + b',"check":"%08x"}\n' % total
    return lines


def as_json(tree: Any) -> bytes:
    """JSON as Python writes it, with NaN and halves of characters where they stand."""
    return json.dumps(tree).encode()


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, (dict, list)):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from _places(node[key])


def _at(node: Any, key: Any) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    return node[key] if key < len(node) else None
