"""The proposer: its edits fit, a kill leaves no trace, and nothing runs twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from kdsearch.cost import cost
from kdsearch.errors import UserError
from kdsearch.proposers import Observation, Proposal
from kdsearch.proposers.n2n import N2NProposer
from kdsearch.proposers.n2n.learning import Profile
from kdsearch.space import SearchSpace
from tests.proposers.n2n.made import (
    ACCURACY,
    BOTH,
    KEEP,
    RATIO,
    TEACHER,
    accuracy,
    play,
    propose,
    proposer,
    seen,
    space,
    student_of,
)

PROFILES: list[Profile] = ["n2n_plus", "n2n_paper", "n2n_code"]
WIDER = SearchSpace(
    {
        "student": {"family": "edited", "keep": KEEP, "ratio": RATIO},
        "training": {"lr": {"float": [0.01, 1], "log": True}},
        "losses": [{"choice": ["none", {"method": "kd", "weight": {"float": [0, 1]}}]}],
    }
)


def weights(made: N2NProposer) -> bytes:
    return made.state()


def retold(told: list[Observation], **changes: Any) -> N2NProposer:
    """A new proposer, told what the log says: ends, in their order, and no refusal."""
    again = proposer(**changes)
    for observation in told:
        note = json.loads(json.dumps(observation.note))
        again.observe(replace(observation, note=note))
    return again


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("broken_at", [0, 3, 12, 30])
def test_a_kill_in_mid_batch_leaves_the_same_next_proposal(
    profile: Profile, broken_at: int
) -> None:
    given = {"profile": profile, "trials": 30, "space": WIDER}
    before = proposer(**given)
    told = play(before, broken_at)
    again = retold(told, **given)
    assert weights(again) == weights(before)
    for i in range(broken_at, broken_at + 12):  # and so it goes on, through further updates
        one, other = propose(before, i), propose(again, i)
        assert one == other
        observation = seen(i, one, (accuracy(student_of(before, one)),))
        before.observe(observation)
        again.observe(observation)
    assert weights(again) == weights(before)


def test_refusals_are_learned_from_with_the_trial_that_ran_and_survive_a_kill() -> None:
    before = proposer(objectives=BOTH)
    told: list[Observation] = []
    for i in range(40):
        while (size := cost(student_of(before, found := propose(before, i))).parameters) > 9000:
            excess = size / 9000 - 1
            refusal = seen(i, found, fate="infeasible")
            before.observe(replace(refusal, violations=(excess,), note=None))
        values = (accuracy(student_of(before, found)), float(size))
        told.append(seen(i, found, values))
        before.observe(told[-1])
    assert sum(len(o.note["refused"]) for o in told if o.note) > 5
    again = retold(told, objectives=BOTH)
    assert weights(again) == weights(before)
    assert propose(again, 40) == propose(before, 40)


def test_trials_in_flight_learn_by_the_version_that_drew_them() -> None:
    def versions(flight: int) -> tuple[bytes, list[int], list[Observation]]:
        made = proposer()
        running: list[tuple[int, Proposal]] = []
        told, drawn = [], []
        for i in range(50):
            running.append((i, propose(made, i)))
            drawn.append(running[-1][1].note["rolled"]["version"])  # type: ignore[index]
            if len(running) == flight:
                number, proposal = running.pop(0)
                told.append(seen(number, proposal, (accuracy(student_of(made, proposal)),)))
                made.observe(told[-1])
        return weights(made), drawn, told

    state, drawn, told = versions(12)
    assert drawn == sorted(drawn) and drawn[-1] >= 3
    assert weights(retold(told)) == state


def test_nothing_known_is_proposed_again_until_all_is() -> None:
    made = proposer(space=space(keep=KEEP))  # 9 students: two blocks are alike
    keys = [student_of(made, Proposal(o.assignment)).key for o in play(made, 6)]
    assert len(set(keys)) == 6
    told = play(made, 14, first=6)
    repeated = [o.note["refused"] for o in told if o.note]
    assert max(map(len, repeated)) >= 10  # each a draw that is credited with what is known


def test_random_proposals_are_learned_from_as_what_they_are() -> None:
    made = proposer()
    drawn = [made.propose_random("00000") for _ in range(5)]
    found = [p for p in drawn if isinstance(p, Proposal) and p.note]
    assert len({str(p.assignment) for p in found}) == 5
    for rolled in (p.note["rolled"] for p in found if p.note):
        decided = [lp for lp, free in zip(rolled["log_p"], rolled["free"], strict=True) if free]
        assert {round(math.exp(lp), 4) for lp in decided} == {0.5, 0.25}


def test_with_repeats_a_student_may_come_again() -> None:
    made = proposer(space=space(keep=KEEP), repeats=True)
    assert all(not o.note["refused"] for o in play(made, 40) if o.note)


@pytest.mark.parametrize("profile", PROFILES)
def test_whatever_becomes_of_trials_the_policy_stays_finite(profile: Profile) -> None:
    made = proposer(profile=profile)
    fates = ["complete", "stopped", "failed", "diverged", "stopped"]
    for i in range(60):
        found, fate = propose(made, i), fates[i % len(fates)]
        value = math.nan if fate == "diverged" else accuracy(student_of(made, found))
        values = () if fate == "failed" else (value if fate == "complete" else value / 3,)
        made.observe(seen(i, found, values, fate, 1 if fate == "stopped" else 3))  # type: ignore[arg-type]
    assert made.minds[0].learner.version >= 3
    parameters = [p for mind in made.minds for p in mind.policy.parameters()]
    assert all(p.isfinite().all() for p in parameters)


def test_failed_and_diverged_trials_teach_nothing() -> None:
    made, untold = proposer(), proposer()
    for i in range(30):
        found = propose(made, i)
        made.observe(seen(i, found, fate="failed") if i % 2 else seen(i, found, (math.nan,)))
    assert weights(made) == weights(untold)


def test_a_stopped_trial_waits_until_others_have_finished_and_is_read_at_its_rung() -> None:
    made = proposer()
    found = [propose(made, i) for i in range(4)]
    made.observe(seen(0, found[0], (0.2,), "stopped", 1))
    waiting = made.credit._unread
    assert [t.trial_id for t in waiting] == ["00000"]
    for i, end in ((1, 0.80), (2, 0.85), (3, 0.90)):
        history = ((1, (end / 4,)), (3, (end,)))
        done = seen(i, found[i], (end,))
        made.observe(replace(done, history=history))
    assert not made.credit._unread
    read = made.credit.known[student_of(made, found[0]).key]
    assert read == pytest.approx(0.8)  # 0.2 at the first rung is what the worst of them had


def test_trials_of_others_teach_what_they_came_to_and_no_more() -> None:
    made, untold = proposer(), proposer()
    for i in range(20):
        other = propose(made, i)
        made.observe(seen(i, replace(other, note=None), (0.7,)))
    assert weights(made) == weights(untold) and len(made.credit.known) > 10


def test_with_a_size_among_the_objectives_every_size_is_asked_for() -> None:
    made = proposer(objectives=BOTH)
    for i in range(60):
        found = propose(made, i)
        assert found.note is not None
        kappa = math.exp(found.note["rolled"]["condition"])
        taken = made.edited.actions(found.assignment)
        size = made.edited.size(taken)
        least = made.edited.within(taken, 0)
        assert size <= made.edited.parameters / kappa or taken == least
        values = (accuracy(student_of(made, found)), float(size))
        made.observe(seen(i, found, values))
    assert made.minds[0].learner.version > 3


def test_a_policy_learns_what_is_worth_keeping() -> None:
    def value(student: Any) -> float:  # all but the last block of each stage are useless
        return 0.9 if [len(s.blocks) for s in student.stages] == [2, 1] else 0.5

    for seed in range(2):
        made = proposer(seed, space=space(keep=KEEP), repeats=True)
        sizes = [student_of(made, Proposal(o.assignment)) for o in play(made, 200, value)]
        early, late = (
            sum(value(s) for s in part) / len(part) for part in (sizes[:40], sizes[-40:])
        )
        assert late > early + 0.1


def test_the_other_holes_are_filled_by_another() -> None:
    made = proposer(space=WIDER, objectives=[ACCURACY])
    told = play(made, 30)
    for observation in told:
        WIDER.apply(observation.assignment)
    assert {o.assignment["losses[0]"] for o in told} == {"none", "kd"}
    assert len({o.assignment["training.lr"] for o in told}) == 30
    refused = made.propose("00030")
    assert isinstance(refused, Proposal)
    made.observe(seen(30, refused, fate="repeated"))
    again = made.propose("00030")
    assert isinstance(again, Proposal)  # only the edits are drawn again
    assert again.assignment["training.lr"] == refused.assignment["training.lr"]
    assert again.assignment != refused.assignment


@pytest.mark.parametrize("profile, batch", [("n2n_plus", 8), ("n2n_paper", 5), ("n2n_code", 5)])
def test_fewer_trials_than_a_batch_are_refused(profile: Profile, batch: int) -> None:
    proposer(profile=profile, trials=batch)
    with pytest.raises(UserError, match=f"{batch - 1} are fewer than the {batch}") as caught:
        proposer(profile=profile, trials=batch - 1)
    assert caught.value.place == "budget.trials"


def test_without_accuracy_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(UserError, match="validation_accuracy") as caught:
        N2NProposer(space(), BOTH[1:], teacher=TEACHER)
    assert caught.value.place == "objectives"
