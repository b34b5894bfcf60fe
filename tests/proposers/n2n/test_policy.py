"""Policies: every weight learns, and what was not decided has no probability."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kdsearch.proposers.n2n.policy import (
    FLOOR,
    JointPolicy,
    Policy,
    RemovalPolicy,
    ShrinkPolicy,
    Steps,
)

T, F = 6, 5
MADE: dict[str, Callable[[], Policy]] = {
    "removal": lambda: RemovalPolicy(F),
    "shrink": lambda: ShrinkPolicy(F, 4),
    "joint": lambda: JointPolicy(F, 4),
}


def steps(name: str) -> Steps:
    options = [2] * T if name == "removal" else [2, 2, 2, 4, 4, 1]
    return Steps(torch.randn(T, F), torch.tensor(options))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def always(before: Tensor) -> Tensor:
    return torch.ones(len(before), dtype=torch.bool)


@pytest.mark.parametrize("name", MADE)
def test_every_parameter_is_registered_and_learns(name: str) -> None:
    policy, told = MADE[name](), steps(name)
    condition = torch.full((8,), 1.5)
    rollout = policy.sample(told, torch.rand(8, T), always, condition)
    log_p, _ = policy.evaluate(told, rollout.actions, condition)
    (log_p.sum(1) * torch.randn(8)).mean().backward()
    parameters = dict(policy.named_parameters())
    assert len(parameters) == (18 if name == "removal" else 10)  # two layers, gates, the head
    for parameter in parameters.values():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("name", MADE)
def test_the_same_draws_give_the_same_actions_at_the_same_probability(name: str) -> None:
    policy, told, draws = MADE[name](), steps(name), torch.rand(4, T)
    first, second = (policy.sample(told, draws, always) for _ in range(2))
    assert (first.actions == second.actions).all() and (first.log_p == second.log_p).all()
    log_p, _ = policy.evaluate(told, first.actions, torch.zeros(4))
    torch.testing.assert_close(log_p.detach().where(first.free, torch.tensor(0.0)), first.log_p)
    assert (first.actions < told.options).all() and (first.actions >= 0).all()


def test_samples_come_as_often_as_their_probability_says() -> None:
    policy, told = JointPolicy(F, 4), steps("joint")
    policy.head.weight.data *= 8  # far from uniform
    rollout = policy.sample(told, torch.rand(4000, T), always)
    everything = torch.arange(2)
    for first in everything.tolist():
        drawn = rollout.actions[:, 0] == first
        p = rollout.log_p[drawn, 0].exp().mean()
        assert drawn.float().mean() == pytest.approx(float(p), abs=0.03)


@pytest.mark.parametrize("name", MADE)
def test_what_is_forced_has_no_probability_and_no_gradient(name: str) -> None:
    policy, told = MADE[name](), steps(name)

    def free(before: Tensor) -> Tensor:
        return torch.full((len(before),), before.shape[1] == 2)

    rollout = policy.sample(told, torch.rand(5, T), free)
    assert rollout.free.sum(0).tolist() == [0, 0, 5, 0, 0, 0]
    forced = ~rollout.free
    assert (rollout.actions == told.options - 1)[forced].all()  # the option that changes nothing
    assert (rollout.log_p[forced] == 0).all()
    log_p, _ = policy.evaluate(told, rollout.actions, torch.zeros(5))
    torch.where(rollout.free, log_p, 0.0)[:, :2].sum().backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in policy.parameters())


def test_what_may_be_chosen_may_depend_on_what_was() -> None:
    policy, told = JointPolicy(F, 4), steps("joint")
    rollout = policy.sample(
        told, torch.rand(64, T), lambda b: b[:, 0] == 1 if b.shape[1] == 4 else always(b)
    )
    assert (rollout.free[:, 4] == (rollout.actions[:, 0] == 1)).all()
    assert 0 < rollout.free[:, 4].float().mean() < 1


def test_no_option_of_the_joint_policy_dies() -> None:
    policy, told = JointPolicy(F, 4), steps("joint")
    policy.head.bias.data = torch.tensor([-1e4, -1e4, -1e4, 1e4])
    policy.head.weight.data.zero_()
    actions = torch.zeros(1, T, dtype=torch.int64)
    log_p, _ = policy.evaluate(told, actions, torch.zeros(1))
    assert FLOOR < log_p[0, 3].exp().item() < 1.5 * FLOOR
    even, _ = policy.evaluate(told, actions, torch.zeros(1), torch.ones(1))
    assert even[0, :4].exp().tolist() == pytest.approx([0.5, 0.5, 0.5, 0.25])


def test_the_joint_policy_hears_what_came_before_and_the_size() -> None:
    policy, told = JointPolicy(F, 4), steps("joint")
    one, other = torch.zeros(2, 1, T, dtype=torch.int64)
    other[0, 0] = 1
    size = torch.zeros(1)
    before, after = (policy.evaluate(told, a, size)[1][0] for a in (one, other))
    assert before[0] == after[0] and (before[1:5] != after[1:5]).all()
    larger = policy.evaluate(told, one, size + 2)[1][0]
    assert (before[:5] != larger[:5]).all()


def test_removals_are_independent_given_the_teacher() -> None:
    policy, told = RemovalPolicy(F), steps("removal")
    one, other = torch.zeros(2, 1, T, dtype=torch.int64)
    other[0, 0] = 1
    before, after = (policy.evaluate(told, a, torch.zeros(1))[1] for a in (one, other))
    assert (before == after).all()
