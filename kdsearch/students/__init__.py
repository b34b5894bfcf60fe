"""Students: from the words of a search file to an architecture, and from there to a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.students import convnet, foreign, mlp, mobilenet, resnet, wide_resnet
from kdsearch.students.family import Family, nearest_first
from kdsearch.students.outputs import Outputs, OutputShapes

__all__ = [
    "FAMILIES",
    "Family",
    "OutputShapes",
    "Outputs",
    "build_student",
    "describe",
    "family_of",
    "output_shapes",
]

FAMILIES: dict[str, Family] = {
    "convnet": Family(convnet.describe, convnet.build, convnet.shapes, convnet.layers),
    "mlp": Family(mlp.describe, mlp.build, mlp.shapes, mlp.layers),
    "mobilenet": Family(mobilenet.describe, mobilenet.build, mobilenet.shapes, mobilenet.layers),
    "resnet": Family(resnet.describe, resnet.build, resnet.shapes, resnet.layers),
    "torchvision": Family(foreign.torchvision, foreign.build, foreign.shapes),
    "wide_resnet": Family(
        wide_resnet.describe, wide_resnet.build, wide_resnet.shapes, wide_resnet.layers
    ),
}


def family_of(name: str) -> Family:
    """The family of this name: a row of `FAMILIES`, or a user's factory, ``module:callable``.

    Raises
    ------
    UserError
        Neither; the message names the families, the nearest first.
    """
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    if isinstance(name, str) and ":" in name:
        return foreign.factory(name)
    known = nearest_first(name, FAMILIES)
    raise UserError("family", f"{name!r} is unknown; take one of {known}, or your own module:name")


def describe(student: Mapping[str, Any], input: tuple[int, int, int], classes: int) -> Architecture:
    """The architecture that a student section means.

    Parameters
    ----------
    student : mapping
        `family` and the family's own keys; or `architecture` alone, which holds what
        `Architecture.to_json` gave, as text or as a mapping.
    input : tuple of int
        Channels, height, width of the data's images.
    classes : int
        Classes of the data.

    Raises
    ------
    UserError
        A section that means no network that can be built for this data. The place is the key.
    """
    params = dict(student)
    if "architecture" in params:
        return _stored(params, input, classes)
    if "family" not in params:
        raise UserError("family", f"missing; take one of {', '.join(FAMILIES)}")
    name = params.pop("family")
    family = family_of(name)
    family.check(name, params)
    architecture = family.describe(input, classes, **params)
    family.shapes(architecture, 1)  # says so if the images are too small for it
    return architecture


def build_student(
    architecture: Architecture, seed: int | None = None, device: str | torch.device = "cpu"
) -> nn.Module:
    """A network with fresh weights: ``forward(inputs) -> Outputs``.

    On a GPU its filters lie channels last, which is what bfloat16 wants there; on a CPU that is no
    faster (``benchmarks/step.py``).

    Parameters
    ----------
    architecture : Architecture
    seed : int, optional
        The same seed gives the same weights on any device, and leaves torch's global generators as
        they were. Without one the weights come from the global generator.
    device : str or torch.device
        Where the weights go; on ``meta`` they have shapes alone.
    """
    build = family_of(architecture.family).build
    if torch.device(device).type == "meta":
        with torch.device("meta"):
            return build(architecture)
    if seed is None:
        return _placed(build(architecture), device)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs too
        return _placed(build(architecture), device)


def output_shapes(architecture: Architecture, batch: int) -> OutputShapes:
    """Shapes of what the built student gives for `batch` samples."""
    return family_of(architecture.family).shapes(architecture, batch)


def _placed(network: nn.Module, device: str | torch.device) -> nn.Module:
    if torch.device(device).type != "cuda":
        return network.to(device)
    return network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _stored(params: dict[str, Any], input: tuple[int, int, int], classes: int) -> Architecture:
    stored = params.pop("architecture")
    if params:
        raise UserError(str(next(iter(params))), "stands beside architecture, which says it all")
    try:
        text = stored if isinstance(stored, str) else json.dumps(stored)
        architecture = Architecture.from_json(text)
        output_shapes(architecture, 1)  # the family, its kinds of blocks and the sizes
    except UserError as error:
        raise error.inside("architecture") from error
    except (TypeError, ValueError) as error:
        raise UserError("architecture", str(error)) from error
    except (ArithmeticError, AssertionError, LookupError, RecursionError) as error:
        raise UserError("architecture", f"not a network of its family: {error}") from error
    if (architecture.input, architecture.classes) != (tuple(input), classes):
        made = f"{'x'.join(map(str, architecture.input))} and {architecture.classes} classes"
        data = f"{'x'.join(map(str, input))} and {classes}"
        raise UserError("architecture", f"was made for images of {made}; the data has {data}")
    return architecture
