"""What a training loop is given: one value for each of the slots a method can fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from kdsearch.config import TrainingConfig
from kdsearch.data import Batches
from kdsearch.schemes.clock import Clock
from kdsearch.schemes.state import Saved, Standing
from kdsearch.schemes.terms import Term
from kdsearch.teachers import Teacher


@dataclass
class Parts:
    """The parts of one training.

    Attributes
    ----------
    student : nn.Module
        Already transformed: what a `StudentTransform` built.
    teacher : Teacher or None
        None: labels alone.
    terms : sequence of Term
        Prepared: their adapters exist.
    batches : Batches
        The data source.
    training : TrainingConfig
    rungs : sequence of int
        Epochs at which a scheduler may end the trial; the schedule ``rungs`` anneals to them.
    device : torch.device
    saved : mapping or None
        A state to go on from: see `read_state`.
    standing : Standing or None
        Kept by the loop: how far it has come.
    clock : Clock
        Told by the loop what it is at.
    """

    student: nn.Module
    teacher: Teacher | None
    terms: Sequence[Term]
    batches: Batches
    training: TrainingConfig
    rungs: Sequence[int] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    saved: Saved | None = None
    standing: Standing | None = None
    clock: Clock = field(default_factory=Clock)
