"""The searches of `n2n_fashion.py` and `n2n_transfer.py`: the product's driver, without Ray.

Fashion-MNIST, averaged to 10x10 pixels, as many images as `IMAGES` says. The space
is a resnet's edits alone: which blocks stay, how wide the coupling groups are. A student inherits
what is left of the teacher's weights and learns for one epoch, from labels and teacher; all but its
edits is the same for every student. A search is a folder of the product's own and goes on where it
was broken off.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.config import DataConfig, Plan
from kdsearch.cost import cost
from kdsearch.data import ImageData, load_data
from kdsearch.data.mnist import read
from kdsearch.edits import groups, units
from kdsearch.proposers.n2n.reward import reward
from kdsearch.proposing import make_proposer
from kdsearch.results.store import read_trials
from kdsearch.search_config import SearchConfig, load_config
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, weights_from_bytes
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Ground, Taught
from kdsearch.tune.launch import Launch
from kdsearch.tune.opening import open_search
from kdsearch.tune.teachers import prepare_teacher

SIDE, CLASSES = 10, 10
# To learn from; with those for validation, and the share of those.
IMAGES = {2_000: (5_000, 0.6), 8_000: (10_000, 0.2)}
RATIOS = [0.25, 0.5, 0.75, 1]
LARGE: dict[str, Any] = {"family": "resnet", "blocks": [3, 3, 3], "widths": [12, 24, 80]}
SMALL: dict[str, Any] = {"family": "resnet", "blocks": [2, 2, 2], "widths": [8, 16, 32]}
ACCURACY = {"name": "validation_accuracy", "direction": "max"}
PARAMETERS = {"name": "parameters", "direction": "min", "scale": "log"}
ARMS: dict[str, dict[str, Any]] = {
    "n2n_plus": {"name": "n2n"},
    "n2n_paper": {"name": "n2n", "profile": "n2n_paper"},
    "tpe": {"name": "tpe"},
    "random": {"name": "random"},
    "evolution": {"name": "evolution"},
    "n2n_plus_r": {"name": "n2n"},  # accuracy alone is its objective: its reward is R
}


def fashion(root: Path) -> tuple[Any, ...]:
    """Fashion-MNIST of fewer pixels: a data source of our own."""
    raw = read(DataConfig(name="fashion_mnist"), root)
    assert raw.test is not None
    parts = [(_averaged(split.images), split.labels.numpy()) for split in (raw.train, raw.test)]
    return (*parts[0], *parts[1], raw.classes)


def _averaged(images: torch.Tensor) -> Any:
    return F.adaptive_avg_pool2d(images.float(), SIDE).round().to(torch.uint8).numpy()


@dataclass(frozen=True)
class Search:
    """One search: who proposes, by which seed.

    Attributes
    ----------
    arm : str
        A row of `ARMS`.
    seed : int
    root : str
        Where the data are.
    trials : int
    small : bool
        Whether it edits the small teacher.
    policy : str
        The file of a policy to begin with; empty: none.
    train : int
        Images to learn from: a row of `IMAGES`.
    """

    arm: str
    seed: int
    root: str
    trials: int
    small: bool = False
    policy: str = ""
    train: int = 2_000

    @property
    def name(self) -> str:
        """Of its folder."""
        kind = "-small" if self.small else "-moved" if self.policy else ""
        return f"{self.arm}{kind}-{self.seed}"

    @property
    def config(self) -> SearchConfig:
        """As a search file would say it."""
        images, validation = IMAGES[self.train]
        teacher = SMALL if self.small else LARGE
        network = describe(teacher, (1, SIDE, SIDE), CLASSES)
        tree = {
            "search": self.name,
            "data": {
                "name": "n2n_search:fashion", "root": self.root, "images": images,
                "validation": validation, "batch_size": 64,
            },
            "teacher": {"architecture": teacher, "epochs": 30},
            "student": {
                "family": "edited",
                "keep": {"each": len(units(network)), "choice": [1, 0]},
                "ratio": {"each": len(groups(network)), "choice": RATIOS},
            },
            "start": {"name": "inherit", "recalibrate": 5},
            "losses": [{"method": "kd", "weight": 1.0, "temperature": 4.0}],
            "training": {"epochs": 1, "lr": 0.05, "lr_schedule": "cosine", "warmup": 0.1},
            "objectives": [ACCURACY] if self.arm.endswith("_r") else [ACCURACY, PARAMETERS],
            "proposer": {**ARMS[self.arm], **({"policy": self.policy} if self.policy else {})},
            "scheduler": {"name": "none"},
            "budget": {"trials": self.trials},
            "seed": self.seed,
        }  # fmt: skip
        return load_config(tree, base=Path(__file__).parent)


@dataclass(frozen=True, eq=False)
class Scene:
    """What all searches on one teacher share."""

    plan: Plan
    data: ImageData
    architecture: Architecture
    record: TeacherRecord

    @property
    def around(self) -> Surroundings:
        return Surroundings(self.data, self.record)

    @property
    def teacher(self) -> nn.Module:
        """As trained."""
        module = build_student(self.architecture)
        weights_from_bytes(module, self.record.weights)
        return module

    @property
    def parameters(self) -> int:
        """The teacher's."""
        return cost(self.architecture).parameters


