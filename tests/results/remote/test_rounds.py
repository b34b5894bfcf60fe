"""What a round takes from a working copy, and what it must not take for gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import UserError
from kdsearch.results.remote import WorkingCopy, carrying, rounds, working_copy
from kdsearch.results.remote.carrying import files_of
from kdsearch.results.store import ResultStore
from tests.results.remote.made import (
    broken_off,
    opened,
    read_there,
    there,
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"file://{tmp_path}/far"


def test_many_files_are_put_in_portions(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = []
    taken = rounds.Rounds._taken

    def counted(self: Any, *given: Any) -> Any:
        end, files, opened = taken(self, *given)
        most.append(len([key for key in opened if "/states/" in key]))
        return end, files, opened

    monkeypatch.setattr(rounds, "MOST_OPEN", 3)
    monkeypatch.setattr(rounds.Rounds, "_taken", counted)
    copy = broken_off(uri, epochs=5)
    for number in range(20):  # of trials that rest
        state = copy / "states" / f"{number:05d}.1.state"
        state.parent.mkdir(exist_ok=True)
        state.write_bytes(b"%d" % number)
    with ResultStore.open(copy, WorkingCopy.at(uri, "made")):
        pass  # no driver, which would remove those of no trial
    states = {key: read_there(uri, key) for key in there(uri) if "/states/" in key}
    assert {f"made/states/{n:05d}.1.state": b"%d" % n for n in range(20)}.items() <= states.items()
    assert max(most) <= 3


@pytest.mark.parametrize("fault", [errno.EMFILE, errno.EIO, errno.ESTALE, None])
def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(
    uri: str, monkeypatch: pytest.MonkeyPatch, fault: int | None
) -> None:
    copy = broken_off(uri, epochs=5)
    before = {key for key in there(uri) if "/states/" in key}

    def scandir(path: Any) -> Any:
        if fault is not None and Path(path).is_relative_to(copy):
            raise OSError(fault, "no")
        return kept(path)

    kept = os.scandir
    with opened(uri) as driver:
        mirror = driver.store._mirror
        assert mirror is not None
        mirror.close(finished=True)  # from here on this test makes the rounds
        if fault is None:
            copy.rename(copy.with_name("moved"))
        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(os, "scandir", scandir)
            mirror.rounds.go(last=False)
        if fault is None:
            copy.with_name("moved").rename(copy)
        assert before and before == {key for key in there(uri) if "/states/" in key}


def test_rows_are_taken_before_their_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    names = [tmp_path / "made" / name for name in ("epochs.parquet", "trials.parquet")]
    for name in names:
        name.write_bytes(b"x")
    monkeypatch.setattr(carrying, "_below", lambda folder: names if folder.exists() else [])
    assert next(iter(files_of(tmp_path, "made"))) == "made/trials.parquet"


def test_a_working_copy_that_cannot_be_listed_is_one_line(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(uri, epochs=5)

    def none(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(working_copy, "files_of", none)
    with pytest.raises(UserError, match="cannot be listed: Permission denied"), opened(uri):
        pass
