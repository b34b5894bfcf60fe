"""What the terminal shows: every row once, no more than asked for, and nothing left alive."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from kdsearch.tune.driver import Driver
from kdsearch.tune.progress import SearchProgress
from tests.tune.made import (
    Listed,
    enqueue_repeats,
    made_config,
    made_driver,
    made_report,
    mixed,
    play,
)

WIDTHS = [4, 9, 2, 16, 20, 7]


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(driver: Driver, progress: SearchProgress) -> None:
    """Play all that the driver has, and show it as Ray's callback does."""
    redraw = progress.watch(driver)
    end = driver.end

    def end_and_redraw(*args, **named) -> None:
        end(*args, **named)
        redraw()

    driver.end = end_and_redraw  # type: ignore[method-assign]
    play(driver, train=mixed)
    redraw()


def test_without_a_terminal_every_row_is_one_line_once(tmp_path: Path) -> None:
    out = console()
    with (
        made_driver(tmp_path, made_config(), Listed(WIDTHS)) as driver,
        SearchProgress(out) as progress,
    ):
        shown(driver, progress)
        rows = driver.store.history.rows
    lines = text(out).splitlines()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(f"trial {row.trial_id} {row.status}: ")
        assert (row.error or "") in line


def test_rows_of_a_second_part_are_shown_too_and_former_ones_not_again(tmp_path: Path) -> None:
    config, out = made_config(), console()
    with SearchProgress(out) as progress:
        with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
            shown(driver, progress)
        first = len(text(out).splitlines())
        with made_driver(tmp_path, config) as driver:
            enqueue_repeats(driver)
            shown(driver, progress)
            rows = driver.store.history.rows
    lines = text(out).splitlines()
    assert first == 6 and len(lines) == len(rows) > 6
    assert [line.split()[1] for line in lines] == [row.trial_id for row in rows]


def test_quiet_is_quiet(tmp_path: Path) -> None:
    for terminal in (False, True):
        out = console(terminal)
        with (
            made_driver(tmp_path / str(terminal), made_config(), Listed(WIDTHS)) as driver,
            SearchProgress(out, quiet=True) as progress,
        ):
            progress.teacher("t0", made_report(1, 0.5), 3)
            progress.say("a word")
            shown(driver, progress)
        assert text(out) == ""


def test_on_a_terminal_a_live_table_shows_the_best_and_the_count(tmp_path: Path) -> None:
    config, out = made_config(), console(terminal=True)
    with SearchProgress(out) as progress:
        with made_driver(tmp_path, config, Listed(WIDTHS)) as driver:
            shown(driver, progress)
        with made_driver(tmp_path, config) as driver:  # a second live table after the first
            enqueue_repeats(driver)
            shown(driver, progress)
    assert "6 trials done" in text(out) and "accuracy" in text(out)
    assert text(out).count("\x1b[?25l") == text(out).count("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize("reached", [2, 3], ids=["diverged", "trained"])
def test_a_teachers_bar_ends_however_the_training_ends(reached: int) -> None:
    out = console(terminal=True)
    with SearchProgress(out) as progress:
        for epoch in range(1, reached + 1):
            progress.teacher("t0", made_report(epoch, 0.5), 3)
    assert "teacher t0" in text(out)
    assert text(out).count("\x1b[?25l") == text(out).count("\x1b[?25h") == 1


def test_names_with_brackets_are_shown_as_they_are() -> None:
    out = console()
    with SearchProgress(out) as progress:
        progress.say("losses[1].weight: [red] is no weight")
    assert text(out) == "losses[1].weight: [red] is no weight\n"
