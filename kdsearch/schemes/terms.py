"""The terms of a training loss: wired to both networks, and each one's weight over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.config import LossConfig
from kdsearch.errors import UserError, line_of
from kdsearch.losses import DistillationLoss, LossContext, build_loss
from kdsearch.schemes.schedule import ramp

AUTO_STEPS = 20  # over which a weight that is found is averaged


@dataclass
class Term:
    """A loss and its factor in the sum.

    Attributes
    ----------
    name : str
        Of its column.
    weight : float or None
        None: found on the first steps, see `measure`.
    loss : DistillationLoss
        Prepared.
    scale : float
        Factor of the weight: what a search varies where the weight is found.
    warmup : float
        Epochs over which the factor rises linearly, step by step.
    final : float
        Share of the factor that is left at the end, reached linearly.
    stop_epoch : int or None
        Last epoch with the term (early-stopped distillation: Cho & Hariharan, 2019).
    found : Tensor or None
        The weight that was found, or is so far.
    """

    name: str
    weight: float | None
    loss: DistillationLoss
    scale: float = 1.0
    warmup: float = 0.0
    final: float = 1.0
    stop_epoch: int | None = None
    found: Tensor | None = None
    _ratios: list[Tensor] = field(default_factory=list, init=False)

    def share(self, progress: float, epochs: int) -> float:
        """What the schedule leaves of the factor after `progress` epochs of `epochs`."""
        if self.stop_epoch is not None and progress > self.stop_epoch:
            return 0.0
        risen = ramp(progress, 0, self.warmup, 0.0, 1.0)
        return risen * ramp(progress, 0, epochs, 1.0, self.final)

    @property
    def factor(self) -> float | Tensor:
        """``scale x weight``."""
        if self.weight is not None:
            return self.scale * self.weight
        assert self.found is not None  # `measure` comes first
        return self.scale * self.found

    @property
    def measuring(self) -> bool:
        """Whether the weight is still being found."""
        return self.weight is None and len(self._ratios) < AUTO_STEPS

    def forget(self) -> None:
        """Find the weight anew: what trains from here on is something else."""
        self.found = None
        self._ratios.clear()

    def state(self) -> dict[str, Any]:
        """What was found of the weight, for a training that pauses."""
        return {"found": self.found, "ratios": self._ratios}

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on where the state was taken."""
        self.found = None if state["found"] is None else state["found"].to(device)
        self._ratios = [ratio.to(device) for ratio in state["ratios"]]

    def measure(self, label: Tensor, value: Tensor, student: nn.Module) -> None:
        """Take one step's ratio of gradient norms: label loss over term.

        Both norms are over the student's parameters that the term reaches, so that a weight of 1
        would let both pull alike there. The weight is the median of the first steps: a single step
        in which one of them pulls at next to nothing decides nothing, and one at exactly nothing is
        no step at all. Where there is no other the weight is 1.

        Parameters
        ----------
        label, value : Tensor of shape ()
            The label loss and the term, with their graphs.
        """
        ratio = _ratio(label, value, [p for p in student.parameters() if p.requires_grad])
        useful = ratio.isfinite() & (ratio > 0)
        self._ratios.append(torch.where(useful, ratio, torch.nan))
        median = torch.stack(self._ratios).nanmedian()
        self.found = torch.where(median.isnan(), 1.0, median)


def build_terms(configs: Sequence[LossConfig | None], context: LossContext) -> list[Term]:
    """The loss terms, wired to the two networks; adapters land on torch's default device.

    Raises
    ------
    UserError
        A method or parameter that is unknown, a network that lacks what a method taps, or
        pre-training that leaves no epoch for the student; the place is ``losses[i]``.
    """
    terms: list[Term] = []
    names = ["label", "train", "validation"]  # columns that are there without it
    epochs = context.epochs
    for index, config in enumerate(configs):
        if config is None:
            continue
        try:
            loss = build_loss({"method": config.method, **config.parameters})
            epochs -= _prepare(config.method, loss, context)
            _check_schedule(config, loss, context.epochs, epochs)
        except UserError as error:
            raise error.inside(f"losses[{index}]") from None
        name = config.method.rpartition(":")[2]
        names.append(name)
        times = names.count(name)
        terms.append(
            Term(
                name=name if times == 1 else f"{name}_{times}",
                weight=None if config.weight == "auto" else config.weight,
                loss=loss,
                scale=config.scale,
                warmup=config.warmup,
                final=config.final,
                stop_epoch=config.stop_epoch,
            )
        )
    return terms


def _prepare(method: str, loss: DistillationLoss, context: LossContext) -> int:
    """Wire a loss to its networks; how many epochs of pre-training it asks for."""
    try:
        loss.prepare(context)
        return sum(stage.epochs for stage in loss.stages())
    except UserError:
        raise
    except Exception as error:  # a user's class fails in its own way
        fault = f"{method} fails in prepare, which has shapes but may have no values: "
        raise UserError("method", fault + line_of(error, 300)) from error


def _check_schedule(config: LossConfig, loss: DistillationLoss, epochs: int, left: int) -> None:
    if left < 1:
        raise UserError(
            "pretrain_epochs",
            f"{epochs - left} epochs of pre-training in a training of {epochs} leave none for the "
            f"student; allow {epochs - 1} at most, over all terms",
        )
    for key in ("warmup", "final", "stop_epoch"):
        if not loss.joint and getattr(config, key) != LossConfig.model_fields[key].default:
            raise UserError(
                key,
                f"{config.method} only pre-trains, and a pre-training has no schedule of its "
                "weight; remove it, or set joint: true",
            )


def _ratio(label: Tensor, value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    nothing = torch.full_like(label, torch.nan, requires_grad=False)
    if not value.requires_grad:
        return nothing
    pulls = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    reached = [p for p, g in zip(parameters, pulls, strict=True) if g is not None]
    if not reached:  # adapters alone
        return nothing
    against = torch.autograd.grad(label, reached, retain_graph=True, allow_unused=True)
    return _norm(against) / _norm(pulls)


def _norm(gradients: Sequence[Tensor | None]) -> Tensor:
    return torch.stack([g.float().square().sum() for g in gradients if g is not None]).sum().sqrt()