def scene(search: Search, out: Path) -> Scene:
    """Data and teacher; the teacher is trained once and kept under `out`."""
    return _scene(search.root, search.small, search.train, out)


@lru_cache
def _scene(root: str, small: bool, train: int, out: Path) -> Scene:
    config = Search("random", 0, root, 8, small=small, train=train).config
    plan = next(iter(config.plans()))[1]
    assert plan.teacher is not None
    data = load_data(plan.data, config.base)
    network = describe(plan.teacher.architecture, data.shape, len(data.classes))
    record = prepare_teacher(
        plan.teacher, network, plan.data, data, out / "teachers", config.base, lambda *_: None
    )
    return Scene(plan, data, network, record)


def run_search(search: Search, out: Path) -> Path:
    """Run it, or what is left of it; its folder."""
    on, config, folder = scene(search, out), search.config, out / search.name
    if is_done(search, out):
        return folder
    assert on.plan.teacher is not None
    accuracy = on.record.validation_accuracy
    taught = {on.plan.teacher.model_dump_json(): Taught(on.record.identity, accuracy)}
    ground = Ground(config, on.data, on.data.id, taught)
    with open_search(folder, config) as store:
        driver = Driver(ground, store, make_proposer(config, [on.architecture], accuracy))
        while isinstance(launch := driver.next(), Launch):
            started, finite = time.perf_counter(), True
            for report in run_trial(launch.spec, on.around):
                driver.report(launch.trial_id, report)
                finite = finite and math.isfinite(report.train_loss)
            status = "complete" if finite else "diverged"
            driver.end(launch.trial_id, status, seconds=time.perf_counter() - started)
        driver.pause()
    return folder


def students(search: Search, out: Path) -> pd.DataFrame:
    """The search's first students, as many as it asks for, in the order in which they ended."""
    return read_trials(out / search.name).iloc[: search.trials]


def is_done(search: Search, out: Path) -> bool:
    """Whether all of it is on the disk."""
    there = (out / search.name / "trials.parquet").exists()
    return there and len(students(search, out)) == search.trials


def rewards(search: Search, out: Path) -> np.ndarray:
    """R of every student, as the search read it."""
    on, trials = scene(search, out), students(search, out)
    pairs = zip(trials["parameters"], trials["validation_accuracy"], strict=True)
    teacher = on.record.validation_accuracy
    return np.array([reward(p, on.parameters, a, teacher) for p, a in pairs])


def best_so_far(values: np.ndarray) -> np.ndarray:
    """The largest up to each."""
    return np.maximum.accumulate(values)
