"""Does a warm worker hold on to memory? Thirty trials on digits, one worker, its memory after each.

The trials are students of the README's first search, with fewer epochs; a worker is looked at where
the search itself looks, between two of them. The same student again leaves nothing; one of other
widths leaves the kernels that oneDNN made for its shapes, of which it keeps the last 1,024. Then a
control: six trials with a loss that keeps 400 MiB of each, whose workers have to be replaced.

Targets: one actor start; resident memory grows by less than 32 MiB from the second trial to the
last; the search whose loss leaks is complete too, and none of its workers held more than 3 GiB.

    python benchmarks/workers.py [--trials 30]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray

from kdsearch.results.log import read_events
from kdsearch.search_config import load_config
from kdsearch.tune import workers
from kdsearch.tune.search import run_search
from kdsearch.tune.trainable import StudentTrial

MIB, GROWTH_MIB, MOST_MIB = 2**20, 32.0, 3072.0
NOTES = "KDSEARCH_BENCHMARK_NOTES"
SPACE = Path(__file__).parent.parent / "search_spaces" / "digits.yaml"
LEAK = """
import torch
from kdsearch.losses import DistillationLoss

kept = []

class Keeping(DistillationLoss):
    '''The distance of the logits; it forgets nothing.'''

    def prepare(self, context):
        super().prepare(context)
        if not torch.zeros(1).is_meta:
            kept.append(torch.ones(400, 2**18))

    def forward(self, student, teacher, batch):
        return (student.logits - teacher.logits).pow(2).mean()
"""


class Noted(StudentTrial):
    """A worker that writes down what it holds: when it begins, and between two trials."""

    def setup(self, config: dict[str, Any], *args: Any, **given: Any) -> None:
        self.note("start")
        super().setup(config, *args, **given)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self.training is not None:
            self.training.close()
        self.training = None
        self.note("trial")
        return super().reset_config(new_config)

    def cleanup(self) -> None:
        super().cleanup()
        self.training = None
        self.note("trial")

    def note(self, word: str) -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        with Path(os.environ[NOTES]).open("a") as file:
            file.write(f"{word} {os.getpid()} {resident / MIB}\n")


def search(trials: int, loss: str) -> dict[str, Any]:
    """The README's first search, shortened, every trial to its end."""
    tree = load_config(SPACE).tree
    return {
        **tree,
        "teacher": {**tree["teacher"], "epochs": 2},
        "losses": [{"method": loss, "weight": 0.5}],
        "training": {"epochs": 6, "lr": {"float": [0.05, 0.2], "log": True}},
        "proposer": {"name": "random", "repeats": True},
        "scheduler": {"name": "none"},
        "budget": {"trials": trials},
        "resources": {"cpu": 1, "gpu": 0},
    }


def run(trials: int, loss: str, base: Path) -> tuple[list[tuple[str, int, float]], int, int]:
    """What workers wrote down; the rows that are complete; how often one was replaced."""
    notes = base / f"{loss.partition(':')[0]}.txt"
    path = os.pathsep.join([str(base), os.environ.get("PYTHONPATH", "")])
    ray.init(
        "local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {NOTES: str(notes), "PYTHONPATH": path}},
    )
    try:
        config = load_config(search(trials, loss), base=base)
        done = run_search(config, results=base / loss.partition(":")[0], quiet=True)
    finally:
        ray.shutdown()
    events = read_events(done.folder / "log.jsonl")
    complete = sum(e["event"] == "end" and e["status"] == "complete" for e in events)
    worn = sum(e["event"] == "worn" for e in events)
    lines = [line.split() for line in notes.read_text().splitlines()]
    return [(word, int(pid), float(mib)) for word, pid, mib in lines], complete, worn


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=30)
    trials = parser.parse_args().trials
    workers.StudentTrial = Noted
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "leaking_loss.py").write_text(LEAK)
        sys.path.insert(0, folder)
        noted, complete, worn = run(trials, "kd", Path(folder))
        leaking, all_complete, replaced = run(6, "leaking_loss:Keeping", Path(folder))
    starts = sum(word == "start" for word, _, _ in noted)
    held = [mib for word, _, mib in noted if word == "trial"][:trials]
    print("resident memory after each trial, MiB:", " ".join(f"{mib:.0f}" for mib in held))
    grown = held[-1] - held[1]
    most = max(mib for _, _, mib in leaking)
    print(f"{complete} trials, {starts} actor start(s), {worn} replaced; grown since the second "
          f"trial: {grown:.1f} MiB, at most {max(held) - held[1]:.1f}")  # fmt: skip
    print(f"control, 400 MiB kept of each trial: {all_complete} of 6 complete, {replaced} workers "
          f"replaced, the largest held {most:.0f} MiB")  # fmt: skip
    met = grown < GROWTH_MIB and starts == 1 and complete == trials and not worn
    met &= all_complete == 6 and replaced > 0 and most < MOST_MIB
    print(f"targets: 1 start, {GROWTH_MIB:g} MiB, all complete: {'met' if met else 'missed'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
