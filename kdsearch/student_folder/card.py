"""What a student is, and its two forms in JSON: a search's own, and the exported one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kdsearch.architecture import Architecture
from kdsearch.config import NonNegative, Plain, Positive, PositiveFloat, validate
from kdsearch.cost import cost
from kdsearch.errors import UserError

SCHEMA_VERSION = 1
FORMAT = "kdsearch-student"  # tells our config.json from the many others of that name
SCALE = 1 / 255


@dataclass(frozen=True)
class StudentCard:
    """What a student is, without its weights.

    Attributes
    ----------
    search, trial_id : str
        Where it comes from.
    architecture : str
        JSON of an `Architecture`.
    classes : tuple of str
        Names, in the order of the logits.
    mean, std : tuple of float
        Per channel, of pixels scaled to 0..1.
    data : str
        Name of the data set.
    validation_accuracy : float or None
        Fraction, 0..1, at the last epoch.
    spec : dict
        The `TrialSpec` as plain JSON values; empty where the student was exported.
    """

    search: str
    trial_id: str
    architecture: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data: str
    validation_accuracy: float | None = None
    spec: dict[str, Any] = field(default_factory=dict)


class _OwnForm(Plain):
    """``student.json``."""

    search: str
    trial_id: str
    architecture: str
    classes: list[str]
    mean: list[NonNegative]
    std: list[PositiveFloat]
    data: str
    validation_accuracy: NonNegative | None
    spec: dict[str, Any]


class _Preprocessing(Plain):
    input: list[Positive]
    layout: Literal["NCHW"]
    dtype: Literal["uint8"]
    scale: PositiveFloat
    mean: list[NonNegative]
    std: list[PositiveFloat]


class _ExportedForm(Plain):
    """``config.json``."""

    format: Literal["kdsearch-student"]
    search: str
    trial_id: str
    architecture: dict[str, Any]
    classes: list[str]
    preprocessing: _Preprocessing
    data: str
    validation_accuracy: NonNegative | None
    parameters: int
    macs: int


def own_form(card: StudentCard) -> bytes:
    """The card as ``student.json``."""
    return _to_json(asdict(card))


def exported_form(card: StudentCard) -> bytes:
    """The card as ``config.json``: without the spec, which knows its maker's folders."""
    architecture = Architecture.from_json(card.architecture)
    content = asdict(card)
    del content["spec"]
    content["preprocessing"] = {
        "input": architecture.input,
        "layout": "NCHW",
        "dtype": "uint8",
        "scale": SCALE,
        "mean": content.pop("mean"),
        "std": content.pop("std"),
    }
    price = cost(architecture)
    content |= {"parameters": price.parameters, "macs": price.macs, "format": FORMAT}
    return _to_json(content | {"architecture": json.loads(architecture.to_json())})


def card_of(text: bytes) -> StudentCard:
    """The card of either form.

    Raises
    ------
    UserError
        Not JSON, a form of a later kdsearch, a missing or wrong entry, or entries that do not fit
        each other. The place is the entry.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError("", f"is not JSON ({error}); copy the folder again") from error
    if not isinstance(raw, dict):
        raise UserError("", f"holds a {type(raw).__name__}, not a student; copy the folder again")
    _check_schema(raw.pop("schema", None))
    card = _from_exported(raw) if "format" in raw else _from_own(raw)
    _check(card)
    return card


def _check_schema(schema: Any) -> None:
    if type(schema) is not int or schema < 1:
        raise UserError("schema", f"got {schema!r}; a student's card has a whole number of 1 or up")
    if schema > SCHEMA_VERSION:
        fault = f"{schema} is of a later kdsearch (known: up to {SCHEMA_VERSION}); update kdsearch"
        raise UserError("schema", fault)


def _from_own(raw: Mapping[str, Any]) -> StudentCard:
    return _made(validate(_OwnForm, raw).model_dump())


def _from_exported(raw: Mapping[str, Any]) -> StudentCard:
    form = validate(_ExportedForm, raw)
    pixels, shape = form.preprocessing, form.architecture.get("input")
    if abs(pixels.scale / SCALE - 1) > 1e-6:
        fault = f"got {pixels.scale}; mean and std are of pixels times 1/255, so scale is {SCALE}"
        raise UserError("preprocessing.scale", fault)
    if pixels.input != shape:
        raise UserError("preprocessing.input", f"got {pixels.input}; the architecture has {shape}")
    content = form.model_dump(exclude={"format", "preprocessing", "parameters", "macs"})
    content["architecture"] = json.dumps(form.architecture, sort_keys=True, separators=(",", ":"))
    return _made(content | {"mean": pixels.mean, "std": pixels.std})


def _made(content: Mapping[str, Any]) -> StudentCard:
    lists = {name: tuple(content[name]) for name in ("classes", "mean", "std")}
    return StudentCard(**{**content, **lists})


def _check(card: StudentCard) -> None:
    try:
        architecture = Architecture.from_json(card.architecture)
    except (ValueError, RecursionError) as error:
        raise UserError("architecture", f"{error}; copy the folder again") from error
    if not _is_shape(architecture.input):
        fault = f"got {architecture.input!r}; it is channels, height and width"
        raise UserError("architecture.input", fault)
    for name, entries, wanted in (
        ("classes", card.classes, architecture.classes),
        ("mean", card.mean, architecture.input[0]),
        ("std", card.std, architecture.input[0]),
    ):
        if len(entries) != wanted:
            raise UserError(name, f"has {len(entries)} entries; the architecture has {wanted}")


def _is_shape(value: Sequence[Any]) -> bool:
    return len(value) == 3 and all(type(n) is int and n > 0 for n in value)


def _to_json(content: Mapping[str, Any]) -> bytes:
    whole = {"schema": SCHEMA_VERSION, **content}
    return json.dumps(whole, indent=1, sort_keys=True, allow_nan=False).encode()
