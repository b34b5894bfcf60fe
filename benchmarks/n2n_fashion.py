"""What is N2N worth against other minds, where students are really trained?

A resnet of 346,318 parameters on Fashion-MNIST at 10x10 pixels is edited (`n2n_search.py`): six
blocks that may go, twelve widths. Every arm trains the same number of students for one epoch each,
none is stopped early, none comes twice. Objectives: accuracy and parameters. n2n_plus is asked for
sizes and traces a front; n2n_paper learns R = C (2 - C) A / A_teacher alone; n2n_plus_r, beside the
five, is n2n_plus where accuracy is the one objective, and its reward R.

Best R is picked by what the search itself read after one epoch, which flatters whoever looks
often: so the best student of each search is trained again for 18 epochs, from its own start. Also
trained so: of each n2n_plus search, the student of its front that reads best among those of at most
a tenth of the teacher's parameters. Hypervolume: of accuracy above 60 % and the natural logarithm
of how many times fewer parameters than the teacher's; one reference for all.

Targets: those students, 10 times smaller, lose at most 1 point of validation accuracy, as a mean
over seeds; and no control is above n2n_plus in mean R, as read and after the whole training.

A broken run goes on where it stopped, if `--out` is kept.

    python benchmarks/n2n_fashion.py DATA_ROOT --out DIR [--seeds 3] [--trials 100] [--show]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from n2n_search import (
    ARMS,
    Search,
    best_so_far,
    is_done,
    rewards,
    run_search,
    scene,
    students,
)

from kdsearch.config import TrialSpec
from kdsearch.data import Batches
from kdsearch.proposers.n2n.reward import reward
from kdsearch.results.pareto import hypervolume, pareto_front
from kdsearch.schemes import evaluate
from kdsearch.trial import train_to_end
from kdsearch.tune.study import read_search
from kdsearch.whole import write_bytes

OURS, CONTROLS = "n2n_plus", ("n2n_paper", "tpe", "random", "evolution")
EPOCHS, WINDOW, SHOWN = 18, 25, (25, 50, 100)
SMALLER, POINTS, LEAST = 10, 0.01, 0.6


@dataclass(frozen=True)
class Whole:
    """A student of a search that is trained to the end."""

    search: Search
    trial_id: str
    out: Path

    @property
    def file(self) -> Path:
        return self.out / "whole" / f"{self.search.name}-{self.trial_id}-{EPOCHS}.json"


def train(job: Search | Whole, out: Path) -> str:
    """A search, or a whole training; what was done is on the disk, and is not done again."""
    if isinstance(job, Search):
        return run_search(job, out).name
    if job.file.exists():
        return job.file.stem
    on = scene(job.search, out)
    history, _ = read_search(out / job.search.name)
    spec = TrialSpec.model_validate(history.trials[job.trial_id]["spec"])
    training = spec.plan.training.model_copy(update={"epochs": EPOCHS})
    plan = spec.plan.model_copy(update={"training": training})
    again = spec.model_copy(update={"plan": plan, "rungs": [EPOCHS]})
    reports, student = train_to_end(again, on.around)
    test, _ = evaluate(student, Batches(on.data, 1000).evaluation("test"))
    row = {"validation_accuracy": reports[-1].validation_accuracy, "test_accuracy": test}
    job.file.parent.mkdir(exist_ok=True)
    write_bytes(job.file, json.dumps(row).encode())
    return job.file.stem


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="what is there, and train nothing")
    args = parser.parse_args()
    out, root = args.out.resolve(), str(Path(args.root).resolve())
    searches = [Search(arm, s, root, args.trials) for s in range(args.seeds) for arm in args.arms]
    torch.set_num_threads(1)
    scene(searches[0], out)  # its teacher, before two processes want it
    if not args.show:
        with get_context("spawn").Pool(args.processes, torch.set_num_threads, (1,)) as pool:
            for jobs in (lambda: searches, lambda: list(wholes(searches, out))):
                found = pool.starmap_async(train, [(job, out) for job in jobs()], chunksize=1)
                found.get()
    return show([search for search in searches if is_done(search, out)], out)


def wholes(searches: list[Search], out: Path) -> Iterator[Whole]:
    """The students that are trained to the end."""
    for search in searches:
        yield Whole(search, best(search, out), out)
        if search.arm == OURS:
            yield Whole(search, tenth(search, out), out)


def best(search: Search, out: Path) -> str:
    """The trial of the best R, as the search read it."""
    trials = students(search, out)
    return trials["trial_id"].iloc[int(np.argmax(rewards(search, out)))]


def tenth(search: Search, out: Path) -> str:
    """The most accurate trial of the front, as the search read it, of so few parameters."""
    front = pareto_front(students(search, out))
    few = front[front["parameters"] * SMALLER <= scene(search, out).parameters]
    return few.sort_values("validation_accuracy")["trial_id"].iloc[-1]


def volume(search: Search, out: Path, count: int) -> float:
    """Hypervolume of the first so many students."""
    trials = students(search, out).iloc[:count]
    smaller = np.log(scene(search, out).parameters / trials["parameters"])
    points = np.stack([-trials["validation_accuracy"], -smaller], 1)
    return hypervolume(points, np.array([-LEAST, 0.0]))


def show(searches: list[Search], out: Path) -> int:
    on = scene(searches[0], out)
    teacher = on.record.validation_accuracy
    taught, _ = evaluate(on.teacher, Batches(on.data, 1000).evaluation("test"))
    print(f"teacher: {on.parameters:,} parameters, validation {100 * teacher:.2f} %, "
          f"test {100 * taught:.2f} %")  # fmt: skip
    print(f"{'arm':12}{'seeds':>6}{'students':>9}" + "".join(f"{f'R {n}':>8}" for n in SHOWN)
          + f"{'best R':>16}{'R, last 25':>16}{'volume':>16}")  # fmt: skip
    arms = dict.fromkeys(search.arm for search in searches)
    for arm in arms:
        own = [search for search in searches if search.arm == arm]
        curves = [rewards(search, out) for search in own]
        count = min(map(len, curves))
        so_far = np.mean([best_so_far(curve[:count]) for curve in curves], 0)
        cells = [
            spread([curve[:count].max() for curve in curves]),
            spread([curve[max(0, count - WINDOW) : count].mean() for curve in curves]),
            spread([volume(search, out, count) for search in own]),
        ]
        early = "".join(f"{so_far[n - 1]:>8.4f}" if n <= count else f"{'':8}" for n in SHOWN)
        print(f"{arm:12}{len(own):>6}{count:>9}{early}" + "".join(f"{c:>16}" for c in cells))
    table = trained(searches, out)
    if table.empty or OURS not in set(table["arm"]):
        print("nothing was trained to the end yet")
        return 1
    print("\n" + table.to_string(index=False))
    return judge(table)


def trained(searches: list[Search], out: Path) -> pd.DataFrame:
    """A row a student that was trained to the end."""
    rows = []
    for search in searches:
        trials, on = students(search, out).set_index("trial_id"), scene(search, out)
        picks = {"R": best(search, out)}
        if search.arm == OURS:
            picks["tenth"] = tenth(search, out)
        for pick, trial_id in picks.items():
            if not (file := Whole(search, trial_id, out).file).exists():
                continue
            read, size = json.loads(file.read_text()), int(trials.loc[trial_id, "parameters"])
            accuracies = [trials.loc[trial_id, "validation_accuracy"], read["validation_accuracy"]]
            teacher = on.record.validation_accuracy
            r = [reward(size, on.parameters, float(a), teacher) for a in accuracies]
            rows.append(
                {
                    "arm": search.arm, "seed": search.seed, "picked by": pick, "parameters": size,
                    "times fewer": round(on.parameters / size, 1),
                    "R read": round(r[0], 4), "R": round(r[1], 4),
                    "read": round(100 * accuracies[0], 2),
                    "validation": round(100 * accuracies[1], 2),
                    "test": round(100 * read["test_accuracy"], 2),
                    "less": round(100 * (teacher - accuracies[1]), 2),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame) -> int:
    """Say of each target whether it was met."""
    few = table[table["picked by"] == "tenth"]
    loses, fewer = few["less"].mean(), few["times fewer"].min()
    small = bool(loses <= 100 * POINTS and fewer >= SMALLER)
    print(f"target: {SMALLER} times fewer parameters, at most {100 * POINTS:.0f} point lost: "
          f"{fewer:.1f}, {loses:.2f} points: {'met' if small else 'missed'}")  # fmt: skip
    means = table[table["picked by"] == "R"].groupby("arm")[["R read", "R"]].mean()
    met = small
    for column, name in (("R read", "as read"), ("R", f"after {EPOCHS} epochs")):
        above = {c: means.loc[c, column] for c in CONTROLS if c in means.index}
        above = {c: v for c, v in above.items() if v > means.loc[OURS, column]}
        said = ", ".join(f"{c} {v:.4f}" for c, v in above.items()) or "none"
        print(f"target: no control above {OURS} in R {name} ({means.loc[OURS, column]:.4f}): "
              f"{said}: {'missed' if above else 'met'}")  # fmt: skip
        met = met and not above
    return int(not met)


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"


if __name__ == "__main__":
    sys.exit(main())
