"""The plain config: what a search file says once its holes are filled.

Strict: an unknown key or a wrong type fails with the path in the search file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kdsearch.validation import nearest as nearest
from kdsearch.validation import validate as validate

Positive = Annotated[int, Field(ge=1, lt=2**31)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # NumPy takes 32 bits
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Augment = Literal["none", "crop", "crop_flip", "cutout", "crop_flip_cutout"]


class Plain(BaseModel):
    """Frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataConfig(Plain):
    """Which images, how they are split, and how a batch is made."""

    name: str
    root: str | None = None  # relative to the search file
    images: Positive | None = None  # of train and validation together, stratified; None: all
    validation: Share = 0.2  # share of the training images
    batch_size: Annotated[int, Field(ge=2)] = 128  # batch norm needs two samples
    augment: Augment = "none"
    download: bool = False
    verify: bool = True  # checksums of downloaded sets
    size: Positive | None = None  # image_folder: images are resized to size x size
    labels: Literal["fine", "coarse"] = "fine"  # cifar100: 100 classes or 20
    # Of image_folder and a user's dataset. true: decoded once into files that are mapped, so that
    # they need not fit into memory. auto: if they take more than `memory_mib`. The same training.
    stream: bool | Literal["auto"] = "auto"
    memory_mib: PositiveFloat | None = None  # None: a quarter of the memory that is free
    seed: int = 0  # of the split; not the search's, so that searches share teachers

    @field_validator("stream", mode="before")
    @classmethod
    def _yes_no_or_auto(cls, stream: Any) -> Any:
        if not isinstance(stream, bool) and stream != "auto":
            raise ValueError("must be true, false or auto")
        return stream


