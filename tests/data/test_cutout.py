"""Cutout: one square an image, anywhere, of the mean."""

import pytest
import torch
from torch import Tensor

from kdsearch.data import Batches
from kdsearch.data.augment import _centres, _draws, crop_flip, crop_flip_cutout, cutout
from tests.data.made import made_data, made_split

INDEX = torch.arange(60)
FILL = torch.tensor([7, 70, 200], dtype=torch.uint8)


def cut_one_by_one(images: Tensor, seed: int, epoch: int, fill: Tensor) -> Tensor:
    """The same as anyone would first write it: bounds clipped to the image, as in the paper."""
    side, result = max(1, images.shape[2] // 4), images.clone()
    for image, row, column in zip(result, *_centres(images, INDEX, seed, epoch), strict=True):
        top, left = int(row) - side // 2, int(column) - side // 2
        rows, columns = slice(max(0, top), top + side), slice(max(0, left), left + side)
        image[:, rows, columns] = fill[:, None, None]
    return result


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 5, 7), (2, 16, 12), (3, 3, 3)])
def test_one_square_is_filled_and_nothing_else(shape: tuple[int, int, int]) -> None:
    images, fill = made_split([60], shape).images, FILL[: shape[0]]
    wanted = cut_one_by_one(images, 7, 3, fill)
    assert torch.equal(cutout(images, INDEX, 7, 3, fill), wanted)
    shifted = crop_flip(images, INDEX, 7, 3)
    both = crop_flip_cutout(images, INDEX, 7, 3, fill)
    assert torch.equal(both, cut_one_by_one(shifted, 7, 3, fill))


def test_it_covers_a_quarter_of_the_side_or_less_at_an_edge() -> None:
    white = torch.full((2000, 1, 32, 32), 255, dtype=torch.uint8)
    cut = (cutout(white, torch.arange(2000), 0, 1) == 0).sum((1, 2, 3))
    assert int(cut.max()) == 64 and int(cut.min()) >= 16
    assert (cut == 64).float().mean() > 0.5


def test_its_centre_is_any_pixel_and_says_nothing_of_the_crop() -> None:
    pixels, index = torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.arange(90_000)
    row, column = _centres(pixels, index, 0, 1)
    for centre in (row, column):
        share = torch.bincount(centre, minlength=32) / len(index)
        assert len(share) == 32 and (share - 1 / 32).abs().max() < 0.003  # five deviations
    drawn = torch.stack([row, column, *_draws(pixels, index, 0, 1)]).double()
    assert (torch.corrcoef(drawn) - torch.eye(5)).abs().max() < 0.017


def test_the_square_is_the_mean_to_within_half_a_grey_level() -> None:
    data = made_data(per_class=50, shape=(3, 16, 16))
    plain, cut = (next(Batches(data, 160, a).epoch(3)).inputs for a in ("none", "cutout"))
    changed = (cut != plain).any(1, keepdim=True).expand_as(cut)
    assert changed.any((1, 2, 3)).all()
    bound = torch.tensor(data.std).reciprocal() / 510
    assert (cut.abs() <= bound.view(1, 3, 1, 1) + 1e-6)[changed].all()
