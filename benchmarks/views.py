"""What K views of each image cost in accuracy, and save in time, against a teacher in the loop.

The same student is distilled from the same teacher on Fashion-MNIST under `crop_flip`: from the
stored outputs (float16) of 1, 4 and 16 views of each image, and live: every epoch augmented anew,
the teacher run on it. Test accuracy of the last epoch over three seeds; seconds are processor time
of an epoch, the evaluation in it. Targets: the default number of views loses at most half a point
to live, or no more than twice the standard error of the difference, paired by seed; and an epoch on
the store takes less time than a live one.

    python benchmarks/views.py DATA_ROOT [--images 5000] [--epochs 32] [--seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field

import torch

from kdsearch.config import DataConfig, LossConfig, Plan, StoreConfig, TrainingConfig, TrialSpec
from kdsearch.data import Batches, ImageData, load_data
from kdsearch.schemes import evaluate
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, compute_views, gathered, weights_to_bytes
from kdsearch.teachers.stock import DEFAULT_VIEWS
from kdsearch.trial import Surroundings, train_to_end

TEACHER = {"family": "resnet", "blocks": [1, 1, 1], "widths": [16, 32, 64]}
STUDENT = {"family": "resnet", "blocks": [1, 1, 1], "widths": [8, 16, 32]}
TEACHER_EPOCHS = 20
KD = LossConfig.model_validate({"method": "kd", "weight": 0.9, "temperature": 4.0})
LIVE = "live"
SETTINGS: list[int | str] = [1, 4, 16, LIVE]
LOST = 0.5  # points


@dataclass
class Seen:
    """Test accuracies (%) and seconds an epoch of one setting, by seed."""

    accuracies: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = DataConfig(
        name="fashion_mnist", root=args.root, images=args.images, augment="crop_flip", verify=False
    )
    data = load_data(config)
    around = surroundings(config, data)
    found = {setting: Seen() for setting in SETTINGS}
    for seed in range(args.seeds):
        for setting in SETTINGS:
            accuracy, seconds = trained(config, around, setting, seed, args.epochs)
            found[setting].accuracies.append(accuracy)
            found[setting].seconds.append(seconds)
            print(f"seed {seed}, {setting}: {accuracy:.2f} %, {seconds:.2f} s", flush=True)
    return show(found, len(data.train.labels), args.epochs)


def surroundings(config: DataConfig, data: ImageData) -> Surroundings:
    """The teacher, trained, and its outputs for as many views as any setting reads."""
    architecture = describe(TEACHER, data.shape, len(data.classes)).to_json()
    training = TrainingConfig(epochs=TEACHER_EPOCHS, lr_schedule="cosine")
    plan = Plan(data=config, student={}, training=training)
    reports, module = train_to_end(
        TrialSpec(plan=plan, architecture=architecture), Surroundings(data)
    )
    accuracy = 100 * reports[-1].validation_accuracy
    record = TeacherRecord("t", architecture, weights_to_bytes(module), None, 0.0, 0.0)
    started = time.process_time()
    most = max(setting for setting in SETTINGS if isinstance(setting, int))
    views = compute_views(record, data, config.augment, most, ["logits"], StoreConfig())
    store = gathered(views, len(data.classes), StoreConfig())
    seconds = time.process_time() - started
    print(
        f"teacher: {accuracy:.2f} % on validation; logits of {most} views, "
        f"{store.nbytes / 2**20:.1f} MiB, in {seconds:.1f} s",
        flush=True,
    )
    return Surroundings(data, record, store=store)


def trained(
    config: DataConfig, around: Surroundings, setting: int | str, seed: int, epochs: int
) -> tuple[float, float]:
    """Test accuracy (%) of the student, and seconds of processor time an epoch."""
    plan = Plan.model_validate(
        {
            "data": config,
            "student": {},
            "losses": [KD],
            "training": TrainingConfig(epochs=epochs, lr_schedule="cosine"),
            "store": StoreConfig.model_validate({"views": setting}),
        }
    )
    data = around.data
    architecture = describe(STUDENT, data.shape, len(data.classes)).to_json()
    started = time.process_time()
    _, student = train_to_end(TrialSpec(plan=plan, architecture=architecture, seed=seed), around)
    seconds = (time.process_time() - started) / epochs
    return 100 * evaluate(student, Batches(data, 1000).evaluation("test"))[0], seconds


def show(found: dict[int | str, Seen], samples: int, epochs: int) -> int:
    """Print the table and the targets; 1 where one is missed."""
    live = found[LIVE]
    print(f"{samples} training images, {epochs} epochs, {len(live.accuracies)} seeds")
    print(f"{'views':>6}{'test accuracy':>18}{'against live':>18}{'s an epoch':>12}{'ratio':>8}")
    missed = False
    for setting, seen in found.items():
        mean, spread = statistics.mean(seen.accuracies), deviation(seen.accuracies)
        pairs = zip(seen.accuracies, live.accuracies, strict=True)
        gaps = [own - other for own, other in pairs]
        gap, error = statistics.mean(gaps), deviation(gaps) / len(gaps) ** 0.5
        seconds = statistics.median(seen.seconds)
        ratio = seconds / statistics.median(live.seconds)
        against = "" if setting == LIVE else f"{gap:+.2f} ± {error:.2f}"
        cells = f"{f'{mean:.2f} ± {spread:.2f}':>18}{against:>18}"
        print(f"{setting:>6}{cells}{seconds:12.2f}{ratio:8.2f}")
        if setting == DEFAULT_VIEWS:
            missed = gap < -max(LOST, 2 * error) or ratio >= 1
    print(
        f"targets {'missed' if missed else 'met'}: {DEFAULT_VIEWS} views, the default, lose at "
        f"most {LOST} points or two standard errors, and an epoch on them is quicker than live"
    )
    return int(missed)


def deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(main())
