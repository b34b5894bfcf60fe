"""How well does accuracy at a rung rank students by their accuracy at the end?

A fixed population of random convnets, distilled on real Fashion-MNIST by `run_trial`, without
stopping any; Spearman's correlation of the validation accuracy at every rung with the last one. As
many images for validation as for training, so that little of what is read is the split's noise.
Target: at least 0.9 from a third of the budget on, under the schedule `rungs`, for students of one
recipe. With `--recipes drawn` learning rate, label weight and temperature are drawn with the
student: slow rates catch up late, their curves cross, and no reading at a third can rank them.

    python benchmarks/rank.py DATA_ROOT [--epochs 27] [--students 20] [--recipes one drawn]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from kdsearch.config import DataConfig, Plan, TrainingConfig, TrialSpec
from kdsearch.cost import cost
from kdsearch.data import Batches, load_data
from kdsearch.schemes import evaluate, rung_epochs
from kdsearch.space import SearchSpace
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, compute_logits, weights_to_bytes
from kdsearch.trial import Surroundings, run_trial, train_to_end

GRACE, REDUCTION, TARGET = 1, 3, 0.9
SPACE = SearchSpace(
    {
        "student": {"family": "convnet", "widths": {"each": 3, "int": [4, 32], "step": 4}},
        "lr": {"float": [0.01, 0.5], "log": True},
        "label_weight": {"float": [0.0, 1.0]},
        "temperature": {"float": [1, 20], "log": True},
    }
)
ONE_RECIPE = {"lr": 0.1, "label_weight": 0.1, "temperature": 4.0}
_shared: dict[str, Surroundings] = {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--students", type=int, default=20)
    parser.add_argument("--images", type=int, default=8_000, help="for training")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--schedules", nargs="+", default=["rungs"])
    parser.add_argument("--recipes", nargs="+", choices=["one", "drawn"], default=["one", "drawn"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    data = DataConfig(
        name="fashion_mnist", root=args.root, images=2 * args.images, validation=0.5,
        batch_size=args.batch_size,
    )  # fmt: skip
    record = train_teacher(data)
    print(f"teacher: validation accuracy {record.validation_accuracy:.4f}", flush=True)
    rng = random.Random(0)
    drawn = [SPACE.sample(rng).plain for _ in range(args.students)]
    populations = {"one": [{**plain, **ONE_RECIPE} for plain in drawn], "drawn": drawn}
    rungs = rung_epochs(GRACE, REDUCTION, args.epochs)
    with get_context("spawn").Pool(args.processes, start, (data, record)) as pool:
        curves = {
            (schedule, recipe): np.array(
                pool.starmap(
                    curve, [(p, schedule, data, args.epochs, rungs) for p in populations[recipe]], 1
                )
            )
            for schedule in args.schedules
            for recipe in args.recipes
        }
    if args.out:
        args.out.write_text(json.dumps({" ".join(k): v.tolist() for k, v in curves.items()}))
    return show(curves, rungs, args.epochs)


def train_teacher(config: DataConfig) -> TeacherRecord:
    data = load_data(config)
    architecture = describe(
        {"family": "resnet", "blocks": [1, 1, 1], "widths": [16, 32, 64]}, data.shape, 10
    )
    plan = Plan(data=config, student={}, training=TrainingConfig(epochs=8, lr_schedule="cosine"))
    spec = TrialSpec(plan=plan, architecture=architecture.to_json())
    _, module = train_to_end(spec, Surroundings(data))
    batches = Batches(data, 1000)
    return TeacherRecord(
        "teacher",
        architecture.to_json(),
        weights_to_bytes(module),
        compute_logits(module, batches.evaluation("train")).numpy(),
        evaluate(module, batches.validation())[0],
        0.0,
    )


def start(config: DataConfig, record: TeacherRecord) -> None:
    _shared["around"] = Surroundings(load_data(config), record)


def curve(
    plain: dict, schedule: str, data: DataConfig, epochs: int, rungs: tuple[int, ...]
) -> list[float]:
    around, started = _shared["around"], time.perf_counter()
    architecture = describe(plain["student"], around.data.shape, 10)
    training = TrainingConfig(
        epochs=epochs,
        lr=plain["lr"],
        label_weight=plain["label_weight"],
        lr_schedule=schedule,  # type: ignore[arg-type]
    )
    loss = {"method": "kd", "weight": 0.9, "temperature": plain["temperature"]}
    plan = Plan.model_validate(
        {"data": data, "student": plain["student"], "losses": [loss], "training": training}
    )
    spec = TrialSpec(plan=plan, architecture=architecture.to_json(), rungs=list(rungs))
    reached = [r.validation_accuracy for r in run_trial(spec, around)]
    print(
        f"{schedule} {cost(architecture).parameters:,} parameters, lr {plain['lr']:.3f}: "
        f"{reached[-1]:.4f} ({time.perf_counter() - started:.0f} s)",
        file=sys.stderr,
        flush=True,
    )
    return reached


def show(curves: dict[tuple[str, str], np.ndarray], rungs: tuple[int, ...], epochs: int) -> int:
    header = "".join(f"{f'epoch {r}':>10}" for r in rungs[:-1])
    print(f"\nSpearman(rung, end)\n{'schedule':10}{'recipe':10}{header}{'mean, end':>12}")
    missed = False
    for (schedule, recipe), values in curves.items():
        ranks = {r: spearmanr(values[:, r - 1], values[:, -1])[0] for r in rungs[:-1]}
        line = "".join(f"{ranks[r]:10.2f}" for r in rungs[:-1])
        print(f"{schedule:10}{recipe:10}{line}{values[:, -1].mean():12.4f}")
        late = [rank for r, rank in ranks.items() if 3 * r >= epochs]
        missed |= (schedule, recipe) == ("rungs", "one") and min(late) < TARGET
    print(f"target: >= {TARGET} from epoch {-(-epochs // 3)} on under rungs, one recipe: "
          f"{'missed' if missed else 'met'}")  # fmt: skip
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
