import pytest
import torch

from kdsearch.data.batches import Batches
from kdsearch.data.images import ImageData
from kdsearch.data.normalise import Normalise
from tests.data.made import made_data


@pytest.fixture(scope="module")
def data() -> ImageData:
    return made_data(per_class=50, classes=4, shape=(3, 8, 8))  # 160 to train, 40 to validate


@pytest.mark.parametrize("size", [1, 20, 32, 150, 160, 500])
@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_an_epoch_has_each_sample_once(data: ImageData, size: int, augment: str) -> None:
    batches = Batches(data, size, augment)
    seen = [batch.index for batch in batches.epoch(1)]
    index = torch.cat(seen)
    assert len(seen) == batches.steps_per_epoch
    assert len(index.unique()) == len(index)
    assert len(index) == (150 if size == 150 else 160)  # ten of 150 are too few for a batch


@pytest.mark.parametrize(
    ("size", "steps"),
    [(2, 80), (3, 53), (64, 3), (100, 2), (106, 2), (107, 1), (159, 1), (320, 1), (999, 1)],
)
def test_a_small_last_batch_is_left_out(data: ImageData, size: int, steps: int) -> None:
    batches = Batches(data, size)
    sizes = [len(batch.labels) for batch in batches.epoch(1)]
    assert len(sizes) == batches.steps_per_epoch == steps
    assert steps == 1 or min(sizes) >= max(2, size / 2)


def test_no_sample_is_left_out_for_good(data: ImageData) -> None:
    batches = Batches(data, 150)
    seen = torch.cat([b.index for epoch in (1, 2, 3) for b in batches.epoch(epoch)])
    assert len(seen.unique()) == 160


def test_index_is_the_row_of_image_and_label(data: ImageData) -> None:
    batches = Batches(data, 32)
    for batch in batches.epoch(4):
        assert torch.equal(batch.labels, data.train.labels[batch.index])
        assert torch.equal(batch.inputs, batches.normalise(data.train.images[batch.index]))


@pytest.mark.parametrize("augment", ["none", "crop", "crop_flip"])
def test_seed_and_number_are_the_epoch(data: ImageData, augment: str) -> None:
    def epoch(seed: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        parts = list(Batches(data, 32, augment, seed).epoch(number))
        return torch.cat([b.index for b in parts]), torch.cat([b.inputs for b in parts])

    order, inputs = epoch(0, 3)
    again = epoch(0, 3)
    assert torch.equal(order, again[0]) and torch.equal(inputs, again[1])
    for seed, number in [(0, 4), (1, 3), (3, 0)]:
        assert not torch.equal(epoch(seed, number)[0], order)


def test_a_sample_is_augmented_alike_at_any_batch_size(data: ImageData) -> None:
    def inputs(size: int) -> torch.Tensor:
        parts = list(Batches(data, size, "crop_flip").epoch(2))
        rows = torch.cat([b.index for b in parts]).argsort()
        return torch.cat([b.inputs for b in parts])[rows]

    assert torch.equal(inputs(20), inputs(32))


def test_training_batches_have_mean_zero_and_deviation_one(data: ImageData) -> None:
    inputs = torch.cat([b.inputs for b in Batches(data, 32).epoch(1)])
    assert inputs.dtype == torch.float32
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
    assert (inputs.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["train", "validation", "test"])
@pytest.mark.parametrize("size", [7, 1000])
def test_evaluation_is_whole_in_order_and_as_it_is(data: ImageData, name: str, size: int) -> None:
    batches = Batches(data, 32, "crop_flip")
    parts = list(batches.evaluation(name, size))  # type: ignore[arg-type]
    split = getattr(data, name)
    assert torch.equal(torch.cat([b.labels for b in parts]), split.labels)
    assert torch.equal(torch.cat([b.index for b in parts]), torch.arange(len(split.labels)))
    assert torch.equal(torch.cat([b.inputs for b in parts]), batches.normalise(split.images))


def test_validation_is_the_validation_split(data: ImageData) -> None:
    labels = torch.cat([b.labels for b in Batches(data, 32).validation()])
    assert torch.equal(labels, data.validation.labels)


def test_normalise_reads_bytes_and_floats_alike_and_leaves_them() -> None:
    normalise = Normalise([0.2, 0.5, 0.4], [0.1, 0.3, 0.25])
    pixels = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8)
    floats = pixels.float()
    expected = (pixels.double() / 255).sub(torch.tensor([0.2, 0.5, 0.4]).view(3, 1, 1))
    expected = expected.div(torch.tensor([0.1, 0.3, 0.25]).view(3, 1, 1)).float()
    torch.testing.assert_close(normalise(pixels), expected)
    assert torch.equal(normalise(floats), normalise(pixels))
    assert torch.equal(floats, pixels.float())
    assert not list(normalise.parameters())


def test_nonsense_is_refused(data: ImageData) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Batches(data, 0)
    with pytest.raises(ValueError, match="crop_flip"):
        Batches(data, 8, "rotate")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_sees_the_same_epoch(data: ImageData) -> None:
    epochs = [list(Batches(data, 32, "crop_flip", device=d).epoch(2)) for d in ("cpu", "cuda")]
    for ours, theirs in zip(*epochs, strict=True):
        assert theirs.inputs.is_cuda and torch.equal(ours.index, theirs.index.cpu())
        torch.testing.assert_close(ours.inputs, theirs.inputs.cpu())
