from __future__ import annotations

import pytest
import torch

from kdsearch.losses.logits import logits_loss
from tests.losses.vectors import check


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_the_reference_with_its_gradient(dtype: torch.dtype) -> None:
    check("R04", "loss", lambda x: logits_loss(x["s"], x["t"]), dtype, wrt="s")


def test_a_mean_over_elements_is_two_over_k_of_it() -> None:
    check("R04", "mse_mean", lambda x: logits_loss(x["s"], x["t"]) * 2 / 5, torch.float64)
