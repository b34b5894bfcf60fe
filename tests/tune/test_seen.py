"""A set in files, on a cluster of which a node does not see them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.tune.seen import check_seen
from tests.data.made import made_data

DATA = made_data()


def test_a_node_that_does_not_see_the_files_is_named() -> None:
    streamed = replace(DATA, folder=Path("/cache/data/photos"))
    check_seen(streamed, lambda folder: {"a": True, "b": True})
    check_seen(streamed, lambda folder: {})
    with pytest.raises(UserError, match=r"/cache/data/photos is not seen by 2 nodes, b among"):
        check_seen(streamed, lambda folder: {"a": True, "c": False, "b": False})


def test_a_set_in_memory_needs_no_files() -> None:
    check_seen(DATA, lambda folder: {"a": False})
