"""How often a proposer is asked: one that goes through a list, to the end of it."""

from __future__ import annotations

import pytest

from kdsearch.proposers import Done
from kdsearch.tune.asking import MODEL_TRIES, RANDOM_TRIES, Exhausted, ask
from tests.tune.made import Listed, made_config, made_ground

TOO_WIDE, MAY_RUN = 39, 4
MORE = MODEL_TRIES + RANDOM_TRIES + 100


@pytest.mark.parametrize("finite", [True, False])
def test_a_finite_one_is_asked_on_however_many_are_refused(finite: bool) -> None:
    proposer = Listed([TOO_WIDE] * MORE + [MAY_RUN])
    proposer.finite = finite
    event = ask(proposer, made_ground(made_config()), set(), "00000")
    if finite:
        assert isinstance(event, dict) and len(proposer.told) == MORE
    else:
        assert isinstance(event, Exhausted)


def test_what_is_no_part_of_the_protocol_is_not_guessed() -> None:
    class Without:
        """Does not say whether it is finite."""

        def propose(self, trial_id: str) -> Done:
            return Done()

    with pytest.raises(AttributeError, match="finite"):
        ask(Without(), made_ground(made_config()), set(), "00000")  # type: ignore[arg-type]
