import pytest
import torch
from torch import Tensor

from kdsearch.data import counter
from kdsearch.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    _draws,
    crop,
    crop_flip,
    cutout,
    padding,
)
from tests.data.made import made_split

INDEX = torch.arange(60)
SHAPES = [(1, 8, 8), (3, 5, 5), (2, 16, 12)]


def images(shape: tuple[int, int, int] = (3, 32, 32)) -> Tensor:
    return made_split([60], shape).images


def one_by_one(images: Tensor, index: Tensor, seed: int, epoch: int, flip: bool) -> Tensor:
    """The same augmentation as anyone would first write it."""
    rows, columns, mirrored = _draws(images, index, seed, epoch)
    pad, result = padding(images), []
    _, _, height, width = images.shape
    for i, image in enumerate(images):
        ground = torch.zeros(image.shape[0], height + 2 * pad, width + 2 * pad, dtype=torch.uint8)
        ground[:, pad : pad + height, pad : pad + width] = image
        row, column = int(rows[i]), int(columns[i])
        part = ground[:, row : row + height, column : column + width]
        result.append(part.flip(2) if flip and mirrored[i] else part)
    return torch.stack(result)


@pytest.mark.parametrize("shape", SHAPES)
def test_crops_are_shifts_on_black(shape: tuple[int, int, int]) -> None:
    pixels = images(shape)
    assert torch.equal(crop(pixels, INDEX, 7, 3), one_by_one(pixels, INDEX, 7, 3, False))
    assert torch.equal(crop_flip(pixels, INDEX, 7, 3), one_by_one(pixels, INDEX, 7, 3, True))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_sample_gets_the_same_in_any_company(name: str) -> None:
    augment, pixels = AUGMENTATIONS[name], images()
    whole = augment(pixels, INDEX, 1, 2)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for part in order.split(7):
        assert torch.equal(augment(pixels[part], INDEX[part], 1, 2), whole[part])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_bytes_stay_bytes_and_the_input_is_untouched(name: str) -> None:
    pixels = images()
    before = pixels.clone()
    result = AUGMENTATIONS[name](pixels, INDEX, 0, 1)
    assert result.dtype == torch.uint8 and result.shape == pixels.shape
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("augment", [crop, crop_flip, cutout])
def test_epochs_and_seeds_differ(augment: Augmentation) -> None:
    pixels = images()
    first = augment(pixels, INDEX, 0, 1)
    for seed, epoch in [(0, 2), (1, 1), (1, 0)]:
        assert not torch.equal(augment(pixels, INDEX, seed, epoch), first)


def test_shifts_are_uniform_and_half_are_mirrored() -> None:
    pixels, count = torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 90_000
    row, column, mirrored = _draws(pixels, torch.arange(count), 0, 1)
    for shift in (row, column):
        share = torch.bincount(shift, minlength=9) / count
        # Five standard deviations of a share of one ninth among 90,000.
        assert len(share) == 9 and (share - 1 / 9).abs().max() < 0.0053
    assert abs(mirrored.float().mean() - 0.5) < 0.0084
    together = torch.stack([row.double(), column.double(), mirrored.double()])
    assert (torch.corrcoef(together) - torch.eye(3)).abs().max() < 0.017


def test_one_epoch_says_nothing_of_the_next() -> None:
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    rows = [_draws(pixels, torch.arange(20_000), 0, epoch)[0].double() for epoch in range(6)]
    off = torch.corrcoef(torch.stack(rows)) - torch.eye(6)
    assert off.abs().max() < 0.036  # five standard deviations


def test_the_hash_is_splitmix64() -> None:
    """Its first outputs from state 0, as published with the generator."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    words = counter._mix(torch.arange(1, 4) * counter.STEP)
    assert [int(word) % 2**64 for word in words] == published


def test_bits_are_not_negative_and_differ() -> None:
    words = counter.bits(0, 1, torch.arange(10_000))
    assert int(words.min()) >= 0 and len(words.unique()) == 10_000
