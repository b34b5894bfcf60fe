"""What the terminal shows while a search runs: a live table, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from kdsearch.results.records import EpochReport

if TYPE_CHECKING:
    from kdsearch.tune.driver import Driver

SHOWN = 6  # best trials in the table
REDRAW_SECONDS = 0.5


class SearchProgress:
    """Shows teachers in training, then running and best trials, their rate, and the time left.

    Parameters
    ----------
    console : Console
    quiet : bool
        Show nothing at all.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self.driver: Driver | None = None
        self.first_result: float | None = None
        self.worker_rss_mib = 0.0
        self._live: Live | None = None
        self._bar: Progress | None = None
        self._drawn = 0.0
        self._said: set[str] = set()
        self._ended_before = 0

    def __enter__(self) -> SearchProgress:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stop()

    def _stop(self) -> None:
        """End the live parts; what they show stays on the screen."""
        if self._bar is not None:
            self._bar.stop()
        if self._live is not None:
            self._live.update(self._view(), refresh=True)
            self._live.stop()
        self._bar = self._live = None

    def say(self, line: str) -> None:
        """One plain line."""
        if not self.quiet:
            self.console.print(Text(line), soft_wrap=True)

    def teacher(self, identity: str, report: EpochReport, epochs: int) -> None:
        """A teacher's epoch."""
        line = f"teacher {identity}: accuracy {report.validation_accuracy:.4f}"
        if self.quiet:
            return
        if not self.console.is_terminal:
            if report.epoch in (1, epochs) or report.epoch % max(1, epochs // 5) == 0:
                self.say(f"{line}, epoch {report.epoch} of {epochs}, {report.seconds:.1f} s")
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("epoch {task.completed} of {task.total}"),
                console=self.console,
            )
            self._bar.add_task(line, total=epochs)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=report.epoch, description=line)
        if report.epoch == epochs:
            self._bar.stop()
            self._bar = None

    def watch(self, driver: Driver) -> Callable[[], None]:
        """Begin to show a search; the returned function redraws, at most twice a second."""
        self._stop()
        self.driver, self.first_result = driver, None
        self._ended_before, self._said = len(driver.store.history.rows), set()
        if self.console.is_terminal and not self.quiet:
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        return self.redraw

    def redraw(self) -> None:
        """Show what is new."""
        assert self.driver is not None
        rows = self.driver.store.history.rows
        if self.first_result is None and self.driver.store.history.epochs:
            self.first_result = time.monotonic()
        if self._live is not None:
            if time.monotonic() - self._drawn >= REDRAW_SECONDS:
                self._drawn = time.monotonic()
                self._live.update(self._view(), refresh=True)
        elif not self.quiet:
            for row in rows[self._ended_before + len(self._said) :]:
                self._said.add(row.trial_id)
                accuracy = row.validation_accuracy
                reached = "" if accuracy is None else f"accuracy {accuracy:.4f}, "
                self.say(
                    f"trial {row.trial_id} {row.status}: {reached}{row.parameters:,} parameters, "
                    f"{row.epochs} epochs, {row.seconds:.1f} s. {self._rate()}"
                    + (f" {row.error}" if row.error else "")
                )

    def _rate(self) -> str:
        """Trials done, a minute, and minutes left."""
        assert self.driver is not None
        history, budget = self.driver.store.history, self.driver.ground.config.fixed.budget
        done = sum(r.purpose == "search" for r in history.rows)
        since = time.monotonic() - (self.first_result or time.monotonic())
        fresh = len(history.rows) - self._ended_before
        line = f"{done} trials done"
        if since > 1 and fresh:
            line += f", {60 * fresh / since:.1f} a minute"
            if budget.trials is not None and budget.trials > done:
                line += f", about {(budget.trials - done) * since / fresh / 60:.1f} min left"
        return line

    def _view(self) -> Group:
        assert self.driver is not None
        history = self.driver.store.history
        table = Table(box=None, pad_edge=False)
        for name in ("trial", "status", "epoch", "accuracy", "parameters"):
            table.add_column(name, justify="left" if name == "status" else "right")
        for trial_id, event in self.driver.running.items():
            epochs = history.epochs.get(trial_id, [])
            if epochs:
                last = epochs[-1]["validation_accuracy"]
                table.add_row(
                    trial_id, "running", str(len(epochs)), f"{last:.4f}", f"{event['parameters']:,}"
                )
        complete = [r for r in history.rows if r.status == "complete" and r.purpose == "search"]
        for row in sorted(complete, key=lambda r: -(r.validation_accuracy or 0))[:SHOWN]:
            table.add_row(
                row.trial_id,
                "best" if row.parameters else "",
                str(row.epochs),
                f"{row.validation_accuracy:.4f}",
                f"{row.parameters:,}",
            )
        return Group(Text(self._rate(), style="bold"), table)
