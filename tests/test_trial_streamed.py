"""A training on a set in files is the training on the same set in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdsearch.config import DataConfig, LossConfig, Plan, StoreConfig, TrainingConfig, TrialSpec
from kdsearch.data import ImageData, batches, load_data
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, compute_views, gathered, weights_to_bytes
from kdsearch.trial import Surroundings, train_to_end

KD = LossConfig.model_validate({"method": "kd", "weight": 0.9})


def trained(config: DataConfig, views: Any) -> tuple[list[tuple[float, ...]], bytes]:
    """Losses and accuracies of every epoch, and the student in the end."""
    data: ImageData = load_data(config)
    teacher = describe({"family": "convnet", "widths": [6]}, data.shape, 2)
    weights = weights_to_bytes(build_student(teacher, seed=1))
    record = TeacherRecord("t", teacher.to_json(), weights, None, 0.0, 0.0)
    found = compute_views(record, data, config.augment, 2, ["logits"], StoreConfig())
    store = gathered(found, 2, StoreConfig())
    plan = Plan.model_validate(
        {
            "data": config,
            "student": {},
            "losses": [KD],
            "training": TrainingConfig(epochs=2),
            "store": StoreConfig(views=views),
        }
    )
    student = describe({"family": "convnet", "widths": [4]}, data.shape, 2).to_json()
    spec = TrialSpec(plan=plan, architecture=student, seed=3)
    reports, module = train_to_end(spec, Surroundings(data, record, store=store))
    values = [(r.train_loss, r.validation_loss, r.validation_accuracy) for r in reports]
    return values, weights_to_bytes(module)


@pytest.mark.parametrize("views", [2, "live"])
def test_files_memory_and_a_full_gpu_give_the_same_student(
    views: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / "cache"))
    random = np.random.RandomState(0)
    for number in range(40):
        place = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (9, 9, 3), dtype=np.uint8)).save(place)
    config = DataConfig(
        name="image_folder",
        root=str(tmp_path / "photos"),
        size=8,
        batch_size=8,
        augment="crop_flip_cutout",
        stream=False,
    )
    resident = trained(config, views)
    assert trained(config.model_copy(update={"stream": True}), views) == resident
    monkeypatch.setattr(batches, "stays", lambda images, device: False)
    assert trained(config, views) == resident
