"""What a search's folder names is not run by the commands that read it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.export import export_trial
from kdsearch.results.log import read_events
from kdsearch.search_config import load_config
from kdsearch.student_folder import load_student
from kdsearch.teachers import read_teacher
from kdsearch.tune.closing import close_search
from kdsearch.tune.finish import finish_search
from kdsearch.tune.opening import load_same, open_search
from kdsearch.tune.policy import save_policy
from kdsearch.tune.rerun import rerun_trial
from tests.tune.made import DISTILLED, distilled_here, events_of, rewrite

LOAD = """
import numpy as np
import sklearn.datasets

def load(root):
    data = sklearn.datasets.load_digits()
    images = (data.images * 15).astype(np.uint8)
    return images, data.target
"""


def unheard(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilled_here(tmp_path_factory.mktemp("results"))


@pytest.fixture
def searched(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to write into, and the folder of a module where a search file would have it."""
    shutil.copytree(once.parent, tmp_path / "results")
    base = tmp_path / "base"
    base.mkdir()
    (base / "code_of_theirs.py").write_text("raise SystemExit('it ran')")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(base)
    rewrite(tmp_path / "results" / "here", changed("search", base=str(base)))
    return tmp_path / "results" / "here"


def changed(kind: str, **values: object) -> Callable[[list[dict]], list[dict]]:
    """Events of one kind with other values; a path of keys is joined by ``__``."""

    def change(events: list[dict]) -> list[dict]:
        for event in events:
            for path, value in values.items() if event["event"] == kind else ():
                node, *rest = event, *path.split("__")
                for key in rest[:-1]:
                    node = node[key]
                node[rest[-1]] = value
        return events

    return change


NETWORK = json.dumps({"family": "code_of_theirs:net", "input": [1, 8, 8], "classes": 10})
NAMED = {
    "data": {"spec__plan__data__name": "code_of_theirs:load"},
    "loss": {"spec__plan__losses": [{"method": "code_of_theirs:Loss", "weight": 1.0}]},
    "family": {"spec__plan__student": {"family": "code_of_theirs:net"}},
    "architecture": {"spec__architecture": NETWORK},
    "teacher": {"spec__plan__teacher__architecture": {"family": "code_of_theirs:net"}},
}


@pytest.mark.parametrize("values", NAMED.values(), ids=NAMED)
def test_code_in_a_log_is_not_run(searched: Path, values: dict[str, object]) -> None:
    rewrite(searched, changed("trial", **values))
    path = [*sys.path]
    for command in (
        lambda: rerun_trial(searched, "00000", say=unheard),
        lambda: finish_search(searched, seeds=1, quiet=True),
        lambda: save_policy(searched, searched / "policy"),
    ):
        with pytest.raises(UserError, match="--code DIR") as caught:
            command()
        assert "'code_of_theirs" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="which the search file does not"), going_on(searched):
        pass
    assert sys.path == path and "code_of_theirs" not in sys.modules


def going_on(searched: Path):
    header = events_of(searched, "search")[-1]
    return open_search(searched, load_config(header["config"], base=Path(header["base"])))


def test_the_folder_of_the_search_file_is_not_looked_into(searched: Path) -> None:
    path = [*sys.path]
    rerun_trial(searched, "00000", say=unheard)
    kept = next((searched / "students").iterdir()).name
    export_trial(searched, kept, searched / "out")
    assert sys.path == path


def test_code_in_the_folder_that_was_given_runs(searched: Path, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code_of_theirs.py").write_text(LOAD)
    edits = ["data.name=code_of_theirs:load", "teacher.seed=1"]
    with pytest.raises(UserError, match="--code DIR"):
        rerun_trial(searched, "00000", edits=edits, say=unheard)
    new = rerun_trial(searched, "00000", edits=edits, code=tmp_path / "code", say=unheard)
    load_student(searched / "students" / new)
    with going_on(searched):  # the row is its user's, and no trial of the search
        pass
    del sys.modules["code_of_theirs"]


def test_ids_are_no_paths(searched: Path) -> None:
    whole = (searched / "log.jsonl").read_bytes()
    for values in (
        {"trial_id": "../../x"},
        {"trial_id": "/x"},
        {"teacher_id": "../t"},
        {"trial_id": "1\n"},
    ):
        (searched / "log.jsonl").write_bytes(whole)
        with pytest.raises(UserError, match="_id "):
            rewrite(searched, changed("trial", **values))
            read_events(searched / "log.jsonl")
    (searched / "log.jsonl").write_bytes(whole)
    with pytest.raises(UserError, match="search"):
        rewrite(searched, changed("search", search="../x"))
        read_events(searched / "log.jsonl")


def test_a_teacher_of_another_place_or_network_is_none(searched: Path) -> None:
    folder = next((searched.parent / "teachers").iterdir())
    card = json.loads((folder / "teacher.json").read_bytes())
    (folder / "teacher.json").write_text(json.dumps({**card, "identity": "../../x"}))
    assert read_teacher(folder) is None
    (folder / "teacher.json").write_text(json.dumps({**card, "architecture": NETWORK}))
    rerun_trial(searched, "00000", say=unheard)  # trained again, and written in its place
    found = read_teacher(folder)
    assert found is not None and found.architecture == card["architecture"]


def test_a_student_that_was_put_there_is_not_tested(searched: Path) -> None:
    folder = next((searched / "students").iterdir())
    card = json.loads((folder / "student.json").read_bytes())
    (folder / "student.json").write_text(json.dumps({**card, "architecture": NETWORK}))
    rewrite(searched, lambda events: [e for e in events if e["event"] != "test"])
    config = load_config(DISTILLED)
    with (
        open_search(searched, config) as store,
        pytest.raises(UserError, match="another network than the log says"),
    ):
        close_search(store, config, lambda: load_same(store, config))
