"""Policies as bytes: the same weights come back, on another teacher too, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save

from kdsearch.errors import UserError
from kdsearch.proposers.n2n import saved
from kdsearch.students import describe
from tests.proposers.n2n.made import KEEP, RATIO, play, propose, proposer, space

LARGER = describe({"family": "resnet", "blocks": [4, 4], "widths": [8, 16]}, (1, 8, 8), 10)
LARGER_SPACE = space(
    keep={"each": 6, "choice": [1, 0]}, ratio={"each": 10, "choice": [0.25, 0.5, 0.75, 1]}
)


@pytest.mark.parametrize("profile", ["n2n_plus", "n2n_paper"])
def test_what_was_learned_starts_another_search(profile: str) -> None:
    first = proposer(profile=profile, trials=20)
    play(first, 20)
    again = proposer(7, profile=profile, trials=20, policy=first.state())
    assert again.state() == first.state()
    fresh = proposer(7, profile=profile, trials=20)
    assert fresh.state() != first.state()
    one, other = ([propose(p, i).assignment for i in range(5)] for p in (again, fresh))
    assert one != other


def test_a_policy_moves_to_a_larger_teacher() -> None:
    first = proposer()
    play(first, 20)
    larger = proposer(teacher=LARGER, space=LARGER_SPACE, policy=first.state())
    assert larger.state() == first.state()
    play(larger, 10)
    assert larger.state() != first.state()


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"profile": "n2n_paper"}, "profile 'n2n_plus', here 'n2n_paper'"),
        ({"space": space(keep=KEEP)}, "ratios"),
        ({"space": space(keep=KEEP, ratio={**RATIO, "choice": [0.5, 1]})}, "ratios"),
    ],
)
def test_a_policy_of_another_encoding_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(UserError, match=fault) as caught:
        proposer(**changes, policy=proposer().state())
    assert caught.value.place == "proposer.policy" and "\n" not in str(caught.value)


def test_a_policy_of_a_later_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later_version:
        later_version.setattr(saved, "ENCODING", saved.ENCODING + 1)
        later = proposer().state()
    with pytest.raises(UserError, match="another encoding"):
        proposer(policy=later)


@pytest.mark.parametrize("data", [b"", b"\x05", b"no policy at all", save({"w": torch.zeros(2)})])
def test_what_is_no_policy_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="holds no policy") as caught:
        proposer(policy=data)
    assert caught.value.place == "proposer.policy"


def test_a_torn_file_is_refused() -> None:
    whole = proposer().state()
    with pytest.raises(UserError, match="holds no policy"):
        proposer(policy=whole[: len(whole) // 2])
