"""Logits of which the largest are kept one by one, and all others as one number."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Largest(NamedTuple):
    """What is left of logits of shape (N, K).

    Attributes
    ----------
    values : Tensor of shape (N, k)
        The largest logits, in falling order.
    classes : Tensor of shape (N, k), int64
        Where each stood.
    rest : Tensor of shape (N,)
        The logit of every other class: the one by which they hold, together, the probability that
        they had at temperature 1.
    """

    values: Tensor
    classes: Tensor
    rest: Tensor


def keep_largest(logits: Tensor, k: int) -> Largest:
    """The k largest of each row, k at least 1 and less than the number of classes."""
    classes = logits.shape[1]
    if not 1 <= k < classes:
        raise ValueError(f"k must be from 1 to {classes - 1}, got {k}")
    values, places = logits.sort(dim=1, descending=True, stable=True)
    spread = torch.log(torch.tensor(float(classes - k), device=logits.device))
    return Largest(values[:, :k], places[:, :k], values[:, k:].logsumexp(1) - spread)


def fill_in(largest: Largest, classes: int) -> Tensor:
    """Logits of shape (N, classes) with the probabilities that were kept.

    At temperature 1 the kept classes have the probability that they had, to rounding; the others
    share what is left alike. At any other temperature, and for a loss on logits themselves, what is
    said of the others is an approximation.
    """
    values, places, rest = largest
    logits = rest[:, None].expand(-1, classes).clone()
    return logits.scatter_(1, places.long(), values)
