"""The page's section on edits of a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kdsearch.results.page.edit_figures import kept_figure, layer_figure, reward_figure
from kdsearch.results.page.edits import best_edit, edited_trials, kept, layers, teacher_of
from kdsearch.results.page.searches import Search
from kdsearch.results.page.style import Figure
from kdsearch.results.page.words import amount

Chart = Callable[[str, Figure, str], str]
NOTE = (
    "R = C (2 - C) times accuracy / the teacher's, with C the share of the teacher's parameters "
    "that is gone; stopped trials at their last epoch, in no curve. Kept with: the probability "
    "with which the policy kept a block when it first drew the trial, given what it had decided "
    "before and the size it was asked for; nothing is drawn where that was at random."
)


def edit_section(searches: Sequence[Search], chart: Chart) -> tuple[str, str] | None:
    """A note and the charts; None where no log says what students are edits of.

    Parameters
    ----------
    searches : sequence of Search
    chart : callable
        Takes a figure into the page, by name and with a heading, and gives its HTML.
    """
    if not any(edited_trials(search)["reward"].notna().any() for search in searches):
        return None
    several = len(searches) > 1
    charts = [chart("reward", reward_figure(searches), "Reward R")]
    for i, search in enumerate(searches):
        of = f" of {search.name}" if several else ""
        if told := kept(search):
            charts.append(
                chart(
                    f"kept-{i}",
                    kept_figure(told),
                    f"What the policy{of} keeps, and with what probability",
                )
            )
        if best := best_edit(search):
            name = str(best["trial_id"])
            heading = f"Best R of the front{of}: trial {name}, {_words(search, best)}"
            charts.append(chart(f"layers-{i}", layer_figure(layers(search, name), i), heading))
    return NOTE, f'<div class="grid">{"".join(charts)}</div>'


def _words(search: Search, best: dict[str, object]) -> str:
    told = teacher_of(search, str(best["trial_id"]))
    smaller = told["parameters"] / float(str(best["parameters"]))
    accuracy = amount("validation_accuracy", best["validation_accuracy"])
    against = amount("validation_accuracy", told["validation_accuracy"])
    size = f"{amount('parameters', best['parameters'])} of {told['parameters']:,} parameters"
    return (
        f"R {best['reward']:.4f}; {size} ({smaller:.3g}x smaller), {accuracy} (teacher {against})"
    )
