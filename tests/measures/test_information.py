from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from kdsearch import mutual_information
from kdsearch.data import Batches
from kdsearch.measures.information import SEED, logit_gaps, residuals
from kdsearch.students.outputs import Outputs
from tests.data.made import made_data
from tests.losses.vectors import VECTORS, tensors

NAMES = ["R08", "R08b", "R08c"]


def found(name: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Every key of a vector, by the functions that stand for it."""
    x = tensors(name, dtype)
    draws, fresh = x["y_draws"].detach(), x["y_eval"].detach()
    images = draws.shape[1]
    information = mutual_information(draws, fresh)
    return {
        "mi": information,
        "printed_sum": images * (information - math.log(images)),  # as the paper prints it
        "sigma2": residuals(draws, fresh)[2],
        "mi_all_draws": mutual_information(draws),
        "sigma2_all": residuals(draws)[2],
        "log_N": torch.tensor(math.log(images), dtype=dtype),
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference(name: str, dtype: torch.dtype) -> None:
    row = VECTORS[name]
    rtol = row["rtol_float64"] if dtype == torch.float64 else row["rtol_float32"]
    # Where the two limits are met, what is left is the rounding of log N.
    atol = 1e-14 if dtype == torch.float64 else 1e-6
    values = found(name, dtype)
    assert values.keys() == row["expected"].keys()
    for key, value in values.items():
        assert value.dtype == dtype and value.shape == ()
        assert value.item() == pytest.approx(row["expected"][key], rel=rtol, abs=atol), key


def test_by_hand() -> None:
    draws = torch.tensor([[-1.5, 0.5], [-0.5, 1.5]], dtype=torch.float64)
    means, _, variance = residuals(draws)
    assert means.tolist() == [-1, 1] and variance.item() == 0.25
    # Inner draws are 0.5 and 1.5 away from the two means, outer ones 0.5 and 2.5.
    inner, outer = math.log1p(math.exp(-2 / 0.5)), math.log1p(math.exp(-6 / 0.5))
    wanted = math.log(2) - (inner + outer) / 2
    assert wanted == pytest.approx(0.6840691, abs=1e-7)
    assert mutual_information(draws).item() == pytest.approx(wanted, rel=1e-12)
    fresh = torch.tensor([-1.5, 1.5], dtype=torch.float64)
    assert mutual_information(draws, fresh).item() == pytest.approx(math.log(2) - outer, rel=1e-12)


def made_draws(spread: float, images: int = 8, count: int = 32) -> Tensor:
    """Images `spread` apart, each with draws of variance 1."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(count, images, generator=rng, dtype=torch.float64)
    return noise - noise.mean(0) + spread * torch.arange(images)


def test_it_rises_from_zero_to_log_n_as_images_part() -> None:
    values = [mutual_information(made_draws(s)).item() for s in (0, 0.1, 0.5, 1, 2, 5, 50)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0, abs=1e-12)
    assert values[-1] == pytest.approx(math.log(8), rel=1e-12)


def test_it_does_not_depend_on_place_scale_sign_or_order() -> None:
    draws = made_draws(0.7)
    value = mutual_information(draws)
    for other in (3 * draws, draws + 5, -draws, draws.flip(0), draws.flip(1)):
        torch.testing.assert_close(mutual_information(other), value)


def test_draws_that_are_all_the_same() -> None:
    apart, equal = torch.arange(4.0).expand(6, 4), torch.ones(6, 4)
    assert mutual_information(apart).item() == pytest.approx(math.log(4))
    assert mutual_information(equal).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("draws", "fresh"), [((4,), None), ((2, 3, 4), None), ((6, 4), (6,)), ((6, 4), (1, 4))]
)
def test_shapes_are_checked(draws: tuple[int, ...], fresh: tuple[int, ...] | None) -> None:
    with pytest.raises(ValueError, match=r"\(L, N\)"):
        mutual_information(torch.zeros(draws), None if fresh is None else torch.zeros(fresh))


class Noted(nn.Module):
    """A linear network that notes what it was shown, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.dropout = nn.Linear(192, 4), nn.Dropout()
        self.shown: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Outputs:
        assert not self.training and not torch.is_grad_enabled()
        self.shown.append(inputs)
        return Outputs(self.head(self.dropout(inputs.flatten(1))))


def test_gaps_are_of_two_classes_as_training_shows_them() -> None:
    data = made_data(per_class=10, classes=4, shape=(3, 8, 8))
    batches, network = Batches(data, 16, "crop", seed=3), Noted()
    state = torch.get_rng_state()
    gaps = logit_gaps(network, batches, classes=(3, 1), examples=5, count=6)
    assert gaps.shape == (6, 10) and network.training
    assert torch.equal(torch.get_rng_state(), state)  # nothing of the training's is drawn
    rows = torch.cat([(data.train.labels == label).nonzero().flatten()[:5] for label in (3, 1)])
    for draw in (0, 5):
        seen = batches.augmented(rows, draw, SEED)
        assert torch.equal(network.shown[draw], seen.inputs)
        logits = network.head(seen.inputs.flatten(1))
        torch.testing.assert_close(gaps[draw], (logits[:, 3] - logits[:, 1]).detach())
    assert gaps.std(0).min() > 0  # the draws differ
    assert torch.equal(gaps, logit_gaps(network, Batches(data, 2, "crop"), (3, 1), 5, 6))


def test_a_small_class_gives_what_it_has() -> None:
    data = made_data(per_class=10, classes=4, shape=(3, 8, 8))
    there = int((data.train.labels < 2).sum())
    assert logit_gaps(Noted(), Batches(data, 16, "crop"), count=2).shape == (2, there)


def test_an_epoch_is_made_of_augmented_rows() -> None:
    batches = Batches(made_data(per_class=10, classes=4), 16, "crop_flip", seed=3)
    for batch in batches.epoch(2):
        again = batches.augmented(batch.index, 2, 3)
        assert all(torch.equal(a, b) for a, b in zip(batch[:3], again[:3], strict=True))
