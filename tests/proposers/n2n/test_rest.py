"""The holes beside the edits: filled by another proposer, which hears only of what may run."""

from __future__ import annotations

from typing import Any

from kdsearch.proposers import Proposal
from kdsearch.proposers.n2n.rest import Rest
from kdsearch.proposers.random import RandomProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES

SPACE = SearchSpace(
    {
        "student": {"family": "edited", "ratio": {"each": 2, "choice": [0.5, 1]}},
        "training": {"lr": {"float": [0.01, 1], "log": True}},
    }
)


class Asked(RandomProposer):
    """Counts what it is asked for."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked = 0

    def propose(self, trial_id: str) -> Proposal:
        self.asked += 1
        return super().propose(trial_id)

    propose_random = propose


def rest() -> Rest:
    edits = [name for name in SPACE.holes if name.startswith("student")]
    return Rest(SPACE, edits, OBJECTIVES, 0, Asked)


def test_random_draws_differ_repeat_and_are_kept_from_the_model() -> None:
    one, again = rest(), rest()
    drawn = [one.propose_random(trial_id) for trial_id in ("00000",) * 20 + ("00001",)]
    assert all(list(values) == ["training.lr"] for values in drawn)
    assert len({values["training.lr"] for values in drawn}) == 21
    assert isinstance(one.inner, Asked) and one.inner.asked == 0
    # A search that goes on draws for its next trial as it would have done unbroken.
    assert again.propose_random("00001") == drawn[-1]


def test_a_trial_keeps_its_values_while_its_edits_are_drawn_again() -> None:
    one = rest()
    assert one.propose("00000") == one.propose("00000") != one.propose("00001")
