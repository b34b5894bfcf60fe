"""A search of edits by n2n: broken off anywhere, its policy goes on; from the log it is saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.check import check_search
from kdsearch.config import TeacherConfig
from kdsearch.errors import UserError
from kdsearch.proposers.n2n import N2NProposer
from kdsearch.proposing import make_proposer
from kdsearch.search_config import SearchConfig, load_config
from kdsearch.students import describe
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Taught
from kdsearch.tune.policy import save_policy
from tests.tune.made import DATA, events_of, learn, log_of, made_config, made_driver, play, started

TEACHER = {"architecture": {"family": "resnet", "blocks": [2, 2], "widths": [8, 16]}, "epochs": 1}
TREE = {
    "search": "edits",
    "data": {"name": "digits", "batch_size": 16},
    "teacher": TEACHER,
    "student": {
        "family": "edited",
        "keep": {"each": 2, "choice": [1, 0]},
        "ratio": {"each": 6, "choice": [0.25, 0.5, 1]},
    },
    "losses": [{"method": "kd", "weight": 0.5}],
    "training": {"epochs": 4},
    "constraints": {"parameters": 6000},
    "proposer": {"name": "n2n"},
    "scheduler": {"name": "asha", "grace": 1, "reduction": 2},
    "budget": {"trials": 30},
}


def edits(**changes: object) -> SearchConfig:
    return load_config({**TREE, **changes})


def fresh(config: SearchConfig) -> N2NProposer:
    teacher = describe(TEACHER["architecture"], DATA.shape, len(DATA.classes))  # type: ignore[arg-type]
    made = make_proposer(config, [teacher], 0.9)
    assert isinstance(made, N2NProposer)
    return made


def at_home(driver: Driver) -> Driver:
    """The driver, its teacher known."""
    section = TeacherConfig.model_validate(TEACHER).model_dump_json()
    driver.ground.teachers = {section: Taught("t0", 0.9)}
    return driver


def searched(folder: Path, config: SearchConfig) -> N2NProposer:
    made = fresh(config)
    with made_driver(folder, config, made) as driver:
        play(at_home(driver), train=learn)
    return made


def test_a_search_broken_off_goes_on_with_the_same_policy(tmp_path: Path) -> None:
    config = edits()
    searched(tmp_path / "whole", config)
    lines, events = log_of(tmp_path / "whole"), events_of(tmp_path / "whole")
    starts = [i for i, event in enumerate(events) if event["event"] == "trial"]
    for cut in starts[3::6]:  # just before the search asked for this trial
        (folder := tmp_path / str(cut)).mkdir()
        (folder / "log.jsonl").write_bytes(b"".join(lines[:cut]))
        with made_driver(folder, config, fresh(config)) as driver:
            flying = len(at_home(driver).store.history.running)
            launched = [started(driver).trial_id for _ in range(flying + 1)]
        assert launched[-1] == events[cut]["trial_id"]
        again = events_of(folder, "trial")[-1]
        for key in ("assignment", "note", "parent_id", "architecture_key"):
            assert again[key] == events[cut][key]


@pytest.mark.parametrize("bound", [6000, 2000])
def test_when_no_removal_is_left_that_may_run_widths_are_next(tmp_path: Path, bound: int) -> None:
    paper = {"name": "n2n", "profile": "n2n_paper"}
    config = edits(proposer=paper, constraints={"parameters": bound})
    searched(tmp_path / "whole", config)
    lines, events = log_of(tmp_path / "whole"), events_of(tmp_path / "whole")
    starts = [i for i, event in enumerate(events) if event["event"] == "trial"]
    assert len(starts) == 30 and not any(e["event"] == "exhausted" for e in events)
    removals = [events[i] for i in starts if events[i]["note"]["stage"] == 0]
    assert len(removals) <= 4  # of two blocks, and the small bound lets none run
    assert (bound == 2000) == (not removals)
    cut = starts[12]
    (folder := tmp_path / "cut").mkdir()
    (folder / "log.jsonl").write_bytes(b"".join(lines[:cut]))
    with made_driver(folder, config, fresh(config)) as driver:
        flying = len(at_home(driver).store.history.running)
        launched = [started(driver).trial_id for _ in range(flying + 1)]
    assert launched[-1] == events[cut]["trial_id"]
    assert events_of(folder, "trial")[-1]["note"] == events[cut]["note"]


def test_the_log_alone_gives_the_policy_and_another_search_begins_with_it(tmp_path: Path) -> None:
    config, file = edits(), tmp_path / "made" / "policy"
    made = searched(tmp_path / "search", config)
    assert made.minds[0].learner.version >= 2
    assert save_policy(tmp_path / "search", file) == 30
    assert file.read_bytes() == made.state() != fresh(config).state()
    begun = fresh(edits(proposer={"name": "n2n", "policy": str(file)}, seed=5))
    assert begun.state() == made.state()


def test_students_are_edits_of_their_teacher_and_keep_the_bound(tmp_path: Path) -> None:
    searched(tmp_path / "search", edits())
    trials = events_of(tmp_path / "search", "trial")
    assert {t["parent_id"] for t in trials} == {"t0"}
    assert all(t["parameters"] <= 6000 for t in trials)
    assert len({t["architecture_key"] for t in trials}) == 30
    assert sum(len(t["note"]["refused"]) for t in trials) > 0


def test_a_search_without_a_policy_has_none_to_save(tmp_path: Path) -> None:
    config = made_config(proposer={"name": "random"}, budget={"trials": 1})
    with made_driver(tmp_path / "search", config):
        pass
    with pytest.raises(UserError, match="random, which has no policy"):
        save_policy(tmp_path / "search", tmp_path / "policy")


@pytest.mark.parametrize(
    "changes, place, fault",
    [
        ({"budget": {"trials": 7}}, "budget.trials", "fewer than the 8"),
        ({"proposer": {"name": "n2n", "policy": "gone"}}, "proposer.policy", "cannot be read"),
        ({"student": {"family": "mlp", "widths": [4]}}, "proposer.name", "no such hole"),
        (
            {"student": {"family": "edited", "keep": {"each": 3, "choice": [1, 0]}}},
            "student.keep",
            "2 removable blocks",
        ),
        (
            {"teacher": {"architecture": {"family": "torchvision", "model": "mobilenet_v2"}}},
            "teacher.architecture.model",
            "mobilenet_v2 cannot be edited",
        ),
        ({"objectives": [{"name": "macs", "direction": "min"}]}, "objectives", "learns from"),
    ],
)
def test_bad_input_is_found_by_the_check(changes: dict, place: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault) as caught:
        check_search(edits(**changes))
    assert caught.value.place == place
