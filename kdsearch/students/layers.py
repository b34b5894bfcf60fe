"""Primitive layers as data: what a network costs, known before any weight exists.

Multiply-accumulates (`macs`) are those of one sample's forward. Convolutions and linear layers
count; biases, norms, activations, pooling and additions count nothing, as in published tables.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conv:
    """A square convolution; `height` and `width` are those of its output."""

    inputs: int
    outputs: int
    kernel: int
    height: int
    width: int
    groups: int = 1
    bias: bool = False

    @property
    def parameters(self) -> int:
        """Weights, and perhaps one bias an output."""
        return self._weights + self.outputs * self.bias

    @property
    def macs(self) -> int:
        """Every weight is used once at every position of the output."""
        return self._weights * self.height * self.width

    @property
    def _weights(self) -> int:
        return self.outputs * (self.inputs // self.groups) * self.kernel**2

    @property
    def buffers(self) -> int:
        """None."""
        return 0


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm."""

    channels: int

    @property
    def parameters(self) -> int:
        """Scale and shift."""
        return 2 * self.channels

    @property
    def macs(self) -> int:
        """None: it folds into the layer beside it."""
        return 0

    @property
    def buffers(self) -> int:
        """Running mean and variance: not learned by gradient, but stored."""
        return 2 * self.channels


@dataclass(frozen=True, slots=True)
class Linear:
    """A fully connected layer."""

    inputs: int
    outputs: int
    bias: bool = True

    @property
    def parameters(self) -> int:
        """Weights, and one bias an output."""
        return self.inputs * self.outputs + self.outputs * self.bias

    @property
    def macs(self) -> int:
        """One a weight."""
        return self.inputs * self.outputs

    @property
    def buffers(self) -> int:
        """None."""
        return 0


Layer = Conv | Norm | Linear
