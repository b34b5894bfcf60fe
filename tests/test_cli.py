"""The command line: quick where it only reads, and one line on stderr for any fault."""

from __future__ import annotations

import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from rich.console import Console

from kdsearch import cli, load_student, read_trials
from kdsearch.cli import main
from kdsearch.losses import LOSSES
from kdsearch.results.store import ResultStore
from kdsearch.tune import cluster
from tests.command_line import Line
from tests.results.made import finished, story
from tests.tune.made import DISTILLED, distilled_here, events_of

COMMANDS = (
    *("check", "export", "finish", "front", "methods", "report", "run", "study", "submit", "trial"),
)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    def no_ray(*_: object) -> bool:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(cluster, "start", no_ray)
    return Line(monkeypatch, capsys)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilled_here(tmp_path_factory.mktemp("results"))


@pytest.fixture
def searched(once: Path, tmp_path: Path) -> Path:
    """A finished search on digits, to write into."""
    shutil.copytree(once.parent, tmp_path / "results")
    return tmp_path / "results" / "here"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A search that nobody ran."""
    with ResultStore.open(tmp_path / "told") as store:
        for event in story():
            store.append(event)
    return tmp_path / "told"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "here.yaml"
    path.write_text(yaml.safe_dump(DISTILLED))
    return path


def loaded_by(*words: str) -> tuple[int, str, set[str]]:
    """Exit code, output and slow imports of a command in a process of its own."""
    program = (
        "import sys\nfrom kdsearch.cli import main\n"
        "try: main()\n"
        "finally: print('|', *({'torch', 'ray', 'optuna', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60
    )
    out, _, slow = done.stdout.rpartition("|")
    return done.returncode, out, set(slow.split())


# Reading


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    code, out, slow = loaded_by("--help")
    assert code == 0 and not slow
    assert all(command in out for command in COMMANDS)


def test_front_reads_the_log_and_imports_nothing_slow(told: Path) -> None:
    code, out, slow = loaded_by("front", str(told))
    assert code == 0 and not slow
    assert "2 students" in out and "2 complete, 1 diverged, 1 stopped" in out
    assert "58.00 %" in out  # the one test accuracy that was read


def test_front_writes_its_files_and_leaves_the_log(call: Line, told: Path) -> None:
    before = (told / "log.jsonl").read_bytes()
    assert call("front", told).code == 0
    assert (told / "log.jsonl").read_bytes() == before
    assert pd.read_csv(told / "front.csv", dtype={"trial_id": str})["trial_id"].tolist() == [
        "00001",
        "00000",
    ]
    assert {"front.csv", "front.svg", "front.parquet"} <= {path.name for path in told.iterdir()}


def test_report_writes_its_files_without_torch_and_ray(told: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    code, out, slow = loaded_by("report", str(told), "--out", str(tmp_path / "out"))
    assert code == 0 and not slow & {"torch", "ray"}
    names = ["report.html", "report.png", "report.svg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert all(name in out for name in names)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(call: Line, command: str) -> None:
    said = call(command, "--help")
    assert said.code == 0 and "Usage" in said.out and not said.err


def test_check_says_what_a_search_holds(call: Line, file: Path) -> None:
    said = call("check", file)
    assert said.code == 0 and not said.err
    assert "search here: valid" in said.out and "students: 40" in said.out
    cheapest, dearest = (
        next(line for line in said.out.splitlines() if line.startswith(word))
        for word in ("cheapest", "dearest")
    )
    assert "parameters" in cheapest and cheapest.split(":")[1] != dearest.split(":")[1]
    edited = call("check", file, "--set", "student.widths.int=[1, 5]")
    assert "students: 5" in edited.out


def test_what_looks_like_markup_is_printed_as_it_is(call: Line, file: Path, once: Path) -> None:
    (teacher,) = (once.parent / "teachers").iterdir()
    shutil.copy(teacher / "model.safetensors", file.parent / "[old].safetensors")
    said = call("check", file, "--set", "teacher.weights='[old].safetensors'")
    assert "weights from [old].safetensors" in said.out


def test_methods_lists_every_loss_in_a_line_that_begins_with_its_key(call: Line) -> None:
    said = call("methods")
    assert said.code == 0 and not said.err
    assert [line.partition(":")[0] for line in said.out.splitlines()] == list(LOSSES)


def test_methods_is_a_table_on_a_terminal(call: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    out = StringIO()
    monkeypatch.setattr(cli, "console", Console(file=out, force_terminal=True, width=120))
    assert call("methods").code == 0
    header, *rows = out.getvalue().splitlines()
    assert "paper" in header and len(rows) > len(LOSSES)
    assert [words[0] for row in rows if (words := row.split())[0] in LOSSES] == list(LOSSES)


def test_methods_shows_a_card_and_a_card_of_ones_own(call: Line) -> None:
    said = call("methods", "kd")
    assert said.code == 0 and "arXiv:1503.02531" in said.out and "temperature = 4.0" in said.out
    own = call("methods", "tests.test_trial:my_loss")
    assert own.code == 0 and "A user's own loss" in own.out


# Running


def test_a_finished_search_prints_its_front_and_starts_no_ray(call: Line, searched: Path) -> None:
    said = call("run", searched / "config.yaml", "--results", searched.parent)
    assert said.code == 0 and not said.err
    assert "is finished; a larger budget goes on with it" in said.out
    assert f"front of {searched}" in said.out
    quiet = call("run", searched / "config.yaml", "--results", searched.parent, "--quiet")
    assert quiet.code == 0 and quiet.out.startswith("front of ")


def test_a_row_runs_again_to_the_last_digit(call: Line, searched: Path) -> None:
    said = call("trial", searched, "00000")
    assert said.code == 0
    assert "2 of the row's 2 epochs came out the same to the last digit" in said.out
    assert read_trials(searched)["purpose"].tolist() == ["search", "search", "rerun"]
    other = call("trial", searched, "00000", "--seed", 5, "--set", "training.epochs=1")
    assert other.code == 0 and "last digit" not in other.out


def test_an_interrupted_command_ends_with_130(
    call: Line, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("kdsearch.tune.rerun.rerun_trial", interrupted)
    said = call("trial", searched, "00000")
    assert said.code == 130 and said.err == ("kdsearch: interrupted; the same command goes on\n")


def test_export_writes_a_student_that_stands_alone(
    call: Line, searched: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    (kept, *_) = sorted(path.name for path in (searched / "students").iterdir())
    said = call("export", searched, kept, "--to", tmp_path / "out")
    assert said.code == 0 and "ONNX against PyTorch: largest difference" in said.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "config.json",
        "student.onnx",
        "student.safetensors",
    }
    load_student(tmp_path / "out")


def test_study_writes_a_database(call: Line, searched: Path, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    said = call("study", searched, "--storage", storage)
    assert said.code == 0 and said.out.startswith("2 trials written as the study here")
    assert len(optuna.load_study(study_name="here", storage=storage).trials) == 2


def test_front_prints_intervals_where_students_were_trained_again(
    call: Line, tmp_path: Path
) -> None:
    with ResultStore.open(tmp_path / "made") as store:
        store.append(*finished({"00000": ([0.8, 0.9], []), "00001": ([0.95, 0.97], [])}))
    said = call("front", tmp_path / "made")
    assert said.code == 0 and "85.00 ± 63.53" in said.out and "95 % interval" in said.out


# Faults


FAULTS = {
    "no such method": ("methods", "kdd"),
    "no file": ("run", "{tmp}/none.yaml"),
    "no file to check": ("check", "{tmp}/none.yaml"),
    "unknown key": ("check", "{file}", "--set", "training.epohcs=3"),
    "no edit": ("run", "{file}", "--results", "{tmp}/r", "--set", "nothing"),
    "no search": ("front", "{tmp}"),
    "no search for a row": ("trial", "{tmp}", "00000"),
    "no such row": ("trial", "{searched}", "00077"),
    "no such student": ("export", "{told}", "00000", "--to", "{tmp}/out"),
    "a path as a row": ("export", "{told}", "../told", "--to", "{tmp}/out"),
    "nothing to finish": ("finish", "{tmp}"),
    "no seed": ("finish", "{searched}", "--seeds", "0"),
    "no epoch": ("finish", "{searched}", "--epochs", "0"),
    "an earlier search that is none": ("run", "{file}", "--results", "{tmp}", "--from", "{tmp}"),
    "begun without it": ("run", "{file}", "--results", "{tmp}/results", "--from", "{told}"),
    "no storage": ("study", "{tmp}", "--storage", "sqlite:///x.db"),
    "results in a file": ("run", "{file}", "--results", "{file}"),
    "another search": ("run", "{file}", "--results", "{tmp}", "--set", "search=told"),
    "no job server": ("submit", "{file}", "--address", "http://127.0.0.1:9", "--results", "/r"),
}


@pytest.mark.parametrize("words", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_line_on_stderr_and_exit_code_2(
    call: Line, words: tuple[str, ...], told: Path, searched: Path, file: Path, tmp_path: Path
) -> None:
    places = {"tmp": tmp_path, "told": told, "searched": searched, "file": file}
    said = call(*(word.format(**places) for word in words))
    assert said.code == 2, said
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert said.err.startswith("kdsearch: ")


@pytest.mark.parametrize("words", [("run",), ("nonsense",), ("front", "a", "b"), ("run", "--x")])
def test_a_wrong_use_shows_the_usage_and_exit_code_2(call: Line, words: tuple[str, ...]) -> None:
    said = call(*words)
    assert said.code == 2 and "Traceback" not in said.err
    assert "Usage" in said.err


def test_a_fault_of_the_program_itself_is_not_hidden(
    call: Line, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("kdsearch.results.front.read_front", broken)
    monkeypatch.setattr(sys, "argv", ["kdsearch", "front", str(told)])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_refused_search_leaves_nothing_that_stands_in_the_way(
    call: Line, file: Path, tmp_path: Path
) -> None:
    refused = call("run", file, "--results", tmp_path / "r", "--set", "losses[0].method=nope")
    assert refused.code == 2
    with pytest.raises(AssertionError, match="Ray was started"):  # so far it comes now
        call("run", file, "--results", tmp_path / "r")
    assert not events_of(tmp_path / "r" / "here", "trial")


def test_a_folder_that_may_not_be_entered_is_one_line(
    call: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(Path, "is_dir", refuse)
    said = call("front", "results/of/somebody")
    assert said.code == 2 and "Traceback" not in said.err and said.err.count("\n") == 1
    assert "results/of/somebody" in said.err and "Permission denied" in said.err


def test_repeats_without_a_baseline_are_refused_not_ignored(call: Line) -> None:
    said = call("run", "search_spaces/digits.yaml", "--seeds", "5")
    assert said.code == 2 and "--seeds: repeats are of --baseline" in said.err
