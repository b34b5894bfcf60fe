"""The ONNX file: raw images in, logits out, compared with PyTorch. Needs the onnx extra."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

EXTRA = ("onnx", "onnxruntime", "onnxscript")
OPSET = 18  # the exporter's own; later ones are conversions of it
INPUT, OUTPUT = "images", "logits"
RANDOM_IMAGES, BATCH = 64, 256
ABSOLUTE, RELATIVE = 1e-3, 1e-5  # float32 keeps seven digits: logits of 1000 differ in the fourth


class ConversionError(Exception):
    """The network cannot be written as ONNX; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How near the ONNX file is to PyTorch on the same raw images.

    Attributes
    ----------
    images : int
        How many were compared.
    max_difference : float
        Largest absolute difference of a logit.
    largest_logit : float
        Of PyTorch's, in absolute value.
    agreement : float
        Fraction of images, 0..1, on which both name the same class.
    """

    images: int
    max_difference: float
    largest_logit: float
    agreement: float

    def __str__(self) -> str:
        return (
            f"largest difference of a logit {self.max_difference:.2g} on {self.images} raw images, "
            f"the same class on {100 * self.agreement:.2f} %"
        )

    @property
    def holds(self) -> bool:
        """Whether the difference is no more than rounding; false for one that is no number."""
        return self.max_difference <= ABSOLUTE + RELATIVE * self.largest_logit


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


def not_installed() -> str:
    """The packages of the onnx extra that are missing, in one line; empty if all are there."""
    return ", ".join(name for name in EXTRA if importlib.util.find_spec(name) is None)


def to_onnx(network: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The network as an ONNX model of one input and one output, of any batch size.

    Parameters
    ----------
    network : nn.Module
        Takes raw images, gives `Outputs`; in eval mode.
    shape : tuple of int
        Channels, height, width.

    Raises
    ------
    ConversionError
        Code that cannot be traced: control flow on values, operations that ONNX lacks.
    """
    example = torch.zeros(2, *shape, dtype=torch.uint8)  # one would be taken for a constant
    try:
        with _silence(), torch.no_grad():
            program: Any = torch.onnx.export(
                _Logits(network).eval(),
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                verbose=False,
            )
        model = program.model_proto
        _forget_origin(model.graph)
        return model.SerializeToString()
    except Exception as error:  # foreign code fails in any way; the cause is the first of a chain
        raise ConversionError(f"cannot be made: {_first_line(error)}") from error


def sample(shape: tuple[int, int, int], images: Tensor | None = None) -> Tensor:
    """Raw images to compare on: random ones, always the same, and the given ones after them.

    Raises
    ------
    ValueError
        Given images of another type or shape.
    """
    generator = torch.Generator().manual_seed(0)
    size = (RANDOM_IMAGES, *shape)
    drawn = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    if images is None:
        return drawn
    if images.dtype != torch.uint8 or images.shape[1:] != drawn.shape[1:]:
        found = f"{images.dtype} {tuple(images.shape)}"
        raise ValueError(
            f"images must be torch.uint8 (N, {', '.join(map(str, shape))}), got {found}"
        )
    return torch.cat((drawn, images.cpu()))


def compare(model: bytes, network: nn.Module, images: Tensor) -> Parity:
    """Run both on raw images, in batches of different sizes.

    Raises
    ------
    ConversionError
        A model that ONNX Runtime refuses.
    """
    parts = [images[:1], *images[1:].split(BATCH)]
    with torch.no_grad():
        wanted = torch.cat([network(part).logits for part in parts])
    try:
        got = torch.cat(_run(model, parts))
    except Exception as error:  # the runtime's own exceptions share no base
        raise ConversionError(f"is refused by ONNX Runtime: {_first_line(error)}") from error
    return Parity(
        images=len(images),
        max_difference=float((got - wanted).abs().max()),
        largest_logit=float(wanted.abs().max()),
        agreement=float((got.argmax(1) == wanted.argmax(1)).float().mean()),
    )


def _run(model: bytes, parts: list[Tensor]) -> list[Tensor]:
    import onnxruntime  # only those who export pay for it

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    runs: list[Any] = [session.run([OUTPUT], {INPUT: part.numpy()})[0] for part in parts]
    return [torch.from_numpy(logits) for logits in runs]


def _forget_origin(graph: Any) -> None:
    """Drop what the exporter notes for its own authors: source lines and the maker's folders."""
    graph.ClearField("metadata_props")
    for node in graph.node:
        node.ClearField("metadata_props")
        for attribute in node.attribute:
            if attribute.HasField("g"):  # a branch or the body of a loop
                _forget_origin(attribute.g)


@contextmanager
def _silence() -> Iterator[None]:
    # Exporter and converter print, warn and log at will; what matters comes as an exception.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
