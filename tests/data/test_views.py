"""A view is the same pixels for everybody, and an epoch's view follows from seed and epoch."""

from __future__ import annotations

import pytest
import torch

from kdsearch.data import Batches, ImageData
from kdsearch.data.batches import view_of
from tests.data.made import made_data


@pytest.fixture(scope="module")
def data() -> ImageData:
    return made_data(per_class=20, classes=4, shape=(3, 8, 8))


def pixels(batches: Batches, epoch: int) -> tuple[torch.Tensor, int]:
    """Inputs of an epoch in the order of the split, and the view that they are."""
    parts = list(batches.epoch(epoch))
    (view,) = {batch.view for batch in parts}
    assert view is not None
    rows = torch.cat([batch.index for batch in parts]).argsort()
    return torch.cat([batch.inputs for batch in parts])[rows], view


@pytest.mark.parametrize("views", [1, 2, 5, 16])
def test_every_view_comes_once_a_turn(views: int) -> None:
    shown = [view_of(3, epoch, views) for epoch in range(1, 4 * views + 1)]
    turns = [shown[i : i + views] for i in range(0, len(shown), views)]
    assert all(sorted(turn) == list(range(views)) for turn in turns)
    assert shown == [view_of(3, epoch, views) for epoch in range(1, 4 * views + 1)]
    if views > 4:
        assert len({tuple(turn) for turn in turns}) > 1
        assert shown != [view_of(4, epoch, views) for epoch in range(1, 4 * views + 1)]


@pytest.mark.parametrize("augment", ["crop", "crop_flip"])
def test_a_view_is_the_same_for_trials_of_any_seed_and_batch_size(
    data: ImageData, augment: str
) -> None:
    seen: dict[int, list[torch.Tensor]] = {}
    for seed, size in ((0, 16), (7, 64)):
        batches = Batches(data, size, augment, seed, views=3)
        for epoch in (1, 2, 3):
            inputs, view = pixels(batches, epoch)
            seen.setdefault(view, []).append(inputs)
    assert sorted(seen) == [0, 1, 2]
    assert all(torch.equal(one, other) for one, other in seen.values())
    assert not torch.equal(seen[0][0], seen[1][0])


def test_a_whole_view_is_what_an_epoch_shows(data: ImageData) -> None:
    batches = Batches(data, 16, "crop_flip", seed=5, views=4)
    inputs, view = pixels(batches, 2)
    whole = list(Batches(data, 1, "crop_flip").whole_view(view, 7))
    assert torch.equal(torch.cat([batch.inputs for batch in whole]), inputs)
    assert torch.equal(torch.cat([batch.index for batch in whole]), torch.arange(len(inputs)))
    assert {batch.view for batch in whole} == {view}


def test_views_change_no_order(data: ImageData) -> None:
    fresh, turned = (Batches(data, 16, "crop", seed=2, views=views) for views in (None, 2))
    for ours, theirs in zip(fresh.epoch(3), turned.epoch(3), strict=True):
        assert torch.equal(ours.index, theirs.index) and torch.equal(ours.labels, theirs.labels)
        assert ours.view is None and not torch.equal(ours.inputs, theirs.inputs)


def test_there_is_a_view_at_least(data: ImageData) -> None:
    with pytest.raises(ValueError, match="views"):
        Batches(data, 8, "crop", views=0)


def test_no_training_has_the_seed_of_the_views(data: ImageData) -> None:
    index = torch.arange(64)
    batches = Batches(data, 64, "crop_flip", views=2)
    for seed in (0, 1, 2**31 - 1):
        assert not torch.equal(
            batches.seen(index, 1).inputs, batches.augmented(index, 1, seed).inputs
        )
