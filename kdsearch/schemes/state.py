"""All that the rest of a training depends on, as bytes: to pause it, and to go on with it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from kdsearch.errors import UserError, line_of

if TYPE_CHECKING:
    from kdsearch.schemes.parts import Parts

FORMAT = 1  # of what is inside: another one is not read
DIGEST = hashlib.sha256().digest_size

Saved = Mapping[str, Any]
Judged = tuple[float, float]  # validation accuracy and loss


class StateError(UserError):
    """A state that no training can go on from: damaged, or of another one."""


class Standing(NamedTuple):
    """Where the loop is between two epochs, beside what the modules hold.

    Attributes
    ----------
    epoch : int
        The last one that was trained.
    optimizer : torch.optim.Optimizer
        Of that epoch's phase.
    judged : tuple of float or None
        What the student reached when it last learned in this phase.
    """

    epoch: int
    optimizer: torch.optim.Optimizer
    judged: Judged | None


def state_to_bytes(parts: Parts, owner: str) -> bytes:
    """The state of a training after the epoch that it reported last.

    Student, adapters and buffers of the losses, weights that were found, optimizer, and torch's
    global generators. Order and augmentation of the samples are not in it, for they depend on the
    seed and the epoch alone; nor is the teacher, which learns nothing.

    Parameters
    ----------
    owner : str
        Whose state it is; `read_state` asks for the same.
    """
    assert parts.standing is not None  # the first report comes before the first pause
    epoch, optimizer, judged = parts.standing
    cuda = parts.device.type == "cuda"
    state = {
        "format": FORMAT,
        "owner": owner,
        "epoch": epoch,
        "judged": judged,
        "student": parts.student.state_dict(),
        "terms": [{"loss": t.loss.state_dict(), "weight": t.state()} for t in parts.terms],
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(parts.device) if cuda else None,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def read_state(data: bytes, owner: str) -> Saved:
    """What `state_to_bytes` wrote; code in a pickle is never run.

    Raises
    ------
    StateError
        Damaged bytes, or the state of another training.
    """
    digest, content = data[:DIGEST], data[DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise StateError("state", "damaged: its digest does not match; start the trial again")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        mine = (state["format"], state["owner"]) == (FORMAT, owner)
    except Exception as error:  # the reader fails in a dozen ways on bytes that are not its own
        raise _unreadable(error) from error
    if not mine:
        fault = "of another trial, or of another version of kdsearch; start the trial again"
        raise StateError("state", fault)
    return state


def restore(parts: Parts, optimizer: torch.optim.Optimizer, saved: Saved) -> Judged | None:
    """Fill the parts, and a new optimizer of the phase, with a state; what `judged` was.

    Raises
    ------
    StateError
        It does not fit them.
    """
    try:
        parts.student.load_state_dict(saved["student"])
        for term, state in zip(parts.terms, saved["terms"], strict=True):
            term.loss.load_state_dict(state["loss"])
            term.load_state(state["weight"], parts.device)
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        if parts.device.type == "cuda" and saved["random_cuda"] is not None:
            torch.cuda.set_rng_state(saved["random_cuda"], parts.device)
        return saved["judged"]
    except Exception as error:  # a user's loss reads its own part in its own way
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> StateError:
    fault = f"cannot be read ({line_of(error, 300)}); start the trial again"
    return StateError("state", fault)
