"""Weights in files and in bytes: safetensors out, safetensors or a plain state dict in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from kdsearch.errors import UserError
from kdsearch.whole import write_bytes

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # what training scripts wrap it in
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, any wrapper
# The counter is read by no forward pass at a fixed momentum, and old checkpoints do not have it.
OPTIONAL = "num_batches_tracked"


def weights_to_bytes(module: nn.Module) -> bytes:
    """Parameters and buffers as safetensors: no code inside, equal bytes for equal weights."""
    # Tied tensors are written once a name: a copy each, for the format knows no sharing.
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in _tensors(module).items()}
    return safetensors.torch.save(tensors)


def weights_from_bytes(module: nn.Module, data: bytes, place: str = "weights") -> None:
    """Fill a network with the weights of `weights_to_bytes`.

    Raises
    ------
    UserError
        Damaged bytes, or the weights of another network; `place` says where they come from.
    """
    _fill(module, _read_safetensors(data, place), place)


def save_weights(module: nn.Module, path: str | Path) -> None:
    """Write a safetensors file; a reader sees the old file or the new one, never a part."""
    write_bytes(Path(path), weights_to_bytes(module))


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Fill a network from a safetensors file or a state dict written by ``torch.save``.

    The format is told by content, not by name. A state dict may stand under ``state_dict``,
    ``model_state_dict``, ``model`` or ``net``. Wrappers that put ``module.``, ``_orig_mod.`` or
    ``model.`` before every name, in the file or around the network, make no difference. Pickled
    code is never run.

    Raises
    ------
    UserError
        No such file, a damaged or unsafe one, or the weights of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(str(path), "no such file; give a .safetensors file or a torch state dict")
    data = path.read_bytes()
    is_safetensors = data[8:9] == b"{"  # a length of eight bytes, then JSON
    tensors = _read_safetensors(data, str(path)) if is_safetensors else _read_torch(path)
    _fill(module, tensors, str(path))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: t for name, t in module.state_dict().items() if isinstance(t, Tensor)}


def _read_safetensors(data: bytes, place: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
        fault = f"damaged safetensors ({error}); copy or write the file again"
        raise UserError(place, fault) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader fails in a dozen ways on bytes that are not its own
        fault = (
            f"neither safetensors nor a plain state dict ({type(error).__name__}): damaged, or a "
            "pickle with code in it, which is never run; write torch.save(model.state_dict(), path)"
        )
        raise UserError(str(path), fault) from error
    return _unwrapped(found, str(path))


def _unwrapped(found: Any, place: str) -> dict[str, Tensor]:
    while isinstance(found, Mapping) and not any(isinstance(t, Tensor) for t in found.values()):
        key = next((k for k in WRAPPERS if isinstance(found.get(k), Mapping)), None)
        if key is None:
            break
        found = found[key]
    if not isinstance(found, Mapping) or not found:
        raise UserError(place, "holds no state dict; write torch.save(model.state_dict(), path)")
    for key, value in found.items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise UserError(place, f"{key} is no tensor but {kind}; keep the state dict alone")
    return dict(found)


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], place: str) -> None:
    expected = _tensors(module)
    inner, outer = _shared_prefix(tensors), _shared_prefix(expected)
    found = {outer + key.removeprefix(inner): tensor for key, tensor in tensors.items()}
    remedy = "these are another network's weights: give the architecture that they belong to"
    missing = [k for k in expected if k not in found and not k.endswith(OPTIONAL)]
    surplus = [k for k in found if k not in expected]
    if missing:
        rest = f"{len(missing)} of {len(expected)} are missing"
        fault = f"{missing[0]} is missing ({rest}, {len(surplus)} are unknown)"
        raise UserError(place, f"{fault}; {remedy}")
    if surplus:
        fault = f"{surplus[0]} is unknown to the network ({len(surplus)} such)"
        raise UserError(place, f"{fault}; {remedy}")
    for key in (k for k in expected if k in found):  # in the network's order, input first
        got, wanted = tuple(found[key].shape), tuple(expected[key].shape)
        if got != wanted:
            raise UserError(place, f"{key} must have the shape {wanted}, got {got}; {remedy}")
    module.load_state_dict(found, strict=False)


def _shared_prefix(names: Iterable[str]) -> str:
    """What wrappers have put before every one of the names; they nest, in any order."""
    names, prefix = list(names), ""
    while more := [p for p in PREFIXES if names and all(n.startswith(prefix + p) for n in names)]:
        prefix += more[0]
    return prefix
