"""What a network costs before it is trained: parameters, multiply-accumulates, bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdsearch.architecture import Architecture
from kdsearch.students import family_of
from kdsearch.students.layers import Layer
from kdsearch.students.view import dry


@dataclass(frozen=True, slots=True)
class Cost:
    """The static cost of a network.

    Attributes
    ----------
    parameters : int
        Learnable numbers.
    macs : int
        Multiply-accumulates of one sample's forward, of convolutions and matrix products alone.
    size_bytes : int
        What its weights take when stored: the parameters and the batch norms' running means and
        variances, each at the given number of bits; step counters are left out.
    """

    parameters: int
    macs: int
    size_bytes: int


@lru_cache(maxsize=4096)
def cost(architecture: Architecture, bits: int = 32) -> Cost:
    """The cost of an architecture, without building it where the family is ours.

    Parameters
    ----------
    architecture : Architecture
    bits : int
        Of every stored number.
    """
    if bits < 1:
        raise ValueError(f"bits must be at least 1, got {bits}")
    layers = family_of(architecture.family).layers
    counts = _counted(architecture) if layers is None else _summed(layers(architecture))
    parameters, macs, buffers = counts
    return Cost(parameters, macs, size_bytes=-(-(parameters + buffers) * bits // 8))


def _summed(layers: Iterable[Layer]) -> tuple[int, int, int]:
    parameters = macs = buffers = 0
    for layer in layers:
        parameters += layer.parameters
        macs += layer.macs
        buffers += layer.buffers
    return parameters, macs, buffers


def _counted(architecture: Architecture) -> tuple[int, int, int]:
    def count(student: nn.Module, inputs: Tensor) -> tuple[int, int, int]:
        with FlopCounterMode(display=False) as counter:
            student(inputs)
        parameters = sum(p.numel() for p in student.parameters())
        learned = {name for name, _ in student.named_parameters(remove_duplicate=False)}
        stored = student.state_dict().items()
        buffers = sum(v.numel() for k, v in stored if k not in learned and v.is_floating_point())
        return parameters, counter.get_total_flops() // 2, buffers

    return dry(
        partial(family_of(architecture.family).build, architecture), (1, *architecture.input), count
    )
