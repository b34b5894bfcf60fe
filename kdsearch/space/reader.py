"""From a plain tree to one with domains in it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kdsearch.domains import Choice, Domain, Each, Float, Int
from kdsearch.errors import UserError

DOMAIN_KEYS = ("int", "float", "choice")
MODIFIERS = ("log", "step", "each")
NAMING_KEYS = ("method", "family", "name", "architecture", "weights")  # of an option, in this order

# Whole numbers are exact as a float too: samplers take logarithms of them.
LARGEST = {"int": 2**53, "float": 1e100}
MOST_COPIES = 1000
MOST_STEPS = 1_000_000
LONGEST_NAME = 60  # of an option: columns are named by it
DOMAINS = (Int, Float, Choice, Each)


def join(path: str, key: str) -> str:
    """A path one key deeper."""
    return f"{path}.{key}" if path else key


def parse(node: Any, path: str = "") -> Any:
    """A plain tree with every domain in it made a `Domain` or an `Each`.

    Parameters
    ----------
    node : Any
        Mappings, lists and scalars.
    path : str
        Where it stands in the file, for errors.

    Raises
    ------
    UserError
        A domain without values, or with a modifier that it does not take.
    """
    if isinstance(node, Mapping):
        if any(key in node for key in DOMAIN_KEYS):
            return _parse_domain(node, path)
        return {str(key): parse(child, join(path, str(key))) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return [parse(child, f"{path}[{i}]") for i, child in enumerate(node)]
    return node


def _parse_domain(node: Mapping[str, Any], path: str) -> Domain | Each:
    kinds = [key for key in DOMAIN_KEYS if key in node]
    if len(kinds) > 1:
        raise UserError(path, f"a domain is one of int, float, choice; this one is {kinds}")
    if extra := sorted(str(key) for key in node if key not in (*DOMAIN_KEYS, *MODIFIERS)):
        raise UserError(
            path,
            f"unknown key {extra[0]!r} beside {kinds[0]!r}; a domain takes log, step and each. To "
            "write fixed values beside a hole, nest the hole under a key of its own",
        )
    body, log, step = node[kinds[0]], node.get("log", False), node.get("step")
    if kinds[0] == "choice":
        domain: Domain = _parse_choice(body, path, log, step)
    else:
        domain = _parse_range(kinds[0], body, path, log, step)
    return Each(_copies(node["each"], path), domain) if "each" in node else domain


def _copies(each: Any, path: str) -> int | str:
    if isinstance(each, bool) or not isinstance(each, (int, str)) or each == "":
        raise UserError(path, f"each must be a whole number or a key's name, got {each!r:.80}")
    if isinstance(each, int) and not 1 <= each <= MOST_COPIES:
        raise UserError(path, f"each must be from 1 to {MOST_COPIES}, got {each}")
    return each


def _parse_choice(body: Any, path: str, log: Any, step: Any) -> Choice:
    if not isinstance(body, (list, tuple)) or not body:
        raise UserError(path, f"choice needs a list of at least one option, got {body!r:.80}")
    if log or step is not None:
        raise UserError(path, "log and step belong to int and float, not to choice")
    for value in body:
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(path, f"choice takes finite numbers, got {value!r}")
    options = tuple(parse(option, f"{path}.choice[{i}]") for i, option in enumerate(body))
    names = _unique([_name(option, i) for i, option in enumerate(options)])
    same = all(isinstance(o, (int, float)) and not isinstance(o, bool) for o in options)
    words = all(isinstance(o, str) for o in options)
    values = options if (same or words) else names
    twice, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise UserError(path, f"the option {twice!r:.80} stands twice in this choice; remove one")
    return Choice(options, tuple(values), tuple(names))


def _parse_range(kind: str, body: Any, path: str, log: Any, step: Any) -> Int | Float:
    if not isinstance(body, (list, tuple)) or len(body) != 2:
        raise UserError(path, f"{kind} needs [low, high], got {body!r:.80}")
    for value in (*body, *([] if step is None else [step])):
        _check_number(kind, value, path)
    low, high = body
    if low > high:
        raise UserError(path, f"low {low} is above high {high}; swap them")
    if not isinstance(log, bool):
        raise UserError(path, f"log is true or false, got {log!r:.80}")
    if log and low <= 0:
        raise UserError(path, f"log needs low > 0, got {low}; raise low or drop log")
    if step is not None and (step <= 0 or log):
        raise UserError(path, f"step must be > 0 and without log, got {step}")
    if kind == "int":
        return Int(low, high, log, 1 if step is None else step)
    if step is not None and (high - low) / step > MOST_STEPS:
        raise UserError(path, f"step {step} makes more than {MOST_STEPS:,} values; drop it")
    return Float(float(low), float(high), log, None if step is None else float(step))


def _check_number(kind: str, value: Any, path: str) -> None:
    wanted, word = (int, "whole") if kind == "int" else ((int, float), "finite")
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise UserError(path, f"{kind} takes {word} numbers, got {value!r:.80}")
    if not -LARGEST[kind] <= value <= LARGEST[kind]:
        got = f", got {value!r}" if isinstance(value, float) else ""
        raise UserError(path, f"{kind} takes {word} numbers up to {LARGEST[kind]:g}{got}")


def _name(option: Any, index: int) -> str:
    """What columns call an option: its method, family or name; the value itself; or its number."""
    if isinstance(option, dict):
        for key in NAMING_KEYS:
            if isinstance(option.get(key), (str, dict)):
                return _name(option[key], index)
        text = ""
    elif isinstance(option, list):
        text = "" if _holds_holes(option) else json.dumps(option, separators=(",", ":"))
    elif isinstance(option, bool):
        text = str(option).lower()
    else:
        text = "" if isinstance(option, DOMAINS) else str(option)
    return text if 0 < len(text) <= LONGEST_NAME else f"option{index}"


def _holds_holes(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_holds_holes, node))
    return isinstance(node, (dict, *DOMAINS))


def _unique(names: Sequence[str]) -> list[str]:
    """The names, those that stand several times with a number: ``at_1``, ``at_2``."""
    times, seen = Counter(names), Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if times[name] == 1 else f"{name}_{seen[name]}")
    return unique
