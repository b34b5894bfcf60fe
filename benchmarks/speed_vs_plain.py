"""How much faster is a search than the program that a user would write alone?

Student-epochs a minute, of the same students with the same batch size, rates and temperatures:
`plain_ray_kd.py` with fresh workers and with reused ones, and `kdsearch run`. Ray is started first,
once for all; what is counted is a whole `Tuner.fit` on one side and a whole `run_search` on the
other, from the search file to the written front: reading data and teacher, starting workers, the
teacher-output store, validation after every epoch. The teacher is trained before, once for both.

kdsearch runs the whole search; of it the plain program, whose speed does not depend on how many
trials there are, gets as many trials as `--plain` says. Every round runs all three; a ratio is
the median of the rounds' own.

Targets: 8 times both on two CPU slots; 10 times on a GPU (`--gpu`).

    python benchmarks/speed_vs_plain.py DATA [--set cifar100] [--rounds 3] [--gpu]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_worker_niceness", "0")  # or any other process comes first

import plain_ray_kd
import ray
import torch

from kdsearch.architecture import Architecture
from kdsearch.results.log import fold, read_events
from kdsearch.students import build_student
from kdsearch.teachers import read_teacher, weights_from_bytes
from kdsearch.tune.search import run_search

TARGET, TARGET_GPU = 8.0, 10.0
SETS = ("fashion_mnist", "cifar100")
WIDTHS = [[4, 8, 16], [8, 16, 32]]
TEACHER = {"family": "convnet", "widths": [32, 64, 128]}


def search(args: argparse.Namespace, teacher: dict[str, Any], trials: int) -> dict[str, Any]:
    """The search file."""
    return {
        "search": "speed",
        "data": {
            "name": args.set,
            "root": str(Path(args.data).resolve()),
            "verify": False,
            "images": args.images,
            "batch_size": 128,
            "augment": "crop_flip",
        },
        "teacher": {"architecture": TEACHER, **teacher},
        "student": {"family": "convnet", "widths": {"choice": WIDTHS}},
        "losses": [{"method": "kd", "weight": 0.9, "temperature": {"float": [1, 10], "log": True}}],
        "training": {
            "epochs": args.epochs,
            "lr": {"float": [0.02, 0.2], "log": True},
            "label_weight": 0.1,
            "lr_schedule": "cosine",
            "warmup": 0,
            "weight_decay": 0,
            "clip": None,
        },
        "proposer": {"name": "random", "repeats": True},
        "scheduler": {"name": "none"},
        "budget": {"trials": trials},
        "resources": {"cpu": 1, "gpu": 1 / args.slots if args.gpu else 0},
    }


def trained_teacher(args: argparse.Namespace, folder: Path) -> Path:
    """The weights of a teacher that a search trained."""
    config = search(args, {"epochs": args.teacher_epochs}, trials=1)
    run_search(config, results=folder, quiet=True)
    record = read_teacher(next((folder / "teachers").iterdir()))
    module = build_student(Architecture.from_json(record.architecture), None, "cpu")
    weights_from_bytes(module, record.weights, "the teacher")
    torch.save(module.state_dict(), folder / "teacher.pt")
    return folder / "teacher.pt"


def kdsearch_round(
    args: argparse.Namespace, weights: Path
) -> tuple[float, list[dict[str, Any]], list[float]]:
    """Seconds of a whole search, the students it drew, and their accuracies."""
    with tempfile.TemporaryDirectory() as results:
        began = time.perf_counter()
        config = search(args, {"weights": str(weights)}, args.trials)
        done = run_search(config, results=results, quiet=True)
        took = time.perf_counter() - began
        history = fold(read_events(done.folder / "log.jsonl"))
    points, accuracies = [], []
    for name, event in history.trials.items():
        plan = event["spec"]["plan"]
        temperature, lr = plan["losses"][0]["temperature"], plan["training"]["lr"]
        student = event["spec"]["architecture"]
        points.append({"student": student, "temperature": temperature, "lr": lr})
        accuracies.append(history.epochs[name][-1]["validation_accuracy"])
    return took, points, accuracies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="the folder with the sets, in torchvision's layout")
    parser.add_argument("--set", choices=SETS, default=SETS[0])
    parser.add_argument("--images", type=int, default=12_500, help="a fifth of them validate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--plain", type=int, default=8, help="trials of the plain program")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--teacher-epochs", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="the slots share one GPU")
    args = parser.parse_args()
    ray.init("local", num_cpus=args.slots, include_dashboard=False, log_to_driver=False)
    rates: dict[str, list[float]] = {"kdsearch": [], "plain": [], "plain, reused": []}
    found: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.TemporaryDirectory() as folder:
        weights = trained_teacher(args, Path(folder))
        setting = plain_ray_kd.Setting(
            root=str(Path(args.data).resolve()),
            data=args.set,
            train=args.images * 4 // 5,
            validation=args.images // 5,
            batch_size=128,
            epochs=args.epochs,
            teacher=teacher_architecture(Path(folder)),
            weights=str(weights),
            cuda=args.gpu,
        )
        for number in range(args.rounds):
            took, points, accuracies = kdsearch_round(args, weights)
            first = slice(0, args.plain)
            keep("kdsearch", rates, found, len(points) * args.epochs / took, accuracies[first])
            for name, reuse in (("plain", False), ("plain, reused", True)):
                took, accuracies = plain_ray_kd.search(setting, points[first], args.slots, reuse)
                keep(name, rates, found, args.plain * args.epochs / took, accuracies)
            rows = ", ".join(f"{name} {60 * r[-1]:.1f}" for name, r in rates.items())
            print(f"round {number + 1}: {rows} student-epochs a minute", flush=True)
    ray.shutdown()
    return table(rates, found, TARGET_GPU if args.gpu else TARGET)


def teacher_architecture(folder: Path) -> str:
    """Of the one teacher that is kept there."""
    return read_teacher(next((folder / "teachers").iterdir())).architecture


def keep(
    name: str,
    rates: dict[str, list[float]],
    found: dict[str, list[float]],
    rate: float,
    accuracies: list[float],
) -> None:
    """Take down one arm of one round."""
    rates[name].append(rate)
    found[name] += accuracies


def table(rates: dict[str, list[float]], found: dict[str, list[float]], target: float) -> int:
    """Print what came out; 1 where the target is missed."""
    print(f"{'program':>14}{'epochs a minute':>17}{'kdsearch is':>13}{'accuracy':>10}")
    worst = float("inf")
    for name, rate in rates.items():
        ratio = statistics.median(a / b for a, b in zip(rates["kdsearch"], rate, strict=True))
        worst = worst if name == "kdsearch" else min(worst, ratio)
        accuracy = statistics.fmean(found[name])
        print(f"{name:>14}{60 * statistics.median(rate):17.1f}{ratio:12.1f}x{accuracy:10.3f}")
    missed = worst < target
    print(f"accuracy: of the same students; target: {target:g}x: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
