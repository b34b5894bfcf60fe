"""What does each distillation method give a small student, and what does it cost?

Every row of the table of losses under one fixed recipe (SGD, one cosine, label weight 1, crops and
flips), at the weight that its card documents, beside the same student on labels alone: on
Fashion-MNIST and on CIFAR-100's 20 coarse classes, few images for the student and four times as
many for its teacher. Accuracy is that of the whole test set after the last epoch; nothing is chosen
by it. A gain is the mean over seeds of the difference to labels alone, ± its standard error.

Milliseconds of a step are processor time, medians of alternating steps, less that of labels alone;
the teacher's forward pass is in them, the same for all. State: the loss's own parameters and
buffers. Saved: what a step keeps for its backward pass, beyond labels alone. A method that only
pre-trains (*) is measured in its stage. Target: no training fails or diverges.

    python benchmarks/methods.py DATA_ROOT [--seeds 3] [--methods kd at] [--out methods.json]

With --out every training is written as it ends, and the same command goes on from there. The whole
is about 30 minutes on two cores of an AMD EPYC (Zen 4): a Fashion-MNIST student took 10 s of
processor time on labels alone and 15 s with kd, a CIFAR-100 one a quarter more.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from dataclasses import asdict
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import torch
from method_trainings import NONE, SETS, Job, Setting, measure, train_student, train_teacher

from kdsearch.losses import LOSSES
from kdsearch.teachers import TeacherRecord


def main() -> int:
    args = arguments()
    setting = Setting(
        args.root, args.images, 4 * args.images, args.epochs, args.teacher_epochs,
        args.batch_size, args.lr, args.weights, args.scale,
    )  # fmt: skip
    started, methods = time.perf_counter(), [NONE, *args.methods]
    jobs = [Job(s, m, seed) for seed in range(args.seeds) for m in methods for s in args.sets]
    run = Run(setting, args.out)
    with get_context("spawn").Pool(args.processes, torch.set_num_threads, (1,)) as pool:
        run.train_teachers(pool, sorted({job.set for job in jobs if not run.has(job)}))
        run.measure(pool, jobs)
        run.train_students(pool, jobs)
    for name in args.sets:
        run.show(name, methods, args.seeds)
    failed = [job.key for job in jobs if "fault" in run.students[job.key]]
    print(f"\n{time.perf_counter() - started:.0f} s; target: no training fails or diverges: "
          f"{'missed by ' + ', '.join(failed) if failed else 'met'}")  # fmt: skip
    return int(bool(failed))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("root")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--teacher-epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=1_600, help="for training a student")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--weights", choices=["default", "auto"], default="default")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of every weight")
    parser.add_argument("--methods", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Run:
    """What has been found so far, and what is left: nothing is done twice."""

    def __init__(self, setting: Setting, out: Path | None) -> None:
        self.setting, self.out = setting, out
        self.shown = {key: value for key, value in asdict(setting).items() if key != "root"}
        self.records: dict[str, TeacherRecord] = {}
        found: dict[str, Any] = {}
        if out is not None and out.exists():
            found = json.loads(out.read_text())
            if found["setting"] != self.shown:
                sys.exit(f"{out} holds another setting, {found['setting']}; give another --out")
        self.teachers: dict[str, Any] = found.get("teachers", {})
        self.costs, self.students = (
            {key: row for key, row in found.get(part, {}).items() if "fault" not in row}
            for part in ("costs", "students")
        )

    def write(self) -> None:
        if self.out is not None:
            found = {
                "setting": self.shown, "teachers": self.teachers,
                "costs": self.costs, "students": self.students,
            }  # fmt: skip
            aside = self.out.with_suffix(".part")
            aside.write_text(json.dumps(found, indent=1))
            aside.replace(self.out)

    def train_teachers(self, pool: Pool, sets: list[str]) -> None:
        for name, (record, accuracy) in zip(
            sets, pool.starmap(train_teacher, [(self.setting, s) for s in sets], 1), strict=True
        ):
            row = {"identity": record.identity, "accuracy": accuracy}
            if self.teachers.setdefault(name, row) != row:
                sys.exit(f"the teacher of {name} is another than before; give another --out")
            self.records[name] = record
            print(f"{name}: teacher {100 * accuracy:.2f} %", flush=True)

    def has(self, job: Job) -> bool:
        return job.key in self.students and (job.method == NONE or job.pair in self.costs)

    def measure(self, pool: Pool, jobs: list[Job]) -> None:
        for job in jobs:
            if job.method != NONE and job.pair not in self.costs:
                words = (self.setting, self.records[job.set], job)
                # One at a time: two would slow each other down.
                self.costs[job.pair] = pool.apply(measure, words)
        self.write()

    def train_students(self, pool: Pool, jobs: list[Job]) -> None:
        left = [job for job in jobs if job.key not in self.students]
        words = ((self.setting, self.records[job.set], job) for job in left)
        rows = [pool.apply_async(train_student, each) for each in words]
        for job, waiting in zip(left, rows, strict=True):
            row = self.students[job.key] = waiting.get()
            self.write()
            said = row.get("fault") or f"{100 * row['accuracy']:.2f} % ({row['seconds']:.0f} s)"
            print(f"{job.key}: {said}", file=sys.stderr, flush=True)

    def show(self, name: str, methods: list[str], seeds: int) -> None:
        print(f"\n{name}, teacher {100 * self.teachers[name]['accuracy']:.2f} %")
        print(f"{'method':10}{'accuracy, %':>15}{'gain':>15}{'+ ms a step':>13}"
              f"{'+ state, KiB':>14}{'+ saved, KiB':>14}")  # fmt: skip
        for method in methods:
            pairs = [
                [self.students[Job(name, m, seed).key].get("accuracy") for m in (method, NONE)]
                for seed in range(seeds)
            ]
            whole = [pair for pair in pairs if None not in pair]
            line = f"{method:10}{spread([100 * own for own, _ in whole]):>15}"
            costs = self.costs.get(Job(name, method).pair, {})
            if "seconds" in costs:
                gains = [100 * (own - alone) for own, alone in whole]
                line += (
                    f"{spread(gains, over=len(gains)):>15}{1000 * costs['seconds']:13.1f}"
                    f"{costs['state_bytes'] / 1024:14,.1f}{costs['saved_bytes'] / 1024:14,.1f}"
                    f"{'' if costs['joint'] else ' *'}"
                )
            print(line)


def spread(values: list[float], over: int = 1) -> str:
    """Mean ± deviation; the standard error of a mean over so many values."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else "-"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values) / math.sqrt(over):.2f}"


if __name__ == "__main__":
    sys.exit(main())
