"""A split for which a GPU has no room: fetched from the host, and the same in everything else."""

from __future__ import annotations

import threading

import pytest
import torch

from kdsearch.data import Batches, ImageData, batches, fetching
from tests.data.made import made_data
from tests.data.test_streamed import assert_same, everything


@pytest.fixture
def data() -> ImageData:
    return made_data(per_class=30, shape=(3, 8, 8))


@pytest.mark.parametrize("views", [None, 3])
def test_batches_from_the_host_are_the_same(
    data: ImageData, views: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = everything(data, views)
    monkeypatch.setattr(batches, "stays", lambda images, device: False)
    assert_same(everything(data, views), resident)


def test_an_epoch_that_is_left_ends_its_thread(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "stays", lambda images, device: False)
    epoch = Batches(data, 4).epoch(1)
    next(epoch)
    assert any(t.name.startswith("fetch") for t in threading.enumerate())
    epoch.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
    assert not any(t.name.startswith("fetch") for t in threading.enumerate())


def test_a_row_that_is_not_there_is_raised_where_it_is_used(data: ImageData) -> None:
    order = [torch.tensor([0]), torch.tensor([10**6])]
    found = fetching.fetched(data.train.images, order, torch.device("cpu"))
    assert torch.equal(next(found), data.train.images[:1])
    with pytest.raises(IndexError):
        next(found)


@pytest.mark.parametrize(("free", "stays"), [(4000, True), (3999, False)])
def test_a_split_stays_where_a_quarter_of_the_free_memory_holds_it(
    free: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**6))
    images = torch.zeros(10, 1, 10, 10, dtype=torch.uint8)
    assert fetching.stays(images, torch.device("cuda")) == stays
    assert fetching.stays(images, torch.device("cpu"))


def test_large_images_are_evaluated_in_smaller_batches(data: ImageData) -> None:
    assert Batches(data, 4).large == 1000
    assert Batches(made_data(per_class=5, classes=2, shape=(3, 224, 224)), 4).large == 5