class TrainingConfig(Plain):
    """How one network is trained: optimizer, schedule, label weight."""

    epochs: Positive  # of the schedule
    stop_epoch: Positive | None = None  # train only so far into it
    scheme: Literal["single"] = "single"
    optimizer: Literal["adamw", "sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NonNegative = 5e-4
    lr_schedule: Literal["cosine", "rungs", "wsd"] = "rungs"
    warmup: NonNegative = 0.5  # epochs
    label_weight: NonNegative = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: PositiveFloat | None = 5.0  # largest gradient norm; None: no clipping
    # auto: on a GPU. bfloat16: on a CPU too, which pays where it has the instructions for it.
    amp: Literal["auto", "bfloat16", "off"] = "auto"

    @property
    def last_epoch(self) -> int:
        """The epoch after which training ends by itself."""
        return min(self.stop_epoch or self.epochs, self.epochs)


class TeacherConfig(Plain):
    """The teacher: trained here when `weights` is absent, loaded otherwise."""

    architecture: dict[str, Any]
    weights: str | None = None  # safetensors or a state dict; relative to the search file
    epochs: Positive = 30
    stop_epoch: Positive | None = None  # train only so far into the schedule of `epochs`
    optimizer: Literal["adamw", "sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    weight_decay: NonNegative = 5e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: Augment | None = None  # None: as the data section says
    batch_size: Annotated[int, Field(ge=2)] | None = None
    seed: Seed = 0

    def training(self) -> TrainingConfig:
        """The training of the teacher: one annealing over `epochs`, labels alone."""
        shared = {"epochs", "stop_epoch", "optimizer", "lr", "weight_decay", "label_smoothing"}
        return TrainingConfig(lr_schedule="cosine", **self.model_dump(include=shared))


class StoreConfig(Plain):
    """What the teacher says of the training images, computed once for all trials of a search.

    A training with a loss term takes its images in `views`: augmented versions of each, drawn once,
    the same for all trials, one in turn an epoch. Without a term every epoch is augmented anew.
    """

    # auto: `DEFAULT_VIEWS`, or as many as fit. live: fresh every epoch, the teacher in the loop.
    views: Annotated[int, Field(ge=1, le=4096)] | Literal["auto", "live"] = "auto"
    dtype: Literal["float16", "float32"] = "float16"
    top_k: Positive | None = None  # logits kept of an image, the others as one mean; None: all
    memory_mib: PositiveFloat = 2048  # of all teachers, augmentations and views
    # Stage outputs are large. auto: kept where they fit, else losses on them run the teacher.
    features: Literal["auto", "always", "never"] = "auto"

    @field_validator("views", mode="before")
    @classmethod
    def _number_or_word(cls, views: Any) -> Any:
        if isinstance(views, str) and views not in ("auto", "live"):
            raise ValueError("must be a number from 1, auto or live")
        return views


class LossConfig(BaseModel):
    """One term of the training loss; the method's own parameters stand beside these.

    The term's factor is ``scale x weight``, times what the schedule says: it rises linearly over
    the first `warmup` epochs, falls linearly to the share `final` of itself at the end of the
    schedule, and is zero after `stop_epoch`. Epochs count from the end of the pre-training, if
    there is one; in a pre-training with the student the factor is constant.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    method: str
    # No default: useful weights differ by orders of magnitude. auto: the label loss's gradient norm
    # over the term's, measured on the first steps.
    weight: PositiveFloat | Literal["auto"]
    scale: PositiveFloat = 1.0
    warmup: NonNegative = 0.0
    final: NonNegative = 1.0
    stop_epoch: Positive | None = None

    @field_validator("weight", mode="before")
    @classmethod
    def _number_or_auto(cls, weight: Any) -> Any:
        if isinstance(weight, str) and weight != "auto":
            raise ValueError(f"must be a number above 0, or auto, got {weight!r}")
        return weight

    @property
    def parameters(self) -> dict[str, Any]:
        """The method's own parameters."""
        return dict(self.model_extra or {})


class ScratchStart(Plain):
    """Fresh weights, drawn from the trial's seed."""

    name: Literal["scratch"] = "scratch"


class FuseStart(Plain):
    """The teacher's weights, similar blocks merged until the student's number is left."""

    name: Literal["fuse"]
    similarity: Literal["cosine", "euclidean", "covariance", "wasserstein", "cka"] = "cka"
    merge: Literal["freeze", "average", "mix"] = "average"
    mix: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of the first block, where merge is mix


class InheritStart(Plain):
    """The teacher's weights, of the blocks and channels that an edit leaves."""

    name: Literal["inherit"]
    importance: Literal["l1", "bn"] = "l1"  # of channels: by their filters, or by their norms
    recalibrate: Annotated[int, Field(ge=0)] = 20  # training batches for the batch norms; 0: none


class Plan(Plain):
    """What one trial does: the sections of a search file in which holes may stand, and measures."""

    data: DataConfig
    teacher: TeacherConfig | None = None
    student: dict[str, Any]
    start: Annotated[ScratchStart | FuseStart | InheritStart, Field(discriminator="name")] = (
        ScratchStart()
    )
    losses: list[LossConfig | None] = []
    training: TrainingConfig
    # No hole may stand here. Rows written before there was a store mean live.
    store: StoreConfig = StoreConfig(views="live")
    measures: list[str] = []  # of the student against the teacher; no hole may stand here

    @field_validator("teacher", mode="before")
    @classmethod
    def _none_is_no_teacher(cls, teacher: Any) -> Any:
        return None if teacher == "none" else teacher

    @field_validator("losses", mode="before")
    @classmethod
    def _none_is_no_term(cls, terms: Any) -> Any:
        # A None keeps the place of the term, so that errors name the index the user wrote.
        return [None if t == "none" else t for t in terms] if isinstance(terms, list) else terms

    @property
    def terms(self) -> list[LossConfig]:
        """The loss terms that are there."""
        return [term for term in self.losses if term is not None]

    @property
    def views(self) -> int | None:
        """Views that its epochs take in turn; None: every epoch is augmented anew."""
        if not self.terms or not isinstance(self.store.views, int):
            return None
        return 1 if self.data.augment == "none" else self.store.views

    @property
    def taught(self) -> bool:
        """Whether a trial asks its teacher: to begin or learn with it, or to be measured by it."""
        return bool(self.terms or self.measures or self.start.name != "scratch")


class TrialSpec(Plain):
    """Everything needed to run one trial again, alone.

    Attributes
    ----------
    plan : Plan
        The plain config of the trial.
    architecture : str
        The student, as `Architecture.to_json` gives it.
    teacher_id : str or None
        The folder of the teacher under ``results/teachers``.
    rungs : list of int
        Epochs at which the trial may be ended: the schedule ``rungs`` anneals to each.
    seed : int
        Of the student's weights, the order of samples and the augmentation.
    threads : int
        CPU threads of the training process.
    """

    plan: Plan
    architecture: str
    teacher_id: str | None = None
    rungs: list[int] = []
    seed: int = 0
    threads: int = 1


def identity(content: Any) -> str:
    """A 12-digit hash of plain content, the same in any process and on any machine."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
