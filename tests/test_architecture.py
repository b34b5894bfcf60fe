"""An architecture is a value: equal, hashable, JSON both ways, edited by making another."""

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from functools import partial
from typing import Any

import pytest

from kdsearch.architecture import Architecture, Block, Stage

CHAIN = Architecture(
    "convnet", (3, 8, 8), 5, stages=(Stage((Block("conv", 4), Block("conv", 6, stride=2))),)
)
STREAM = Architecture(
    "resnet",
    (1, 8, 8),
    5,
    Block("conv", 4),
    (
        Stage((Block("basic", inner=4),), 4),
        Stage((Block("basic", inner=8, stride=2), Block("basic", inner=7)), 8),
    ),
)
FOREIGN = Architecture(
    "torchvision", (3, 8, 8), 5, options=(("model", "resnet18"), ("sizes", ((1, 2), None, 0.5)))
)
ALL = (CHAIN, STREAM, FOREIGN)
NUMBERS = ("width", "inner", "kernel", "stride")


def changed(**number: Any) -> Architecture:
    """A chain of one block, of which one number is another."""
    return replace(CHAIN, stages=(Stage((Block("conv", **{"width": 4, **number}),)),))


@pytest.mark.parametrize("architecture", ALL)
def test_json_round_trip_is_the_identity(architecture: Architecture) -> None:
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert (hash(again), again.key) == (hash(architecture), architecture.key)


def test_json_is_canonical() -> None:
    text = STREAM.to_json()
    raw = json.loads(text)
    shuffled = json.dumps(dict(reversed(raw.items())), indent=2)
    assert Architecture.from_json(shuffled).to_json() == text
    assert "null" not in text and " " not in text


def test_key_is_the_same_in_another_process() -> None:
    code = (
        "import sys; from kdsearch.architecture import Architecture as A;"
        "print(*[A.from_json(line).key for line in sys.stdin]); assert 'torch' not in sys.modules"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(a.to_json() for a in ALL),
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == [a.key for a in ALL]


def test_different_networks_have_different_keys() -> None:
    edits = [*ALL, STREAM.with_width(0, 5), STREAM.with_inner(1, 1, 6), STREAM.without_block(1, 1)]
    assert len({a.key for a in edits}) == len(set(edits)) == len(edits)


def test_an_edit_leaves_the_original() -> None:
    before = STREAM.to_json()
    STREAM.with_width(0, 5)
    STREAM.without_block(1, 0)
    assert STREAM.to_json() == before
    with pytest.raises(FrozenInstanceError):
        STREAM.classes = 3  # type: ignore[misc]


def test_removing_a_block_keeps_the_stride_and_the_stream() -> None:
    assert STREAM.without_block(1, 0).stages[1] == Stage((Block("basic", inner=7, stride=2),), 8)
    assert STREAM.without_block(1, 1).stages[1] == Stage((Block("basic", inner=8, stride=2),), 8)
    assert CHAIN.without_block(0, 1).stages[0] == Stage((Block("conv", 4, stride=2),))


def test_widths_stand_where_they_are_coupled() -> None:
    assert STREAM.with_width(1, 3).stages[1].out_width == 3
    assert [CHAIN.with_width(0, 3, block=0).stages[0].width_of(b) for b in (0, 1)] == [3, 6]
    for wrong in (
        lambda: STREAM.with_width(0, 3, block=0),
        lambda: CHAIN.with_width(0, 3),
        lambda: CHAIN.with_inner(0, 0, 3),
        lambda: STREAM.without_block(0, 0),
        lambda: STREAM.with_width(0, 0),
        lambda: STREAM.with_inner(0, 0, 0),
        lambda: replace(CHAIN, classes=1),
        lambda: replace(CHAIN, stages=(Stage(()),)),
        lambda: replace(CHAIN, stages=(Stage((Block("conv"),)),)),
        lambda: replace(CHAIN, stages=(Stage((Block("conv", 3),), 3),)),
        lambda: replace(STREAM, stem=Block("conv", 0)),
        lambda: replace(STREAM, stem=Block("conv", 4, kernel=4)),
        *(partial(changed, **{key: x}) for key in NUMBERS for x in (0, -3, 1.5, 3.0, True, "3")),
    ):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "3", "null", '{"family":"mlp"}', CHAIN.to_json().replace("kind", "sort")],
)
def test_what_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an architecture"):
        Architecture.from_json(text)
