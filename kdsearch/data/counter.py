"""Random bits by counting: a hash of (seed, epoch, sample) instead of a generator's state.

What a sample gets does not depend on the batch it stands in, on the order, or on the device.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea & Flood, 2014), its constants as signed 64-bit numbers.
STEP = 0x9E3779B97F4A7C15 - 2**64
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64


def bits(seed: int, epoch: int, index: Tensor) -> Tensor:
    """63 random bits for each sample.

    Parameters
    ----------
    seed, epoch : int
    index : Tensor of any shape, int64
        Number of the sample.

    Returns
    -------
    Tensor of the same shape, int64, at least 0
    """
    return _mix(index * STEP + _stream(seed, epoch)) & (2**63 - 1)


def stream_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch's generator, at least 0, unrelated to those of the epochs beside it."""
    return _stream(seed, epoch) & (2**63 - 1)


@lru_cache(maxsize=64)  # asked for once a batch, and the answer is the epoch's
def _stream(seed: int, epoch: int) -> int:
    words = torch.tensor([seed % 2**63, epoch])
    return int(_mix(_mix(words[0] * STEP) + words[1] * STEP))


def _mix(words: Tensor) -> Tensor:
    words = (words ^ _shift(words, 30)) * FIRST  # int64 products wrap around, as they should
    words = (words ^ _shift(words, 27)) * SECOND
    return words ^ _shift(words, 31)


def _shift(words: Tensor, places: int) -> Tensor:
    """To the right, filled with zeros: on signed numbers ``>>`` alone repeats the sign."""
    return (words >> places) & ((1 << (64 - places)) - 1)
