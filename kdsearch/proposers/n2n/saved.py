"""Policies as bytes: safetensors, with a header that says which encoding they read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from kdsearch.errors import UserError
from kdsearch.proposers.n2n.edited import Edited
from kdsearch.proposers.n2n.minds import Mind

ENCODING = 1  # of rows and actions: raised when a saved policy no longer means what it did
PLACE = "proposer.policy"


def encoding(edited: Edited, minds: Sequence[Mind], profile: str) -> dict[str, Any]:
    """What must be the same for a policy to mean the same.

    The number of layers need not: a policy reads as many rows as the teacher has.
    """
    ratios = {d.values for d in edited.decisions if d.kind == "ratio"}
    return {
        "encoding": ENCODING,
        "profile": profile,
        "width": {mind.name: mind.learner.steps.states.shape[1] for mind in minds},
        "ratios": sorted(list(values) for values in ratios),
    }


def pack(minds: Sequence[Mind], said: dict[str, Any]) -> bytes:
    """The weights of all stages."""
    tensors = {
        f"{mind.name}.{name}": tensor.contiguous()
        for mind in minds
        for name, tensor in mind.policy.state_dict().items()
    }
    return save(tensors, metadata={"kdsearch": json.dumps(said, sort_keys=True)})


def unpack(data: bytes, minds: Sequence[Mind], said: dict[str, Any]) -> None:
    """Load weights that `pack` gave, into policies of the same encoding.

    Raises
    ------
    UserError
        Bytes that are no policy, or one of another encoding.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        theirs = dict(json.loads(header["__metadata__"]["kdsearch"]))
        tensors = load(data)
    except (LookupError, TypeError, ValueError, RecursionError, SafetensorError):
        fault = "holds no policy; take a file that `kdsearch policy save` wrote"
        raise UserError(PLACE, fault) from None
    wanted = json.loads(json.dumps(said))
    if differs := [key for key in wanted if theirs.get(key) != wanted[key]]:
        key = differs[0]
        raise UserError(
            PLACE,
            f"is a policy of another encoding ({key} {theirs.get(key)!r:.80}, here "
            f"{wanted[key]!r:.80}); save one of a search with this profile and these ratios",
        )
    for mind in minds:
        prefix = f"{mind.name}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        _load(mind, own)


def _load(mind: Mind, tensors: dict[str, torch.Tensor]) -> None:
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes != {name: tensor.shape for name, tensor in mind.policy.state_dict().items()}:
        fault = f"its {mind.name} policy has other weights than this version's; save it again"
        raise UserError(PLACE, fault)
    if not all(t.is_floating_point() and t.isfinite().all() for t in tensors.values()):
        fault = f"its {mind.name} policy has weights that are no numbers; save it again"
        raise UserError(PLACE, fault)
    mind.policy.load_state_dict(tensors)
