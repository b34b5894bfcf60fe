"""Policies: which layers stay, and how wide what stays is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 0.02  # every option of the joint policy keeps this probability
BOUND = 2.5  # of its scores
# Given the actions so far, (B, t): whether the next decision is one at all, (B,) bool. What is
# forced or void is not, and takes the last option.
Free = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Steps:
    """The decisions of one teacher, in order.

    Attributes
    ----------
    states : Tensor of shape (T, F)
    options : Tensor of shape (T,), int64
        How many options each has; the last is the one that changes nothing.
    """

    states: Tensor
    options: Tensor

    def __len__(self) -> int:
        return len(self.options)


@dataclass(frozen=True, slots=True)
class Rollout:
    """Actions of B rollouts and what the policy said of them.

    Attributes
    ----------
    actions : Tensor of shape (B, T), int64
    free : Tensor of shape (B, T), bool
        Which were decisions.
    log_p : Tensor of shape (B, T)
        Log-probability of each under the policy that drew it; 0 where nothing was decided.
    """

    actions: Tensor
    free: Tensor
    log_p: Tensor


class Policy(nn.Module):
    """An LSTM over the rows of a teacher and a head over the options. Base of those below.

    Parameters
    ----------
    inputs : int
        Width of what the LSTM reads at a step.
    hidden : int
    options : int
        The most that a decision has.
    both_ways : bool
        Whether it reads the rows from both ends; else each action is fed back.
    floor : float
        Least probability of an option.
    bound : float, optional
        Of the scores, which come near to it slowly: where one is far above the others, no gradient
        brings them back.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        options: int,
        *,
        both_ways: bool,
        floor: float = 0.0,
        bound: float | None = None,
    ) -> None:
        super().__init__()
        self.options, self.both_ways, self.floor, self.bound = options, both_ways, floor, bound
        self.lstm = nn.LSTM(inputs, hidden, 2, batch_first=True, bidirectional=both_ways)
        self.head = nn.Linear(hidden * (1 + both_ways), options)

    def read(self, states: Tensor, before: Tensor, condition: Tensor) -> Tensor:
        """What the LSTM reads.

        Parameters
        ----------
        states : Tensor of shape (T, F)
        before : Tensor of shape (B, T), int64
            The action before each; -1 where there was none.
        condition : Tensor of shape (B,)
            Log of the size asked for; 0 where none is.

        Returns
        -------
        Tensor of shape (B, T, inputs)
        """
        return states.expand(len(before), *states.shape)

    def evaluate(
        self, steps: Steps, actions: Tensor, condition: Tensor, share: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of given actions, and the entropy of each decision.

        Parameters
        ----------
        steps : Steps
        actions : Tensor of shape (B, T), int64
        condition : Tensor of shape (B,)
        share : Tensor of shape (B,), optional
            By how much of a uniform draw the policy was mixed; 0 by default.

        Returns
        -------
        log_p, entropy : Tensor of shape (B, T)
            Forced and void decisions included: the caller masks them.
        """
        before = F.pad(actions, (1, -1), value=-1)
        out, _ = self.lstm(self.read(steps.states, before, condition))
        p = self._probabilities(self.head(out), steps.options, share)
        log_p = p.clamp(min=1e-12).log()
        entropy = -(p * log_p).sum(-1)
        return log_p.gather(-1, actions[..., None])[..., 0], entropy

    @torch.no_grad()
    def sample(
        self,
        steps: Steps,
        draws: Tensor,
        free: Free,
        condition: Tensor | None = None,
        share: float = 0.0,
    ) -> Rollout:
        """Draw actions.

        Parameters
        ----------
        draws : Tensor of shape (B, T)
            Uniform numbers: the same draws and weights give the same actions.
        free : callable
        condition : Tensor of shape (B,), optional
        share : float
            Of a uniform draw mixed in, from 0 to 1.
        """
        count = len(draws)
        condition = torch.zeros(count) if condition is None else condition
        mixed = torch.full((count,), share)
        actions = torch.full(draws.shape, -1)
        decided = torch.zeros(draws.shape, dtype=torch.bool)
        ahead, hidden = None, None
        if self.both_ways:
            ahead = self.head(self.lstm(self.read(steps.states, actions, condition))[0])
        for t in range(len(steps)):
            if ahead is None:
                before = actions[:, t - 1 : t] if t else actions[:, :1]
                out, hidden = self.lstm(
                    self.read(steps.states[t : t + 1], before, condition), hidden
                )
                scores = self.head(out)
            else:
                scores = ahead[:, t : t + 1]
            p = self._probabilities(scores, steps.options[t : t + 1], mixed)[:, 0]
            last = steps.options[t] - 1
            drawn = (p.cumsum(-1) <= draws[:, t, None]).sum(-1).clamp(max=last)
            decided[:, t] = free(actions[:, :t]) & (last > 0)
            actions[:, t] = torch.where(decided[:, t], drawn, last)
        log_p, _ = self.evaluate(steps, actions, condition, mixed)
        return Rollout(actions, decided, torch.where(decided, log_p, 0.0))

    def _probabilities(self, scores: Tensor, options: Tensor, share: Tensor | None) -> Tensor:
        """(B, T, options), 0 where a decision has no such option."""
        if self.bound is not None:
            scores = self.bound * torch.tanh(scores / (2 * self.bound))
        there = torch.arange(self.options) < options[:, None]
        p = scores.masked_fill(~there, -torch.inf).softmax(-1)
        least = (self.floor * options).clamp(max=1.0)[:, None].expand(*scores.shape[:2], 1)
        uniform = least if share is None else torch.maximum(least, share[:, None, None])
        return (1 - uniform) * p + uniform * there / options[:, None]


class RemovalPolicy(Policy):
    """Stage one of Ashok et al. (2018): each layer stays or goes, seen from both ends.

    No action is fed back: given the teacher, the decisions are independent.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features, 30, 2, both_ways=True)


class ShrinkPolicy(Policy):
    """Stage two of Ashok et al. (2018): one ratio after the other, each told of the one before."""

    def __init__(self, features: int, options: int) -> None:
        super().__init__(features + 1, 30, options, both_ways=False)

    def read(self, states: Tensor, before: Tensor, condition: Tensor) -> Tensor:
        """The rows and the option before, as a share of the last."""
        rows = super().read(states, before, condition)
        return torch.cat([rows, ((before + 1) / self.options)[..., None]], -1)


class JointPolicy(Policy):
    """Layers and widths in one pass: each decision is told of the one before and of the size.

    Parameters
    ----------
    features, options : int
    """

    def __init__(self, features: int, options: int) -> None:
        read = features + options + 1
        super().__init__(read, 64, options, both_ways=False, floor=FLOOR, bound=BOUND)

    def read(self, states: Tensor, before: Tensor, condition: Tensor) -> Tensor:
        """The rows, the option before as one of all, and the log of the size asked for."""
        rows = super().read(states, before, condition)
        told = F.one_hot(before + 1, self.options + 1)[..., 1:].float()
        size = condition[:, None, None].expand(*before.shape, 1)
        return torch.cat([rows, told, size], -1)
