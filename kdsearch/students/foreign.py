"""Networks that are not ours: torchvision's models and users' own factories."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from torch import Tensor, nn

from kdsearch.architecture import Architecture
from kdsearch.errors import UserError
from kdsearch.students.family import Family, nearest_first
from kdsearch.students.outputs import Outputs, OutputShapes
from kdsearch.students.taps import Recorder
from kdsearch.students.view import View, view_of

RESERVED = ("num_classes", "weights")


class Foreign(nn.Module):
    """A network of any make as a student: ``forward(inputs) -> Outputs``.

    Parameters
    ----------
    model : nn.Module
        Gives logits (B, K), a tuple that begins with them, or `Outputs`.
    view : View
        What it shows of itself, and where.
    gray : bool
        Whether its one input channel is to be repeated to three.
    """

    def __init__(self, model: nn.Module, view: View, gray: bool) -> None:
        super().__init__()
        self.model = model
        self.view = view
        self.gray = gray

    def forward(self, inputs: Tensor) -> Outputs:
        """Logits, the last map of every size, and what the last linear layer reads."""
        view, find = self.view, self.model.get_submodule
        maps = Recorder({t.module: find(t.module) for t in view.maps}, cloned=view.cloned)
        head = Recorder({t.module: find(t.module) for t in view.head}, inputs=True)
        with maps, head:
            result = self.model(repeat_gray(inputs) if self.gray else inputs)
        if isinstance(result, Outputs):
            return result
        return view.outputs(logits_of(result), maps.seen, head.seen)


def repeat_gray(inputs: Tensor) -> Tensor:
    """(B, 1, H, W) as (B, 3, H, W), without a copy."""
    return inputs.expand(-1, 3, -1, -1)


def torchvision(
    input: tuple[int, int, int], classes: int, model: str, **options: Any
) -> Architecture:
    """One of torchvision's classifiers, from scratch; a gray image is repeated to three channels.

    Parameters
    ----------
    input : tuple of int
        Channels (1 or 3), height, width.
    classes : int
    model : str
        A name that ``torchvision.models.list_models`` gives, such as ``resnet18``.
    **options
        Further arguments of the model, such as ``width_mult: 0.5``.
    """
    import torchvision.models as models  # a second: only those who ask for one pay for it

    known = models.list_models(module=models)
    if model not in known:
        raise UserError("model", f"torchvision has no classifier {model!r}; {_few(model, known)}")
    if input[0] not in (1, 3):
        raise UserError("model", f"torchvision's read 1 or 3 channels; the data has {input[0]}")
    for name in RESERVED:
        if name in options:
            raise UserError(name, "is set by the search: students start from scratch")
    return _foreign("torchvision", input, classes, {"model": model, **options})


def factory(family: str) -> Family:
    """The family of a user's own factory, named ``module:callable``.

    The callable takes ``input=(C, H, W)``, ``classes=K`` and the other keys of the student section,
    and gives an `nn.Module`. Modules are looked for in the current directory too.
    """

    def describe(input: tuple[int, int, int], classes: int, **options: Any) -> Architecture:
        _imported(family)
        return _foreign(family, input, classes, options)

    return Family(describe, build, shapes)


def build(architecture: Architecture) -> Foreign:
    """The network, its weights as its own code draws them."""
    return Foreign(_make(architecture), view_for(architecture), _is_gray(architecture))


def shapes(architecture: Architecture, batch: int) -> OutputShapes:
    """What one forward on the meta device has shown."""
    return view_for(architecture).shapes(batch)


@cache
def view_for(architecture: Architecture) -> View:
    """What the network shows of itself, seen in one forward without arithmetic.

    Raises
    ------
    UserError
        A network that cannot be built or run on the architecture's input, whose logits are not one
        a class, or that shows itself in shapes that no loss reads.
    """
    prepare = repeat_gray if _is_gray(architecture) else None
    try:
        view = view_of(partial(_make, architecture), architecture.input, prepare)
    except UserError:
        raise
    except Exception as error:
        shape = "x".join(map(str, architecture.input))
        reason = f"{type(error).__name__}: {error}"
        raise UserError("", f"{_name(architecture)} fails on {shape} images: {reason}") from error
    if view.logits[1:] != (architecture.classes,):
        given, wanted = tuple(view.logits), architecture.classes
        raise UserError("", f"{_name(architecture)} gives {given}; (2, {wanted}) was expected")
    if fault := view.misshapen():
        raise UserError("", f"{_name(architecture)} shows {fault}")
    return view


def logits_of(result: Any) -> Tensor:
    """The logits: the result itself, or the first of several (GoogLeNet's, Inception's)."""
    return result[0] if isinstance(result, tuple) else result


def _make(architecture: Architecture) -> nn.Module:
    options = {name: _thaw(value) for name, value in architecture.options}
    if architecture.family == "torchvision":
        import torchvision.models as models

        name = options.pop("model")
        if name not in models.list_models(module=models):  # others may load weights from afar
            raise UserError("model", f"torchvision has no classifier {name!r:.80}")
        return models.get_model(name, weights=None, num_classes=architecture.classes, **options)
    made = _imported(architecture.family)(
        input=architecture.input, classes=architecture.classes, **options
    )
    if not isinstance(made, nn.Module):
        fault = f"{architecture.family} gives a {type(made).__name__}, not a torch.nn.Module"
        raise UserError("family", fault)
    return made


def _imported(family: str) -> Callable[..., Any]:
    name, _, attribute = family.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # last: a user's file never hides an installed package
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError("family", f"cannot import {name!r} from {here}: {reason}") from error
    made = getattr(module, attribute, None)
    if not callable(made):
        own = [n for n, value in vars(module).items() if callable(value)]
        raise UserError("family", f"{name} has no callable {attribute!r}; {_few(attribute, own)}")
    return made


def _foreign(
    family: str, input: tuple[int, int, int], classes: int, options: dict[str, Any]
) -> Architecture:
    frozen = sorted((name, _freeze(name, value)) for name, value in options.items())
    return Architecture(family, input, classes, options=tuple(frozen))


def _freeze(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_freeze(name, v) for v in value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise UserError(name, f"{value!r} is neither text, number, true or false, nor a list of them")


def _thaw(value: Any) -> Any:
    return [_thaw(v) for v in value] if isinstance(value, tuple) else value


def _is_gray(architecture: Architecture) -> bool:
    return architecture.family == "torchvision" and architecture.input[0] == 1


def _name(architecture: Architecture) -> str:
    return str(dict(architecture.options).get("model", architecture.family))


def _few(word: str, known: list[str]) -> str:
    return f"the nearest are {', '.join(nearest_first(word, known).split(', ')[:5])}"
