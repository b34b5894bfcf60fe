"""What a driver remembers is no work for the collector, and what it drops is garbage as ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from kdsearch.tune.collecting import short_collections


class Node:
    """May be part of a cycle."""

    def __init__(self) -> None:
        self.itself: Node | None = None


def cycle() -> weakref.ref[Node]:
    node = Node()
    node.itself = node
    return weakref.ref(node)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Whatever a test leaves, the collector is as it was."""
    before = gc.get_threshold(), len(gc.callbacks)
    yield
    assert (gc.get_threshold(), len(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0


def test_what_has_survived_a_whole_collection_is_not_looked_at_again() -> None:
    with short_collections():
        kept = [[number] for number in range(5000)]
        gc.collect()
        assert len(gc.get_objects(generation=2)) < len(kept) / 10
        assert gc.get_freeze_count() > len(kept)


def test_cycles_that_are_dropped_are_still_collected() -> None:
    with short_collections():
        dropped = cycle()
        gc.collect()
        assert dropped() is None


def test_one_that_is_dropped_later_is_collected_at_the_end() -> None:
    with short_collections():
        node = Node()
        node.itself = node
        dropped = weakref.ref(node)
        gc.collect()
        del node
        gc.collect()
        assert dropped() is not None  # what is given up
    gc.collect()
    assert dropped() is None


def test_it_ends_however_the_search_ends() -> None:
    with pytest.raises(KeyboardInterrupt), short_collections():
        raise KeyboardInterrupt
