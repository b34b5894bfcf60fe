"""Plain values by YAML 1.2, one line for everything else, and no file that takes long to refuse."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.yaml_reader import MOST_BYTES, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e4", 1e4),
        ("-1.5E-3", -1.5e-3),
        (".5", 0.5),
        ("1.", 1.0),
        ("1_000.5", 1000.5),
        ("-.inf", -math.inf),
        ("500_000", 500_000),
        ("+3", 3),
        ("010", 10),  # YAML 1.1 says 8
        ("0o10", 8),
        ("0x1F", 31),
        ("1:30", "1:30"),  # YAML 1.1 says 90
        ("2024-01-01", "2024-01-01"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("!!float 3", 3.0),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(f"x: {text}", "f")["x"]
    assert read == value and type(read) is type(value)
    assert math.isnan(parse_yaml(".NaN", "f"))


def test_aliases_are_read() -> None:
    assert parse_yaml("{a: &x [1, 2], b: *x}", "f") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4: not YAML: the key 'c' stands twice"),
        ("{a: 1, 'a': 2}", "stands twice"),
        ("a: &x {b: 1}\nc: {<<: *x, d: 1}\n", "merges"),
        ("? [1, 2]\n: 3", "a key must be a word"),
        ("a: [1, 2", "expected"),
        ("a: b: c", "mapping values"),
        ("a: *nothing", "undefined alias"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("!!bool maybe", "not YAML"),
        ("!!int x", "not YAML"),
        ("!!timestamp x", "not YAML"),
        ("a\x00b", "not YAML"),
        ("[" * 3000, "too many levels"),
    ],
)
def test_what_is_not_yaml_ends_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, "f")
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_key_over_one_of_a_shared_node_does_not_stand_twice() -> None:
    assert parse_yaml("a: {b: &x {c: 1}}\nd: *x\n", "f") == {"a": {"b": {"c": 1}}, "d": {"c": 1}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"x: \xff", "not UTF-8"),
        (b"[" * MOST_BYTES, "too many levels"),
        (b"a: 1\n" * MOST_BYTES, "larger than"),
    ],
    ids=["missing", "bytes", "deep", "large"],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "search.yaml"
    if content is not None:
        path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(UserError, match=words) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", [".", "nul\0", "long" * 500])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path / name)


def test_the_largest_file_takes_seconds() -> None:
    text = "\n".join(f"key{i}: {{int: [1, {i}], log: false}}" for i in range(10_000))
    started = time.process_time()
    parse_yaml(text[:MOST_BYTES].rpartition("\n")[0], "f")
    assert time.process_time() - started < 10
