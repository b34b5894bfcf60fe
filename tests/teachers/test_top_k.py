"""The largest logits keep their probabilities, and the others, together, theirs."""

from __future__ import annotations

import pytest
import torch

from kdsearch.teachers.top_k import fill_in, keep_largest

LOGITS = 4 * torch.randn(50, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("k", [1, 3, 8, 9])
def test_the_law(k: int) -> None:
    true = LOGITS.softmax(1)
    made = fill_in(keep_largest(LOGITS, k), 10).softmax(1)
    kept = torch.zeros_like(LOGITS, dtype=torch.bool)
    kept.scatter_(1, LOGITS.topk(k).indices, torch.tensor(True).expand(50, k))
    torch.testing.assert_close(made[kept], true[kept])
    others = made[~kept].view(50, 10 - k)
    torch.testing.assert_close(others.sum(1), true[~kept].view(50, 10 - k).sum(1))
    torch.testing.assert_close(others, others[:, :1].expand(-1, 10 - k))


def test_all_but_one_is_all() -> None:
    torch.testing.assert_close(fill_in(keep_largest(LOGITS, 9), 10), LOGITS)


def test_the_order_of_the_largest_is_kept() -> None:
    made = fill_in(keep_largest(LOGITS, 4), 10)
    assert torch.equal(made.topk(4).indices, LOGITS.topk(4).indices)


def test_equal_logits_stay_equal() -> None:
    made = fill_in(keep_largest(torch.zeros(3, 7), 2), 7)
    torch.testing.assert_close(made, torch.zeros(3, 7))


@pytest.mark.parametrize("k", [0, 10, 11])
def test_k_is_less_than_the_classes(k: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 9"):
        keep_largest(LOGITS, k)
