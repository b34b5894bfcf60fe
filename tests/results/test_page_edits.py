"""The report on edits of a teacher: rewards, what a policy keeps, the best student by layers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from kdsearch.architecture import Architecture, Block, Stage
from kdsearch.compression import reward
from kdsearch.results.page.edits import Layer, best_edit, edited_trials, kept, layers
from kdsearch.results.page.page import page_text
from kdsearch.results.page.searches import Search, read_searches
from tests.results.made import CONFIG, end, epoch, header, trial
from tests.results.pages import Browser, browser, figures_in, search, written

__all__ = ["browser"]  # the fixture


def stage(width: int, *inner: int) -> Stage:
    return Stage(tuple(Block("basic", inner=i) for i in inner), width)


def network(*stages: Stage, stem: int = 8) -> str:
    made = Architecture("resnet", (1, 8, 8), 10, Block("conv", stem), stages)
    return made.to_json()


TEACHER = network(stage(8, 8, 8, 8), stage(16, 16, 16))
STUDENT = network(stage(4, 2, 6), stage(12, 9, 10), stem=4)  # without stage 1, block 2
KEEPS = {"student.keep[0]": "int64", "student.keep[2]": "int64"}  # keep[1] is written down
TOLD = {
    "event": "teacher",
    "teacher_id": "t0",
    "validation_accuracy": 0.95,
    "parameters": 4000,
    "architecture": TEACHER,
    "removable": [[0, 1], [0, 2], [1, 1]],
}


def edit(name: str, keep: list[int], **changes: Any) -> dict[str, Any]:
    plan = {"student": {"family": "edited", "keep": keep}}
    spec = {"spec": {"seed": 7, "plan": plan}, "architecture": STUDENT}
    return trial(name, proposer="n2n", **{**spec, **changes})


def drawn(log_p: list[float], actions: list[int], share: float = 0.0) -> dict[str, Any]:
    free = [p < 0 for p in log_p]
    other = {"taken": actions, "condition": 0.0, "version": 0, "fate": ""}
    return {"actions": actions, "log_p": log_p, "free": free, "share": share, **other}


def note(rolled: dict[str, Any], *refused: dict[str, Any], stage: int = 0) -> dict[str, Any]:
    return {"stage": stage, "rolled": rolled, "refused": list(refused)}


LOW, HIGH = math.log(0.2), math.log(0.7)


def read(folder: Path, *trials: dict[str, Any], told: bool = True) -> Search:
    events = [header(columns=KEEPS, config=CONFIG), *([TOLD] if told else [])]
    for number, event in enumerate(trials):
        name, size = event["trial_id"], 500 * (number + 1)
        events += [{**event, "parameters": size}, epoch(name, 1, 0.9), end(name)]
    return read_searches([written(folder, events)])[0]


def test_the_student_stands_beside_the_teacher_block_by_block(tmp_path: Path) -> None:
    made = read(tmp_path, edit("00000", [0, 1, 1]))
    assert layers(made, "00000") == [
        Layer("stem", 8, 4),
        Layer("stage 1, stream", 8, 4),
        Layer("stage 1, block 1", 8, 2),
        Layer("stage 1, block 2", 8, None),
        Layer("stage 1, block 3", 8, 6),
        Layer("stage 2, stream", 16, 12),
        Layer("stage 2, block 1", 16, 9),
        Layer("stage 2, block 2", 16, 10),
    ]


def test_layers_of_an_mlp_are_counted_through(tmp_path: Path) -> None:
    def dense(*widths: int) -> str:
        stages = tuple(Stage((Block("dense", w),)) for w in widths)
        return Architecture("mlp", (1, 8, 8), 10, stages=stages).to_json()

    told = {**TOLD, "architecture": dense(9, 8, 7), "removable": [[1, 0], [2, 0]]}
    event = edit("00000", [0, 1], architecture=dense(5, 6))
    events = [header(columns={}), told, event, epoch("00000", 1, 0.9), end("00000")]
    made = read_searches([written(tmp_path, events)])[0]
    assert layers(made, "00000") == [("layer 1", 9, 5), ("layer 2", 8, None), ("layer 3", 7, 6)]


def test_rewards_are_of_edits_alone_and_the_best_is_the_fronts(tmp_path: Path) -> None:
    made = read(tmp_path, edit("00000", [0, 1, 1]), trial("00001"), edit("00002", [0, 1, 1]))
    rows = edited_trials(made)
    assert list(rows["trial_id"]) == ["00000", "00002"]
    assert list(rows["reward"]) == [reward(s, 4000, 0.9, 0.95) for s in (500, 1500)]
    best = best_edit(made)
    assert best is not None and best["trial_id"] == "00000"


def test_what_a_policy_kept_is_read_from_its_first_draw(tmp_path: Path) -> None:
    first, second = drawn([HIGH, LOW], [1, 0]), drawn([LOW, 0.0], [1, 1])
    made = read(
        tmp_path,
        edit("00000", [1, 1, 0], note=note(first)),
        edit("00001", [1, 1, 1], note=note(drawn([HIGH, HIGH], [0, 0], 0.05), second)),
        edit("00002", [0, 1, 1], note=note(drawn([HIGH, HIGH], [0, 0], 1.0))),  # at random
        edit("00003", [0, 1, 1], note=note(first, stage=1)),  # widths
        edit("00004", [0, 1, 1]),  # of another proposer
    )
    told = kept(made)
    assert told is not None and told.trials == ["00000", "00001"]
    assert told.names == ["stage 1, block 2", "stage 2, block 2"]
    assert told.probabilities == [pytest.approx([0.7, 0.2]), [pytest.approx(0.8), None]]


def test_a_log_without_teachers_has_no_such_section(tmp_path: Path) -> None:
    edits = [edit(f"{i:05d}", [0, 1, 1], note=note(drawn([HIGH, LOW], [1, 0]))) for i in range(3)]
    old, new = (read(tmp_path / str(told), *edits, told=told) for told in (False, True))
    assert kept(old) is None and best_edit(old) is None
    assert "Edits of the teacher" not in page_text([old])
    page = page_text([new])
    assert "Edits of the teacher" in page and "trial 00000" in page
    assert {"reward", "kept-0", "layers-0"} <= set(figures_in(page))


def test_an_edit_without_an_epoch_has_no_reward(tmp_path: Path) -> None:
    events = [header(columns=KEEPS), TOLD, edit("00000", [0, 1, 1])]
    events += [end("00000", "failed", error="lost")]
    made = read_searches([written(tmp_path, events)])[0]
    assert list(edited_trials(made)["reward"].isna()) == [True]
    assert "Edits of the teacher" not in page_text([made])


def test_the_section_is_drawn_beside_a_search_without_edits(
    browser: Browser, tmp_path: Path
) -> None:
    edits = [edit(f"{i:05d}", [0, 1, 1], note=note(drawn([HIGH, LOW], [1, 0]))) for i in range(3)]
    read(tmp_path / "edits", *edits)
    places = [search(tmp_path / "other"), tmp_path / "edits"]
    page = tmp_path / "page.html"
    page.write_text(page_text(read_searches(places)))
    dom, said = browser.open(page.as_uri())
    assert not said
    for name in ("reward", "kept-1", "layers-1"):
        chart = dom.partition(f'id="{name}"')[2].partition('<div class="chart')[0]
        assert 'class="main-svg"' in chart
    assert "removed" in json.dumps(figures_in(page.read_text())["layers-1"])
