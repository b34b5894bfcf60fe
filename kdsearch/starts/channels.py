"""The channels of a network of ours: which modules write and read which space of them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.edits import Member, groups
from kdsearch.students.mobilenet import Inverted
from kdsearch.students.network import Network
from kdsearch.students.resnet import Basic
from kdsearch.students.wide_resnet import Preact

Space = int | None  # a place in `groups`; None: the image's, or the classes, which are never cut
Key = tuple[int, str]


class Part(NamedTuple):
    """A module with weights.

    Attributes
    ----------
    module : nn.Module
        A layer, or a convolution and its norm.
    writes, reads : int or None
        The spaces of its output and input channels.
    """

    module: nn.Module
    writes: Space
    reads: Space


def parts(
    network: Network, architecture: Architecture, kept: Container[tuple[int, int]]
) -> dict[Key, Part]:
    """All modules with weights, but those of blocks that are not kept, by place and name.

    The same place and name is the same part in the network and in an edit of it.
    """
    spaces = {m: i for i, group in enumerate(groups(architecture)) for m in group.members}
    stream: Space = None
    found: dict[Key, Part] = {}
    if network.stem is not None:
        stream = spaces[Member("stem", 0)]
        found[-1, "stem"] = Part(network.stem, stream, None)
    count = 0
    for number, stage in enumerate(architecture.stages):
        dense = number == len(network.stages)  # hidden layers before the head
        whole = network.neck if dense else network.stages[number]
        assert whole is not None
        modules = [whole] if network.flat else list(whole.children())
        for block in range(len(stage.blocks)):
            if (number, block) not in kept:
                continue
            chain = Member("chain", number, block)
            after = spaces[chain if stage.width is None else Member("stage", number)]
            inner = spaces.get(Member("inner", number, block))
            for name, part in _of_block(modules[block], stream, inner, after):
                found[count, name] = part
            stream, count = after, count + 1
        for module in modules[len(stage.blocks) :]:  # the norm that ends a wide network's stage
            found[count, "end"] = Part(module, stream, stream)
    found[count, "head"] = Part(network.head, None, stream)
    return found


def _of_block(
    module: nn.Module, before: Space, inner: Space, after: Space
) -> Iterator[tuple[str, Part]]:
    if isinstance(module, Inverted):
        layers = list(module.layers.children())
        named = {"widen": (inner, before), "depthwise": (inner, inner), "project": (after, inner)}
        there = list(named.items())[-len(layers) :]  # two where nothing is widened
        for (name, row), layer in zip(there, layers, strict=True):
            yield name, Part(layer, *row)
        return
    rows = {"": (after, before)}
    if isinstance(module, Basic):
        rows = {"first": (inner, before), "second": (after, inner), "shortcut": (after, before)}
    elif isinstance(module, Preact):
        rows = {
            "activation": (before, before),
            "first": (inner, before),
            "between": (inner, inner),
            "second": (after, inner),
            "shortcut": (after, before),
        }
    for name, row in rows.items():
        part = getattr(module, name) if name else module
        if part is not None:
            yield name, Part(part, *row)
