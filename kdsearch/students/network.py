"""The one network all our families build: stem, stages, pooling, linear head."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.architecture import Architecture
from kdsearch.students.layers import Conv, Layer, Norm
from kdsearch.students.outputs import Outputs
from kdsearch.students.sites import POOLED, stem_map


class Network(nn.Module):
    """A student: ``forward(inputs) -> Outputs``.

    Convolutions and hidden linear layers start from He's normal initialisation (He et al., 2015),
    the head from torch's own. Stage outputs are never changed in place by what reads them.

    Parameters
    ----------
    stem : nn.Module or None
        What comes before the first stage.
    stages : iterable of nn.Module
        Each gives one entry of `Outputs.features`, short of the ReLU that it may end with.
    width : int
        Channels of the last stage.
    classes : int
        Outputs of the head.
    flat : bool
        Whether the stages read vectors, not maps.
    rectified : bool
        Whether every stage ends with a ReLU, which is then left to the network: not in place, so
        that both what it reads and what it gives can be shown.
    neck : nn.Module, optional
        From the last stage's output to the vectors that the head reads; their spatial mean by
        default.
    """

    def __init__(
        self,
        stem: nn.Module | None,
        stages: Iterable[nn.Module],
        width: int,
        classes: int,
        *,
        flat: bool = False,
        rectified: bool = True,
        neck: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.flat, self.rectified = flat, rectified
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.neck = neck or _Mean()
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Outputs:
        """Logits, every stage's output, and what the head reads."""
        x = inputs.flatten(1) if self.flat else _quickest_order(inputs)
        if self.stem is not None:
            x = self.stem(x)
        features: list[Tensor] = []
        preactivations: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            preactivations.append(x)
            if self.rectified:
                x = F.relu(x)
            features.append(x)
        pooled = x if self.flat else self.neck(x)
        return Outputs(self.head(pooled), tuple(features), pooled, tuple(preactivations))


class _Mean(nn.Module):
    """The spatial mean of a map."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


def _quickest_order(maps: Tensor) -> Tensor:
    # On a CPU narrow convolutions train 1.4 to 1.6 times as fast with the channels innermost.
    # Every later map follows the first; the weights stay as they are.
    if maps.device.type == "cpu":
        return maps.to(memory_format=torch.channels_last)
    return maps


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size but for its stride; no bias, since a norm follows."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.ReLU] | type[nn.ReLU6] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution, batch norm and, in place on the norm's own output, the activation."""
    layers: list[nn.Module] = [
        conv(inputs, outputs, kernel, stride, groups),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation(inplace=True))
    return nn.Sequential(*layers)


def conv_norm_layers(
    inputs: int, outputs: int, kernel: int, size: tuple[int, int], groups: int = 1
) -> tuple[Layer, Layer]:
    """What `conv_norm` costs; `size` is that of its output."""
    return Conv(inputs, outputs, kernel, *size, groups), Norm(outputs)


def stem(
    architecture: Architecture, activation: type[nn.ReLU] | type[nn.ReLU6] = nn.ReLU
) -> nn.Sequential:
    """The convolution, norm and activation, and perhaps the pool, before the first stage."""
    block = architecture.stem
    assert block is not None and block.width is not None
    inputs = architecture.input[0]
    made = conv_norm(inputs, block.width, block.kernel, block.stride, activation=activation)
    if block.kind == POOLED:
        made.append(nn.MaxPool2d(3, 2, 1))
    return made


def stem_layers(architecture: Architecture) -> tuple[Layer, Layer]:
    """What `stem` costs."""
    block = architecture.stem
    assert block is not None and block.width is not None
    size = stem_map(architecture)
    return conv_norm_layers(architecture.input[0], block.width, block.kernel, size)
