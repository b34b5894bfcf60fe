"""Inheritance: an edited student begins with what the edit leaves of the teacher's weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from kdsearch.architecture import Architecture
from kdsearch.config import InheritStart
from kdsearch.data import Batches
from kdsearch.edits import EDITED, as_architecture, as_network, keep_of, kept_spots, widths_in
from kdsearch.errors import UserError
from kdsearch.starts.base import Materials
from kdsearch.starts.channels import Key, Part, Space, parts
from kdsearch.starts.statistics import take_statistics
from kdsearch.students import build_student
from kdsearch.students.network import Network

REMEDY = "or start from scratch"
Index = Mapping[Space, Tensor | None]  # None: all channels


def inherited_student(config: InheritStart, materials: Materials) -> nn.Module:
    """Filter pruning by group (Li et al., 2017, arXiv:1608.08710), with whole branches removed.

    A removed residual branch becomes the identity; a removed layer of a chain too, channel by
    channel. Of every coupling group the most important channels stay, in their old order: ``l1``
    sums the absolute weights of all filters that write a channel, ``bn`` the absolute scales of all
    batch norms on it (Liu et al., 2017, arXiv:1708.06519), or as l1 where there is none. All
    that writes or reads a cut channel is cut alike. Then the batch norms take their statistics anew
    from `recalibrate` training batches, as the trial's own seed and augmentation give them. Where
    nothing is edited the student is the teacher, to the last digit.

    Pitfalls: an edit that makes two neighbouring widths equal may take a projection or a widening
    layer away altogether, or add a shortcut, as the family's rule is: then the branch is inherited
    and the function is not. In a short training a high learning rate takes back part of the start.

    Cost: a forward of the student for every batch of `recalibrate`.

    Raises
    ------
    UserError
        A student that is no edit of the teacher.
    """
    check_inheritable(materials.architecture, materials.teacher)
    assert materials.network is not None and materials.teacher is not None
    teacher = as_architecture(materials.teacher)
    network = as_network(materials.teacher, materials.network)
    student = build_student(materials.architecture, materials.seed, materials.batches.device)
    assert isinstance(student, Network)
    _inherit(student, materials, teacher, network, config.importance)
    if materials.architecture != teacher and config.recalibrate:
        take_statistics(student, recalibrating(materials.batches, config.recalibrate))
    return student


def check_inheritable(student: Architecture, teacher: Architecture | None) -> None:
    """Check that the student is an edit of the teacher.

    Raises
    ------
    UserError
        No teacher, one that no family of ours expresses, or another student.
    """
    if teacher is None:
        raise UserError("start.name", f"inherit begins with a teacher: add the section, {REMEDY}")
    try:
        own = as_architecture(teacher)
    except UserError as error:
        fault = f"{error.fault}, {REMEDY}"
        raise UserError(f"teacher.architecture.{error.place}", fault) from None
    if student.family != own.family:
        fault = f"inherit keeps the teacher's family, {own.family}, and this is {student.family}"
        raise UserError("student.family", f"{fault}: write family: {EDITED}, {REMEDY}")
    if keep_of(student, own) is None:
        fault = "no edit of the teacher: inherit takes blocks and channels away and adds none"
        raise UserError("student", f"{fault}; write family: {EDITED}, {REMEDY}")


def important(
    found: Mapping[Key, Part], widths: Sequence[int], kept: Sequence[int], importance: str
) -> dict[Space, Tensor | None]:
    """The channels of every space that stay, in order.

    Parameters
    ----------
    found : mapping
        The parts of the teacher that are left.
    widths, kept : sequence of int
        Channels of every space, and how many of them stay.
    importance : str
        ``l1`` or ``bn``. Of channels alike the first ones stay.
    """
    scores: dict[Space, Tensor] = {s: torch.zeros(width) for s, width in enumerate(widths)}
    for measure in ("l1", importance):  # the weights alone where no norm is
        scores |= _scores(found, measure)
    stay = (
        torch.argsort(scores[space], descending=True, stable=True)[:count].sort().values
        for space, count in enumerate(kept)
    )
    return {None: None, **dict(enumerate(stay))}


def _scores(found: Mapping[Key, Part], importance: str) -> dict[Space, Tensor]:
    """What a measure says of the channels of all spaces that it reads."""
    scores: dict[Space, Tensor] = {}
    for part in found.values():
        for module in part.module.modules() if part.writes is not None else ():
            if (score := _score(module, importance)) is not None:
                before = scores.get(part.writes, 0.0)
                scores[part.writes] = score.detach().cpu().double() + before
    return scores


def _score(module: nn.Module, importance: str) -> Tensor | None:
    """Of a module's output channels; None where the measure does not read it."""
    if isinstance(module, nn.Conv2d | nn.Linear) and importance == "l1":
        return module.weight.abs().flatten(1).sum(1)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and importance == "bn":
        return module.weight.abs()
    return None


@torch.no_grad()
def _inherit(
    student: Network,
    materials: Materials,
    teacher: Architecture,
    network: Network,
    importance: str,
) -> None:
    own = materials.architecture
    keep = materials.section.get("keep")
    if materials.section.get("family") != EDITED:
        keep = keep_of(own, teacher)
    sizes = widths_in(own, teacher, keep)
    theirs = parts(network, teacher, set(kept_spots(teacher, keep)))
    left = parts(student, own, set(kept_spots(own, None)))
    widths = [group.width for group in sizes]
    index = important(theirs, widths, list(sizes.values()), importance)
    for key, part in left.items():
        _copy(part.module, theirs[key], index)


def _copy(own: nn.Module, part: Part, index: Index) -> None:
    """Give a module the weights of the kept channels of its origin."""
    rows, columns = index[part.writes], index[part.reads]
    tensors = own.state_dict()  # views: what is copied into them is the module's
    for name, tensor in part.module.state_dict().items():
        if rows is not None and tensor.ndim > 0:
            tensor = tensor.index_select(0, rows.to(tensor.device))
        if columns is not None and tensor.ndim > 1 and tensor.shape[1] != tensors[name].shape[1]:
            # Not so of a depthwise filter, which reads one channel.
            tensor = tensor.index_select(1, columns.to(tensor.device))
        tensors[name].copy_(tensor)


def recalibrating(batches: Batches, count: int) -> Iterator[Tensor]:
    """The first so many batches; what follows them is not even augmented."""
    every = itertools.chain.from_iterable(map(batches.epoch, itertools.count()))
    return (batch.inputs for batch in itertools.islice(every, count))
