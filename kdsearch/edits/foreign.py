"""Networks of torchvision as architectures of ours, where they compute the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.edits.placing import RESIDUAL
from kdsearch.edits.vgg import DROPOUT, MODELS, vgg, vgg_tensors
from kdsearch.errors import UserError
from kdsearch.students import build_student, output_shapes
from kdsearch.students.network import Network
from kdsearch.students.resnet import KIND
from kdsearch.students.sites import POOLED, entry_stride

OURS = (*RESIDUAL, "convnet", "mlp")
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
FREE = ("zero_init_residual", "init_weights")  # options that change weights alone
# The first layer of a model that no family of ours has.
MISSING = {
    r"(wide_)?resne(x)?t\d+": "layer1.0 is a bottleneck of three convolutions, ours have two",
}
# torchvision's name of a module -> ours.
NAMES = (
    (r"conv1\.", "stem.0."),
    (r"bn1\.", "stem.1."),
    (r"fc\.", "head."),
    (r"layer(\d)\.(\d+)\.conv1\.", "stages.{stage}.{block}.first.0."),
    (r"layer(\d)\.(\d+)\.bn1\.", "stages.{stage}.{block}.first.1."),
    (r"layer(\d)\.(\d+)\.conv2\.", "stages.{stage}.{block}.second.0."),
    (r"layer(\d)\.(\d+)\.bn2\.", "stages.{stage}.{block}.second.1."),
    (r"layer(\d)\.(\d+)\.downsample\.", "stages.{stage}.{block}.shortcut."),
)


def as_architecture(architecture: Architecture) -> Architecture:
    """The network in stages and blocks of ours, which compute the same.

    An architecture of ours is itself. torchvision's resnet18 and resnet34 are of the family
    `resnet`, its vggs of the family `convnet`; one that reads gray images repeats them to three
    channels, which is a first convolution of one.

    Raises
    ------
    UserError
        Any other network: which layer is not ours, and what to do. The place is a key of its
        section.
    """
    if architecture.family in OURS:
        return architecture
    remedy = f"take a family of ours as the teacher ({', '.join(sorted(OURS))})"
    if architecture.family != "torchvision":
        fault = f"{architecture.family} shows no blocks that could be edited"
        raise UserError("family", f"{fault}: {remedy}")
    options = dict(architecture.options)
    model = str(options.pop("model"))
    if model not in BLOCKS and model not in MODELS:
        patterns = (fault for pattern, fault in MISSING.items() if re.fullmatch(pattern, model))
        fault = next(patterns, "its layers are not those of a family of ours")
        known = f"{remedy}, or {', '.join(BLOCKS)} or a vgg"
        raise UserError("model", f"{model} cannot be edited: {fault}; {known}")
    for name in options:
        if name not in FREE and (name != "dropout" or model not in MODELS):
            raise UserError(
                name, f"{model} with this option cannot be edited: drop it, or {remedy}"
            )
    try:
        made = _made(architecture, model, options)
        output_shapes(made, 1)
    except UserError as error:  # torchvision's would go on striding over one pixel
        raise UserError("model", f"{model} cannot be edited: {error.fault}; {remedy}") from None
    return made


def _made(architecture: Architecture, model: str, options: Mapping[str, Any]) -> Architecture:
    if model in MODELS:
        return vgg(architecture, model, options.get("dropout", DROPOUT))
    stages = tuple(
        Stage(tuple(Block(KIND, inner=w, stride=entry_stride(s, i)) for i in range(count)), w)
        for s, (w, count) in enumerate(zip(WIDTHS, BLOCKS[model], strict=True))
    )
    stem = Block(POOLED, WIDTHS[0], kernel=7, stride=2)
    return Architecture("resnet", architecture.input, architecture.classes, stem, stages)


@torch.no_grad()
def as_network(architecture: Architecture, network: nn.Module) -> Network:
    """A network of `architecture` with its weights, built in stages and blocks of ours.

    Parameters
    ----------
    architecture : Architecture
        As trained; one of ours comes back as it is.
    network : nn.Module
        What `build_student` made of it.

    Raises
    ------
    UserError
        As `as_architecture`.
    """
    if isinstance(network, Network):
        return network
    own = as_architecture(architecture)
    device = next(network.parameters()).device
    made = build_student(own, seed=0, device=device)
    assert isinstance(made, Network)
    if own.family == "convnet":
        tensors = vgg_tensors(network, own, made.state_dict())
    else:
        tensors = _renamed(network.state_dict())
    if own.input[0] == 1:  # a gray image in three channels meets the sum of their filters
        first = next(name for name in made.state_dict() if name in tensors)
        tensors[first] = tensors[first].sum(1, keepdim=True)
    made.load_state_dict(tensors)
    return made.train(network.training)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = name.removeprefix("model.")
        for pattern, ours in NAMES:
            if match := re.match(pattern, plain):
                place = match.groups()
                new = ours
                if place:
                    new = ours.format(stage=int(place[0]) - 1, block=place[1])
                found[new + plain[match.end() :]] = tensor
                break
    return found
