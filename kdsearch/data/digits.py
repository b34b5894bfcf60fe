"""scikit-learn's embedded digits: 1,797 grey images of 8x8, no file and no network."""

from __future__ import annotations

import numpy as np
import torch

from kdsearch.config import DataConfig
from kdsearch.data.images import Split
from kdsearch.data.source import Outline, Raw, Root

CLASSES = tuple("0123456789")


def read(config: DataConfig, root: Root) -> Raw:
    """Images of shape (1797, 1, 8, 8), their grey levels spread over 0..255; no test set."""
    from sklearn.datasets import load_digits  # 2 s to import, and only this set needs it

    pixels, labels = load_digits(return_X_y=True)
    grey = np.rint(pixels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    train = Split(torch.from_numpy(grey), torch.from_numpy(labels.astype(np.int64)))
    return Raw(train, None, CLASSES)


def outline(config: DataConfig, root: Root) -> Outline:
    """The shape and the classes, without scikit-learn."""
    return Outline((1, 8, 8), CLASSES, 1797, has_test=False)
