import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.config import DataConfig
from kdsearch.data.images import ImageData, Split
from kdsearch.data.splits import SMALLEST_STD, apportion, channel_statistics, split
from kdsearch.errors import UserError
from tests.data.made import made_raw

UNEVEN = [90, 40, 25, 15, 10]


def made(**config: object) -> ImageData:
    test = bool(config.pop("test", True))
    return split(DataConfig(name="made", **config), made_raw(UNEVEN, test))  # type: ignore[arg-type]


def rows(part: Split) -> list[bytes]:
    return [image.tobytes() for image in part.images.numpy()]


@pytest.mark.parametrize("test", [True, False])
def test_splits_are_disjoint_and_cover_the_set(test: bool) -> None:
    data, raw = made(test=test), made_raw(UNEVEN, test)
    parts = [rows(data.train), rows(data.validation)] + ([] if test else [rows(data.test)])
    together = [image for part in parts for image in part]
    assert sorted(together) == sorted(rows(raw.train))
    assert len(set(together)) == len(together)


def test_images_keep_their_labels() -> None:
    raw, data = made_raw(UNEVEN, False), made(test=False)
    labels = dict(zip(rows(raw.train), raw.train.labels.tolist(), strict=True))
    for part in (data.train, data.validation, data.test):
        assert [labels[image] for image in rows(part)] == part.labels.tolist()


def test_an_official_test_set_is_left_as_it_is() -> None:
    raw = made_raw(UNEVEN)
    assert raw.test is not None
    assert torch.equal(made().test.images, raw.test.images)
    assert torch.equal(made(images=100, seed=5).test.images, raw.test.images)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**40])
def test_every_split_has_the_shares_of_the_set(seed: int) -> None:
    data = made(test=False, seed=seed, images=120, validation=0.25)
    assert [len(s.labels) for s in (data.train, data.validation, data.test)] == [90, 30, 36]
    for part in (data.train, data.validation, data.test):
        exact = np.array(UNEVEN) / sum(UNEVEN) * len(part.labels)
        # Two draws of less than one image each.
        assert np.abs(np.bincount(part.labels) - exact).max() < 2


def test_a_seed_is_a_split() -> None:
    assert made(seed=3).id == made(seed=3).id
    assert made(seed=3).id != made(seed=4).id
    assert made(seed=-1).id != made(seed=0).id


def test_a_held_out_test_set_depends_on_the_seed_alone() -> None:
    held = made(test=False).test.images
    assert torch.equal(made(test=False, images=60, validation=0.4).test.images, held)
    assert not torch.equal(made(test=False, seed=1).test.images, held)


def test_images_may_be_all_there_are_or_nearly() -> None:
    for count in (180, 179, 178):
        data = made(images=count)
        assert len(data.train.labels) + len(data.validation.labels) == count


def test_the_least_set_has_one_image_a_class_and_split() -> None:
    data = made(images=10, validation=0.5)
    assert sorted(data.train.labels.tolist()) == sorted(data.validation.labels.tolist())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"images": 181}, ["data.images", "181", "180"]),
        ({"images": 150, "test": False}, ["data.images", "150", "144", "36"]),
        ({"images": 9}, ["data.images", "9", "10"]),
        ({"validation": 0.01}, ["data.validation", "0.01", "0.028"]),
        ({"validation": 0.99}, ["data.validation", "0.99", "0.97"]),
    ],
)
def test_a_split_that_cannot_be_made_is_named(config: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        made(**config)
    assert all(word in str(caught.value) for word in words)


def test_a_single_class_is_nothing_to_tell_apart() -> None:
    with pytest.raises(UserError, match=r"data: made has 1 class; .* one folder a class"):
        split(DataConfig(name="made"), made_raw([50]))


@pytest.mark.parametrize(("test", "few"), [(True, 1), (False, 2), (True, 0)])
def test_a_class_too_small_to_split_is_named(test: bool, few: int) -> None:
    with pytest.raises(UserError, match=f"class 'b' of made has {few} images"):
        split(DataConfig(name="made"), made_raw([50, few, 50], test))


def test_statistics_are_those_of_the_training_split() -> None:
    data = split(DataConfig(name="made"), made_raw(UNEVEN, shape=(3, 8, 8)))
    scaled = data.train.images.double() / 255
    torch.testing.assert_close(torch.tensor(data.mean).double(), scaled.mean((0, 2, 3)))
    spread = scaled.std((0, 2, 3), correction=0)
    torch.testing.assert_close(torch.tensor(data.std).double(), spread)


def test_a_constant_channel_has_a_spread_to_divide_by() -> None:
    mean, std = channel_statistics(torch.full((5, 1, 8, 8), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2,)) and std == (SMALLEST_STD,)


@given(st.lists(st.integers(2, 50), min_size=2, max_size=12), st.floats(0, 1))
def test_shares_add_up_and_are_within_one_of_proportion(counts: list[int], where: float) -> None:
    array = np.array(counts)
    take = round(len(counts) + where * (array.sum() - 2 * len(counts)))
    shares = apportion(array, take, 1, array - 1)
    exact = take * array / array.sum()
    assert shares.sum() == take
    assert (shares >= 1).all() and (shares <= array - 1).all()
    if (exact >= 1).all() and (exact <= array - 1).all():
        assert (np.abs(shares - exact) < 1).all()
