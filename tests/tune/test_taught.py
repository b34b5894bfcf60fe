"""What the log keeps of teachers and policies is what the search had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdsearch.architecture import Architecture
from kdsearch.config import TeacherConfig
from kdsearch.cost import cost
from kdsearch.errors import UserError
from kdsearch.proposers import Proposal
from kdsearch.results.page.edits import edited_trials, kept
from kdsearch.results.page.searches import read_searches
from kdsearch.search_config import SearchConfig
from kdsearch.students import describe
from kdsearch.tune.observe import observation
from kdsearch.tune.opening import open_search
from kdsearch.tune.policy import save_policy
from kdsearch.tune.taught import record_teachers
from tests.tune.made import DATA, events_of, learn, log_of, made_config, made_driver, play
from tests.tune.test_policy import TEACHER, at_home, edits, fresh, searched

SECTION = TeacherConfig.model_validate(TEACHER)
NETWORK = describe(SECTION.architecture, DATA.shape, len(DATA.classes))


ALL = edits(scheduler={"name": "none"})  # every trial to its end


def recorded(folder: Path) -> None:
    with made_driver(folder, ALL, fresh(ALL), scheduled=False) as driver:
        record_teachers(driver.store, at_home(driver).ground, [(SECTION, NETWORK)])
        play(driver, slots=1, train=learn)


def test_a_teacher_is_written_once_and_only_where_it_is_edited(tmp_path: Path) -> None:
    recorded(tmp_path / "edits")
    before = log_of(tmp_path / "edits")
    recorded(tmp_path / "edits")
    assert log_of(tmp_path / "edits") == before
    (told,) = events_of(tmp_path / "edits", "teacher")
    assert (told["teacher_id"], told["validation_accuracy"]) == ("t0", 0.9)
    assert told["parameters"] == cost(NETWORK).parameters
    assert Architecture.from_json(told["architecture"]) == NETWORK
    assert told["removable"] == [[0, 0], [1, 1]]
    with made_driver(tmp_path / "plain", made_config()) as driver:
        record_teachers(driver.store, at_home(driver).ground, [(SECTION, NETWORK)])
    assert not events_of(tmp_path / "plain", "teacher")


def test_the_report_shows_the_probabilities_and_rewards_that_the_policy_had(tmp_path: Path) -> None:
    recorded(tmp_path / "edits")
    search = read_searches([tmp_path / "edits"])[0]
    told, replay = kept(search), fresh(ALL)
    assert told is not None and told.names == ["stage 1, block 1", "stage 2, block 2"]
    shown = dict(zip(told.trials, zip(*told.probabilities, strict=True), strict=True))
    for row in search.history.rows:
        proposal = replay.propose(row.trial_id)
        assert isinstance(proposal, Proposal) and proposal.note is not None
        drawn = (proposal.note["refused"] or [proposal.note["rolled"]])[0]
        mind, size = replay.minds[0], torch.tensor([drawn["condition"]])
        actions = torch.tensor([drawn["actions"]])
        ones = [torch.cat([actions[:, :i], torch.ones_like(actions[:, i:])], 1) for i in range(2)]
        for decision, kept_there in enumerate(ones):
            log_p, _ = mind.policy.evaluate(mind.learner.steps, kept_there, size)
            assert shown[row.trial_id][decision] == pytest.approx(
                float(log_p[0, decision].detach().exp()), abs=1e-6
            )
        objectives = ALL.fixed.objectives
        replay.observe(observation(search.history, row.trial_id, row.status, objectives))
    assert replay.minds[0].learner.version > 0 and replay.credit.best is not None
    rewards = [float(value) for value in edited_trials(search)["reward"]]
    assert max(rewards) == pytest.approx(replay.credit.best[0])


def test_a_policy_file_that_changed_is_refused_wherever_it_is_read(tmp_path: Path) -> None:
    searched(tmp_path / "first", ALL)
    file = tmp_path / "policy"
    save_policy(tmp_path / "first", file)
    asked = {"scheduler": {"name": "none"}, "proposer": {"name": "n2n", "policy": str(file)}}
    folder, was = tmp_path / "second", file.read_bytes()
    searched(folder, edits(**asked, budget={"trials": 8}))
    larger = edits(**asked, budget={"trials": 9})
    file.write_bytes(fresh(ALL).state())
    for attempt in (lambda: opened(folder, larger), lambda: save_policy(folder, tmp_path / "new")):
        with pytest.raises(UserError, match=r"^proposer\.policy: .* has changed since") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    file.write_bytes(was)
    opened(folder, larger)
    file.write_bytes(b"")
    with pytest.raises(UserError, match="has changed since"):  # the raised budget forgot nothing
        opened(folder, larger)
    file.unlink()
    opened(folder, larger)  # a search that has ended needs it no more; another says that it is gone


def test_a_policy_may_be_replaced_before_the_first_trial(tmp_path: Path) -> None:
    file = tmp_path / "policy"
    config = edits(proposer={"name": "n2n", "policy": str(file)})
    for content in (b"one", b"two"):
        file.write_bytes(content)
        opened(tmp_path / "search", config)
    assert len({e["policy"] for e in events_of(tmp_path / "search", "search")}) == 2
    assert "policy" not in events_of(opened(tmp_path / "none", ALL), "search")[0]


def opened(folder: Path, config: SearchConfig) -> Path:
    with open_search(folder, config):
        return folder
