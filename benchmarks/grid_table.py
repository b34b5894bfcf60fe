"""A space trained to the end, as a table: every assignment, three seeds, every epoch.

    kdsearch run search_spaces/grid.yaml --set search=grid0 --set seed=0    # and 1, and 2
    python benchmarks/grid_table.py results/grid0 results/grid1 results/grid2

writes results/reference/grid.parquet, on which `replay.py` and `growth.py` search.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kdsearch.results.pareto import hypervolume, nondominated
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.search_config import SearchConfig, load_config

ROOT = Path(__file__).resolve().parents[1]
SEARCH = ROOT / "search_spaces" / "grid.yaml"
LR, RATES = "training.lr", (0.03, 0.1, 0.3)
TABLE = ROOT / "results" / "reference" / "grid.parquet"


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    parts = [read(Path(folder), run) for run, folder in enumerate(sys.argv[1:])]
    table = pd.concat(parts, ignore_index=True)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(TABLE, index=False, compression="zstd")
    print(f"{TABLE}: {len(table)} trials, {TABLE.stat().st_size / 1024:.0f} KiB")
    return 0


def read(folder: Path, run: int) -> pd.DataFrame:
    """One search: holes, cost, seconds an epoch, and a column of accuracies."""
    holes = list(load_config(SEARCH).space.holes)
    trials = read_trials(folder)
    trials = trials[trials["status"] == "complete"].set_index("trial_id")
    epochs = read_epochs(folder).pivot(
        index="trial_id", columns="epoch", values="validation_accuracy"
    )
    curves = epochs.loc[trials.index].to_numpy(dtype=np.float32)
    own = trials[[*holes, "parameters", "macs"]].assign(run=run)
    seconds = (trials["seconds"] / trials["epochs"]).astype("float32")
    return own.assign(epoch_seconds=seconds, accuracy=list(curves)).reset_index(drop=True)


class Table:
    """What every assignment of the grid gives, with noise and without."""

    def __init__(self, path: Path = TABLE) -> None:
        frame = pd.read_parquet(path)
        self.holes = [name for name in load_config(SEARCH).space.holes if name in frame]
        self.curves = np.stack(frame["accuracy"].to_list()).astype(float)
        self.parameters = frame["parameters"].to_numpy(dtype=float)
        self.seconds = frame["epoch_seconds"].to_numpy(dtype=float)
        self._rows: dict[tuple[Any, ...], list[int]] = {}
        for row, values in enumerate(frame[self.holes].itertuples(index=False, name=None)):
            self._rows.setdefault(_key(values), []).append(row)

    def rows(self, assignment: Mapping[str, Any]) -> list[int]:
        """The rows of an assignment, one a seed; of the nearest learning rate that was trained."""
        lr = min(RATES, key=lambda rate: abs(math.log(rate / assignment[LR])))
        values = {**assignment, LR: lr}
        return self._rows[_key(values.get(name) for name in self.holes)]

    @cached_property
    def truth(self) -> dict[int, float]:
        """Accuracy at the end, averaged over seeds, of every row."""
        final = self.curves[:, -1]
        return {row: float(final[rows].mean()) for rows in self._rows.values() for row in rows}

    @cached_property
    def reference(self) -> np.ndarray:
        """The nadir of the noise-free front, and a tenth of its range beyond it."""
        front = self._points(list(self.truth))
        front = front[nondominated(front)]
        low, high = front.min(0), front.max(0)
        return high + 0.1 * (high - low)

    def volume(self, rows: list[int]) -> float:
        """Noise-free hypervolume of the students that a search would call its front.

        The front is chosen by what the search saw; it is scored by what is true.
        """
        if not rows:
            return 0.0
        seen = np.stack([-self.curves[rows, -1], np.log(self.parameters[rows])], axis=1)
        chosen = [row for row, kept in zip(rows, nondominated(seen), strict=True) if kept]
        return self.true_volume(chosen)

    def true_volume(self, rows: list[int]) -> float:
        """Noise-free hypervolume of these rows."""
        return hypervolume(self._points(rows), self.reference)

    def _points(self, rows: list[int]) -> np.ndarray:
        accuracy = np.array([self.truth[row] for row in rows])
        return np.stack([-accuracy, np.log(self.parameters[rows])], axis=1)


def _key(values: Any) -> tuple[Any, ...]:
    """Holes of an option that was not taken are null in the table, absent in an assignment."""
    return tuple(None if value is None or value != value else value for value in values)


def search_config(**changes: Any) -> SearchConfig:
    """The grid's search with other sections: ``proposer={"name": "tpe"}``."""
    tree = {**load_config(SEARCH).tree, **changes}
    return load_config(tree, base=SEARCH.parent)


if __name__ == "__main__":
    sys.exit(main())
