"""What a search keeps of its teachers' outputs: how many views, which parts, how many bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Size

from kdsearch.config import StoreConfig
from kdsearch.errors import UserError
from kdsearch.students.outputs import OutputShapes
from kdsearch.teachers.parts import PARTS, SMALL
from kdsearch.teachers.store import class_dtype

# As good as live in benchmarks/views.py; they cost what five epochs of training a teacher do.
DEFAULT_VIEWS = 16
MIB = 2**20


@dataclass(frozen=True)
class Need:
    """What one plan asks of the store.

    Attributes
    ----------
    taps : frozenset of str
        Parts of the teacher's outputs that its losses read; empty where it has none.
    augment : str
    epochs : int
    """

    taps: frozenset[str]
    augment: str
    epochs: int


@dataclass(frozen=True)
class Stock:
    """What is kept for a search.

    Attributes
    ----------
    config : StoreConfig
        The one of every trial: `views` a number or ``live``, `features` decided.
    parts : tuple of str
        Kept, in the order of `Outputs`; none where the teacher is in the loop.
    augments : tuple of str
        Augmentations for which they are kept.
    nbytes : int
        Of all teachers, augmentations and views.
    runs_teacher : bool
        Whether some losses read what is not kept, and run the teacher on the same views.
    """

    config: StoreConfig
    parts: tuple[str, ...] = ()
    augments: tuple[str, ...] = ()
    nbytes: int = 0
    runs_teacher: bool = False

    def views(self, augment: str) -> int:
        """Views that are kept of an augmentation: where nothing is augmented, one is all."""
        assert isinstance(self.config.views, int)
        return 1 if augment == "none" else self.config.views

    def __str__(self) -> str:
        number = self.config.views
        if not self.parts:
            seen = "" if number == "live" else f", on {number} views of each image"
            return f"store: nothing; the teacher is in the loop{seen}"
        if not self.augments:
            return "store: nothing; the teacher's own folder holds its logits of plain images"
        views = ", ".join(
            f"{n} view{'s' * (n != 1)} ({augment})"
            for augment in self.augments
            for n in [self.views(augment)]
        )
        top = "" if self.config.top_k is None else f" (the largest {self.config.top_k})"
        names = ", ".join(part + top * (part == "logits") for part in self.parts)
        size = f"{self.nbytes / MIB:,.1f} of {self.config.memory_mib:,g} MiB"
        kept = f"store: {names} of {views} in {self.config.dtype}, {size}"
        return kept + "; losses on feature maps run the teacher" * self.runs_teacher


def stock_up(
    config: StoreConfig, needs: Iterable[Need], teachers: Sequence[OutputShapes], samples: int
) -> Stock:
    """Decide what is kept.

    Parameters
    ----------
    config : StoreConfig
        As the file says.
    needs : iterable of Need
        Of every plan of the space.
    teachers : sequence of OutputShapes
        Of one sample each.
    samples : int
        Rows of the training split.

    Raises
    ------
    UserError
        A budget that does not hold one view, or not the views or features that are asked for.
    """
    asked = [need for need in needs if need.taps]
    if config.views == "live" or not asked or not teachers:
        return Stock(config.model_copy(update={"views": "live"}))
    longest = max(need.epochs for need in asked)
    most = min(DEFAULT_VIEWS, longest) if config.views == "auto" else config.views
    small = frozenset[str]().union(*(need.taps for need in asked if need.taps <= SMALL))
    every = frozenset[str]().union(*(need.taps for need in asked))
    augments = tuple(sorted({need.augment for need in asked}))
    measure = _Measure(config, teachers, samples, augments)
    has_maps = not every <= SMALL
    parts = every if config.features == "always" else small
    views = measure.fitting(parts, most) if parts else most
    if has_maps and config.features == "auto" and measure(every, views) <= measure.room:
        parts = every
    if has_maps:
        kept = "never" if every != parts else "always"
        config = config.model_copy(update={"features": kept})
    if not parts:  # who asked for a number of views has them, and who did not has fresh images
        views = "live" if config.views == "auto" else views
    return Stock(
        config=config.model_copy(update={"views": views}),
        parts=tuple(part for part in PARTS if part in parts),
        augments=tuple(augment for augment in augments if measure.keeps(augment, parts)),
        nbytes=measure(parts, views) if isinstance(views, int) else 0,
        runs_teacher=has_maps and parts != every,
    )


class _Measure:
    """Bytes of what would be kept."""

    def __init__(
        self,
        config: StoreConfig,
        teachers: Sequence[OutputShapes],
        samples: int,
        augments: Sequence[str],
    ) -> None:
        self.config, self.teachers, self.samples = config, teachers, samples
        self.augments = augments
        self.room = config.memory_mib * MIB

    def __call__(self, parts: Iterable[str], views: int) -> int:
        """Of these parts, of all teachers, augmentations and views."""
        rows = sum(
            1 if augment == "none" else views
            for augment in self.augments
            if self.keeps(augment, parts)
        )
        one = sum(self._sample(shapes, part) for shapes in self.teachers for part in parts)
        return rows * self.samples * one

    def keeps(self, augment: str, parts: Iterable[str]) -> bool:
        """False where a teacher's own record holds all of it: its logits of plain images."""
        recorded = augment == "none" and self.config.top_k is None
        return bool(parts) and not (recorded and set(parts) == {"logits"})

    def fitting(self, parts: frozenset[str], most: int) -> int:
        """How many views fit, at most so many; all of them where a number was asked for."""
        if self(parts, most) <= self.room:
            return most
        one, step = self(parts, 1), self(parts, 2) - self(parts, 1)
        fits = 0 if one > self.room else 1 + int(self.room - one) // step
        if fits and self.config.views == "auto":
            return fits
        remedy = "raise it, set store.top_k, or write store.views: live"
        if not fits:
            what = f"one view of the teacher's {' and '.join(sorted(parts))}"
            fault = f"{self.config.memory_mib:g}, and {what} takes {one / MIB:,.3g}; {remedy}"
            raise UserError("store.memory_mib", fault)
        fault = f"{most} take {self(parts, most) / MIB:,.1f} MiB, and store.memory_mib is "
        fault += f"{self.config.memory_mib:g}; write at most {fits}, or raise store.memory_mib"
        raise UserError("store.views", fault)

    def _sample(self, shapes: OutputShapes, part: str) -> int:
        number = {"float16": 2, "float32": 4}[self.config.dtype]
        if part == "logits":
            classes, k = shapes.logits[1], self.config.top_k
            if k is not None and k < classes:
                return k * (number + class_dtype(classes).itemsize) + number
            return number * classes
        shown: Sequence[Size] = getattr(shapes, part) or ()
        sizes = [shown] if isinstance(shown, Size) else shown
        return number * sum(Size(size)[1:].numel() for size in sizes)
