"""The plain config: what a search file says once its holes are filled. Strict: unknown keys fail."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Plain(BaseModel):
    """Frozen, strict, no unknown keys; `identity` is a stable hash of the content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def identity(self) -> str:
        """A 12-digit hash of the content, the same in any process."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class DataConfig(Plain):
    """Which images, how they are split, and how a batch is made."""

    name: str
    root: str | None = None
    images: Positive | None = None  # of train and validation together, stratified; None: all
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2  # share of the training images
    batch_size: Positive = 128
    augment: Literal["none", "crop", "crop_flip"] = "none"
    download: bool = False
    verify: bool = True
    size: Positive | None = None  # image_folder: images are resized to size x size
    labels: Literal["fine", "coarse"] = "fine"  # cifar100: 100 classes or 20
    seed: int = 0  # of the split; not the search's, so that searches share teachers


class TrainingConfig(Plain):
    """How one network is trained: optimizer, schedule, label weight."""

    epochs: Positive
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: PositiveFloat = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    lr_schedule: Literal["cosine", "wsd", "rungs"] = "rungs"
    warmup: Annotated[float, Field(ge=0)] = 0.5  # epochs
    label_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: PositiveFloat | None = 5.0  # largest gradient norm; None: no clipping
    amp: Literal["auto", "off"] = "auto"  # bfloat16 on a GPU
