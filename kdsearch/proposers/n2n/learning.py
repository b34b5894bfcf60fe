"""How a policy learns from rewards: REINFORCE as in the paper, and PPO with fixes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdsearch.proposers.n2n.policy import Policy, Steps

Profile = Literal["n2n_plus", "n2n_paper", "n2n_code"]
STALE = 4  # policy versions after which a sample says too little about the policy


@dataclass(frozen=True, slots=True)
class Sample:
    """A rollout with its reward.

    Attributes
    ----------
    actions : tuple of int
    free : tuple of bool
        Which were decisions.
    log_p : tuple of float
        Log-probability of each under the policy that drew it.
    version : int
        Updates that policy had had.
    reward : float
    condition : float
        Log of the size asked for; 0 where none was.
    share : float
        By how much of a uniform draw the policy was mixed.
    """

    actions: tuple[int, ...]
    free: tuple[bool, ...]
    log_p: tuple[float, ...]
    version: int
    reward: float
    condition: float = 0.0
    share: float = 0.0


class Learner:
    """Gathers samples and updates a policy whenever a batch is there. Base of those below.

    Parameters
    ----------
    policy : Policy
    steps : Steps
    lr : float
        Of Adam.
    """

    batch = 5

    def __init__(self, policy: Policy, steps: Steps, lr: float) -> None:
        self.policy, self.steps = policy, steps
        self.version = 0
        self.optimizer = torch.optim.Adam(policy.parameters(), lr)
        self._waiting: list[Sample] = []

    def add(self, *samples: Sample) -> None:
        """Take samples in; what has no finite reward or is stale is dropped."""
        self._waiting += [s for s in samples if math.isfinite(s.reward) and self._takes(s)]
        if len(self._waiting) < self.batch:
            return
        fresh = [s for s in self._waiting if self.version - s.version <= STALE]
        if len(fresh) < self.batch:
            self._waiting = fresh
            return
        self._waiting = []
        self._update(fresh)
        self.version += 1

    def _takes(self, sample: Sample) -> bool:
        return any(sample.free)

    def _update(self, samples: Sequence[Sample]) -> None:
        raise NotImplementedError

    def _log_p(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and entropies under the policy as it is, and what is free: (B, T)."""
        actions = torch.tensor([s.actions for s in samples])
        free = torch.tensor([s.free for s in samples])
        log_p, entropy = self.policy.evaluate(
            self.steps, actions, torch.tensor([s.condition for s in samples])
        )
        return torch.where(free, log_p, 0.0), torch.where(free, entropy, 0.0), free

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class Reinforce(Learner):
    """REINFORCE, each rollout's reward against a moving average (Williams 1992).

    The paper's formula: the gradient of the mean over rollouts of ``sum_t log p(a_t) (R_k - b)``.
    The decay of b is not known from it; 0.9 here, from the first batch's mean on. There is no
    correction for samples of other policies than the one that learns: those that were drawn
    uniformly are left out.
    """

    DECAY = 0.9
    baseline: float | None = None

    def _takes(self, sample: Sample) -> bool:
        return super()._takes(sample) and sample.share == 0

    def _update(self, samples: Sequence[Sample]) -> None:
        rewards = torch.tensor([s.reward for s in samples])
        mean = float(rewards.mean())
        before = mean if self.baseline is None else self.baseline
        log_p, _, _ = self._log_p(samples)
        self._step(-(log_p.sum(1) * (rewards - before)).mean())
        self.baseline = self.DECAY * before + (1 - self.DECAY) * mean


class BatchReinforce(Learner):
    """The published code's estimator, for comparison: all rollouts get the batch's mean reward.

    Less a mean over the batches so far that begins with a 0, and with one step of Adam a rollout.
    """

    _summed = 0.0

    def _takes(self, sample: Sample) -> bool:
        return super()._takes(sample) and sample.share == 0

    def _update(self, samples: Sequence[Sample]) -> None:
        mean = sum(s.reward for s in samples) / len(samples)
        advantage = mean - self._summed / (self.version + 1)
        for sample in samples:
            log_p, _, _ = self._log_p([sample])
            self._step(-log_p.sum() * advantage)
        self._summed += mean


@dataclass(frozen=True, slots=True)
class Clipped:
    """What `Ppo` goes by.

    Attributes
    ----------
    clip : float
        By how much the ratio of probabilities may leave 1, a decision.
    epochs : int
        Over a batch.
    kl : float
        Mean divergence of a decision from the policy before the update, which ends it.
    entropy : tuple of float
        Weight of the entropy, at first and from the horizon on.
    horizon : int
        Samples over which it falls.
    least : float
        Least deviation that advantages are divided by.
    norm : float
        Largest gradient norm.
    """

    clip: float = 0.2
    epochs: int = 4
    kl: float = 0.02
    entropy: tuple[float, float] = (0.01, 0.001)
    horizon: int = 200
    least: float = 0.02
    norm: float = 0.3


class Ppo(Learner):
    """Proximal policy optimisation of single decisions (Schulman et al. 2017).

    A rollout's advantage is its reward less the mean of the others', divided by their deviation.
    Ratios are taken against the policy that drew the sample, so that it may have been an older one.
    """

    batch = 8

    def __init__(
        self, policy: Policy, steps: Steps, lr: float = 0.01, rules: Clipped | None = None
    ) -> None:
        super().__init__(policy, steps, lr)
        self.rules = rules or Clipped()
        self._learned = 0

    def _update(self, samples: Sequence[Sample]) -> None:
        rules = self.rules
        advantage = leave_one_out([s.reward for s in samples], rules.least)[:, None]
        drawn = torch.tensor([s.log_p for s in samples])
        with torch.no_grad():
            before, _, _ = self._log_p(samples)
        for _ in range(rules.epochs):
            log_p, entropy, free = self._log_p(samples)
            decisions = free.sum()
            moved = (before - log_p).detach()
            if (((-moved).exp() - 1 + moved).sum() / decisions) > rules.kl:
                break
            ratio = (log_p - drawn).exp()
            held = ratio.clamp(1 - rules.clip, 1 + rules.clip)
            gain = torch.minimum(ratio * advantage, held * advantage)
            total = torch.where(free, gain, 0.0).sum() + self._curiosity * entropy.sum()
            self._step(-total / len(samples))
        self._learned += len(samples)

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.rules.norm)
        self.optimizer.step()

    @property
    def _curiosity(self) -> float:
        first, last = self.rules.entropy
        return first + (last - first) * min(self._learned / self.rules.horizon, 1.0)


def leave_one_out(rewards: Sequence[float], least: float) -> Tensor:
    """Each reward less the mean of the others, divided by the deviation of all, at least `least`.

    Parameters
    ----------
    rewards : sequence of float
        At least two.
    """
    values = torch.tensor(rewards)
    others = (values.sum() - values) / (len(values) - 1)
    return (values - others) / values.std().clamp(min=least)


PROFILES: dict[Profile, type[Learner]] = {
    "n2n_code": BatchReinforce,
    "n2n_paper": Reinforce,
    "n2n_plus": Ppo,
}
