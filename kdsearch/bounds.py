"""Upper bounds of a search file: a number, or one that says where it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from kdsearch.config import Plain, Positive, PositiveFloat

DEVICE = r"^(cpu|cuda(:\d{1,3})?)$"


class Bound(float):
    """A bound on what is measured, with the place of the measurement.

    Attributes
    ----------
    device : str
    batch_size : int
    """

    device: str
    batch_size: int


class _Section(Plain):
    most: PositiveFloat
    device: Annotated[str, Field(pattern=DEVICE)]
    batch_size: Positive = 1


def _read(value: Any, number: ValidatorFunctionWrapHandler) -> float:
    if not isinstance(value, Mapping):
        return number(value)
    try:
        section = _Section.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}; write most and device"
        raise PydanticCustomError("bound", "{fault}", {"fault": fault}) from None
    bound = Bound(section.most)
    bound.device, bound.batch_size = section.device, section.batch_size
    return bound


BoundNumber = Annotated[PositiveFloat, WrapValidator(_read)]


def numbers_of(constraints: Mapping[str, Any]) -> dict[str, float]:
    """The numbers alone of a section as it stands in a search file."""
    return {n: b["most"] if isinstance(b, Mapping) else b for n, b in constraints.items()}
