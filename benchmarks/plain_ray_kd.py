"""What a user writes alone: Ray Tune, OptunaSearch, a DataLoader, the teacher in the loop.

The program that `speed_vs_plain.py` measures kdsearch against. It is kept as people write it, and
fair: the networks are the same modules, one thread a trial, the teacher runs once a batch without
gradients, metrics stay tensors within an epoch, and it looks at the validation images once a trial
where kdsearch looks after every epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

import torch
import torch.nn.functional as F
import torchvision
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms as T

from kdsearch.architecture import Architecture
from kdsearch.students import build_student


class CIFAR100(torchvision.datasets.CIFAR100):
    """Files of any checksum, as `data.verify: false` takes them."""

    train_list: ClassVar = [["train", None]]
    test_list: ClassVar = [["test", None]]
    meta: ClassVar = {**torchvision.datasets.CIFAR100.meta, "md5": None}


SETS: dict[str, tuple[Any, float, float]] = {
    "fashion_mnist": (torchvision.datasets.FashionMNIST, 0.286, 0.353),
    "cifar100": (CIFAR100, 0.478, 0.268),
}


@dataclass(frozen=True)
class Setting:
    """What all trials of a comparison share."""

    root: str
    data: str
    train: int
    validation: int
    batch_size: int
    epochs: int
    teacher: str
    weights: str
    cuda: bool = False


def datasets(setting: Setting) -> tuple[Dataset, Dataset]:
    """Training images with crop and flip, validation images as they are."""
    source, mean, std = SETS[setting.data]
    plain = [T.ToTensor(), T.Normalize(mean, std)]
    side = 28 if setting.data == "fashion_mnist" else 32
    crop = [T.RandomCrop(side, padding=side // 8), T.RandomHorizontalFlip()]
    everything = range(setting.train, setting.train + setting.validation)
    return (
        Subset(source(setting.root, transform=T.Compose(crop + plain)), range(setting.train)),
        Subset(source(setting.root, transform=T.Compose(plain)), everything),
    )


def train(config: dict[str, Any]) -> None:
    """One distillation."""
    setting: Setting = config["setting"]
    torch.set_num_threads(1)
    device = "cuda" if setting.cuda else "cpu"
    training, validation = datasets(setting)
    loader = DataLoader(training, setting.batch_size, shuffle=True, drop_last=True)
    teacher = network(setting.teacher, device)
    teacher.load_state_dict(torch.load(setting.weights, weights_only=True))
    teacher.eval()
    student = network(config["student"], device)
    optimizer = torch.optim.SGD(student.parameters(), config["lr"], momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, setting.epochs * len(loader))
    t = config["temperature"]
    for epoch in range(1, setting.epochs + 1):
        student.train()
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            with torch.no_grad():
                taught = teacher(images).logits
            said = student(images).logits
            soft = F.kl_div(
                F.log_softmax(said / t, 1), F.softmax(taught / t, 1), reduction="batchmean"
            )
            loss = 0.1 * F.cross_entropy(said, labels) + 0.9 * t * t * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        accuracy = 0.0
        if epoch == setting.epochs:
            accuracy = validate(student, DataLoader(validation, 1000), device)
        tune.report({"accuracy": accuracy, "epoch": epoch})


@torch.no_grad()
def validate(student: nn.Module, loader: DataLoader, device: str) -> float:
    """Share of the images whose class is found."""
    student.eval()
    right = count = 0
    for images, labels in loader:
        right += int((student(images.to(device)).logits.argmax(1).cpu() == labels).sum())
        count += len(labels)
    return right / count


def network(architecture: str, device: str) -> nn.Module:
    """The module of kdsearch, so that both programs train the same network."""
    return build_student(Architecture.from_json(architecture), None, device)


def search(
    setting: Setting, points: Sequence[dict[str, Any]], slots: int, reuse: bool
) -> tuple[float, list[float]]:
    """Seconds of a whole `Tuner.fit` over these trials, and the accuracies it found."""
    students = sorted({point["student"] for point in points})
    space = {
        "setting": setting,
        "student": tune.choice(students),
        "lr": tune.loguniform(1e-3, 1.0),
        "temperature": tune.uniform(1, 20),
    }
    sampler = OptunaSearch(metric="accuracy", mode="max", points_to_evaluate=list(points))
    gpu = 1 / slots if setting.cuda else 0
    began = time.perf_counter()
    results = tune.Tuner(
        tune.with_resources(train, {"cpu": 1, "gpu": gpu}),
        param_space=space,
        tune_config=tune.TuneConfig(
            search_alg=sampler,
            scheduler=FIFOScheduler(),
            num_samples=len(points),
            max_concurrent_trials=slots,
            reuse_actors=reuse,
        ),
        run_config=tune.RunConfig(verbose=0),
    ).fit()
    took = time.perf_counter() - began
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} of the plain program's trials failed")
    return took, [result.metrics["accuracy"] for result in results if result.metrics]
