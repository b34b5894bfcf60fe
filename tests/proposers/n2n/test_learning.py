"""Learners: credit goes to the rollout that earned it, and what is stale or no number to none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from kdsearch.proposers.n2n.learning import (
    PROFILES,
    STALE,
    Clipped,
    Learner,
    Ppo,
    Profile,
    Reinforce,
    Sample,
    leave_one_out,
)
from kdsearch.proposers.n2n.policy import JointPolicy, Policy, RemovalPolicy, Steps

T, F = 4, 3
ONES, ZEROS = (1,) * T, (0,) * T


def made(profile: Profile, seed: int = 0, rate: float = 0.01) -> Learner:
    torch.manual_seed(seed)
    policy = JointPolicy(F, 2) if profile == "n2n_plus" else RemovalPolicy(F)
    return PROFILES[profile](policy, Steps(torch.randn(T, F), torch.tensor([2] * T)), rate)


def chance(learner: Learner, actions: tuple[int, ...]) -> float:
    """Log-probability of actions."""
    with torch.no_grad():
        told = torch.tensor([actions])
        return float(learner.policy.evaluate(learner.steps, told, torch.zeros(1))[0].sum())


def sample(learner: Learner, actions: tuple[int, ...], reward: float, free: int = T) -> Sample:
    with torch.no_grad():
        told = torch.tensor([actions])
        log_p = learner.policy.evaluate(learner.steps, told, torch.zeros(1))[0][0]
    is_free = tuple(t < free for t in range(T))
    return Sample(actions, is_free, tuple(log_p.tolist()), learner.version, reward)


def batch(learner: Learner, good: tuple[int, ...], bad: tuple[int, ...]) -> list[Sample]:
    """Half of a batch earned 1, half 0."""
    half = [sample(learner, good, 1.0), sample(learner, bad, 0.0)]
    return (half * learner.batch)[: learner.batch]


@pytest.mark.parametrize("profile", ["n2n_paper", "n2n_plus"])
@pytest.mark.parametrize("good, bad", [(ONES, ZEROS), (ZEROS, ONES)])
def test_rewards_of_1_and_0_push_in_opposite_directions(
    profile: Profile, good: tuple[int, ...], bad: tuple[int, ...]
) -> None:
    learner = made(profile)
    before = chance(learner, good), chance(learner, bad)
    learner.add(*batch(learner, good, bad))
    assert learner.version == 1
    assert chance(learner, good) > before[0] and chance(learner, bad) < before[1]


def test_the_published_estimator_credits_all_alike() -> None:
    one, other = made("n2n_code"), made("n2n_code")
    samples = batch(one, ONES, ZEROS)
    turned = [replace(s, reward=1 - s.reward) for s in samples]
    even = [replace(s, reward=0.5) for s in samples + turned]
    mean = sum(s.reward for s in samples) / len(samples)
    one.add(*samples)
    other.add(*[replace(s, reward=mean) for s in even[: len(samples)]])
    for mine, theirs in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)  # who earned what makes no difference


@pytest.mark.parametrize("profile, rate", [("n2n_paper", 0.003), ("n2n_plus", 0.01)])
def test_good_actions_are_found(profile: Profile, rate: float) -> None:
    earned: list[float] = []
    for seed in range(2):
        learner = made(profile, seed, rate)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(80):
            draws = torch.rand(learner.batch, T, generator=generator)
            rollout = learner.policy.sample(
                learner.steps, draws, lambda b: torch.ones(len(b), dtype=torch.bool)
            )
            rewards = (rollout.actions == torch.tensor([1, 0, 1, 0])).float().mean(1).tolist()
            earned.append(sum(rewards) / len(rewards))
            told = zip(rollout.actions.tolist(), rewards, strict=True)
            learner.add(*[sample(learner, tuple(a), r) for a, r in told])
    assert (earned[0] + earned[80]) / 2 < 0.7
    assert (earned[79] + earned[159]) / 2 > 0.9


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_no_number_never_enters(profile: Profile) -> None:
    learner = made(profile)
    good = batch(learner, ONES, ZEROS)
    broken = [replace(good[0], reward=value) for value in (math.nan, math.inf, -math.inf)]
    learner.add(*broken, *good[:-1], *broken)
    assert learner.version == 0
    learner.add(good[-1])
    assert learner.version == 1
    assert all(p.isfinite().all() for p in learner.policy.parameters())


@pytest.mark.parametrize("profile", PROFILES)
def test_stale_samples_are_dropped(profile: Profile) -> None:
    learner = made(profile)
    old = batch(learner, ONES, ZEROS)
    learner.version = STALE + 1
    learner.add(*old)
    assert learner.version == STALE + 1  # none was left to learn from
    learner.add(*[replace(s, version=1) for s in old])
    assert learner.version == STALE + 2


@pytest.mark.parametrize("profile", PROFILES)
def test_what_was_forced_moves_no_weight(profile: Profile) -> None:
    learner = made(profile)
    before = [p.clone() for p in learner.policy.parameters()]
    learner.add(*[replace(s, free=(False,) * T) for s in batch(learner, ONES, ZEROS)] * 3)
    after = list(learner.policy.parameters())
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_the_papers_baseline_is_a_moving_average() -> None:
    learner = made("n2n_paper")
    assert isinstance(learner, Reinforce)
    for reward, expected in ((0.5, 0.5), (1.0, 0.55), (0.0, 0.495)):
        learner.add(*[sample(learner, ONES, reward)] * learner.batch)
        assert learner.baseline == pytest.approx(expected)


def test_reinforce_leaves_out_what_another_policy_drew() -> None:
    for profile, learns in (("n2n_paper", 0), ("n2n_code", 0), ("n2n_plus", 1)):
        learner = made(profile)  # type: ignore[arg-type]
        learner.add(*[replace(s, share=1.0) for s in batch(learner, ONES, ZEROS)])
        assert learner.version == learns


def test_an_advantage_is_what_the_others_did_not_earn() -> None:
    rewards = [0.2, 0.5, 0.9, 0.4]
    advantages = leave_one_out(rewards, 1e-9)
    for k, reward in enumerate(rewards):
        others = [r for i, r in enumerate(rewards) if i != k]
        expected = reward - sum(others) / 3
        assert float(advantages[k]) == pytest.approx(
            expected / torch.tensor(rewards).std().item(), abs=1e-5
        )
    assert advantages.sum().abs() < 1e-5
    alike = leave_one_out([0.5, 0.5, 0.5 + 1e-6], 0.02)
    assert alike.abs().max() < 1e-4  # noise among equals is not blown up


def test_the_divergence_ends_an_update() -> None:
    def moved(kl: float) -> float:
        torch.manual_seed(0)
        policy: Policy = JointPolicy(F, 2)
        steps = Steps(torch.randn(T, F), torch.tensor([2] * T))
        learner = Ppo(policy, steps, 0.01, Clipped(kl=kl, epochs=30))
        before = chance(learner, ONES)
        learner.add(*batch(learner, ONES, ZEROS))
        return chance(learner, ONES) - before

    assert 0 < moved(1e-9) < moved(0.1) < moved(1e9)


def test_curiosity_fades() -> None:
    learner = made("n2n_plus")
    assert isinstance(learner, Ppo)
    weights = [learner._curiosity]
    for _ in range(40):
        learner.add(*batch(learner, ONES, ZEROS))
        weights.append(learner._curiosity)
    assert weights == sorted(weights, reverse=True)
    assert (weights[0], weights[-1]) == pytest.approx((0.01, 0.001))
