"""torchvision's vggs as chains of ours, which compute the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.students import convnet
from kdsearch.students.sites import Site

CONVS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
MODELS = (*CONVS, *(f"{name}_bn" for name in CONVS))
WIDTHS, HIDDEN, POOLED = (64, 128, 256, 512, 512), (4096, 4096), 7
DROPOUT = 0.5


def vgg(architecture: Architecture, model: str, dropout: float = DROPOUT) -> Architecture:
    """The chain that a vgg is.

    torchvision's brings every last map to 7x7 before its first linear layer. One that is smaller
    comes to the same without, with as many weights as it has pixels; the layer reads that.

    Raises
    ------
    UserError
        Images too small for its pools, or so large that the map is larger than 7x7.
    """
    plain = model.removesuffix("_bn")
    made = convnet.describe(
        architecture.input,
        architecture.classes,
        list(WIDTHS),
        list(CONVS[plain]),
        hidden=list(HIDDEN),
        dropout=dropout,
        norm=plain != model,
    )
    height, width = _reads(made).after
    if max(height, width) > POOLED:
        fault = f"classifier.0 reads the mean of a {height}x{width} map on 7x7, ours the map itself"
        raise UserError("", f"{fault}: give images of less than {32 * (POOLED + 1)} pixels")
    return made


def vgg_tensors(
    network: nn.Module, own: Architecture, into: dict[str, Tensor]
) -> dict[str, Tensor]:
    """A vgg's weights by our names, which `into` has, in the same order."""
    theirs = list(_without_biases(network.state_dict()).values())
    found = dict(zip(into, theirs, strict=True))
    name = next(name for name in into if name.startswith("neck."))
    first, (height, width) = found[name], _reads(own).after
    spread = _spread(height, width).to(first)
    kernels = first.unflatten(1, (-1, POOLED * POOLED)) @ spread
    found[name] = kernels.unflatten(2, (height, width))
    return found


def _without_biases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what a convolution adds before a batch norm, which takes it off again."""
    found = dict(state)
    for name in state:
        before, _, leaf = name.rpartition(".")
        if leaf == "running_mean":
            place, _, number = before.rpartition(".")
            bias = f"{place}.{int(number) - 1}.bias"
            found[name] = state[name] - found.pop(bias)
    return found


def _reads(own: Architecture) -> Site:
    return convnet.placed(own)[-1][0]


def _spread(height: int, width: int) -> Tensor:
    """What adaptive pooling to 7x7 makes of each pixel of a map: (49, height * width)."""
    pixels = torch.eye(height * width, dtype=torch.double).view(-1, 1, height, width)
    return F.adaptive_avg_pool2d(pixels, POOLED).flatten(1).T
