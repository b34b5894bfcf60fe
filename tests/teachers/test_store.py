"""A store's rows are the teacher's outputs on that view, in whatever way they are kept."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdsearch.config import StoreConfig
from kdsearch.data import Batches, ImageData
from kdsearch.errors import UserError
from kdsearch.students import Outputs, build_student, describe
from kdsearch.teachers import (
    FrozenTeacher,
    StoredTeacher,
    TeacherRecord,
    TeacherStore,
    compute_views,
    gathered,
    weights_to_bytes,
)
from kdsearch.teachers.parts import PARTS
from kdsearch.teachers.store import packed
from kdsearch.teachers.top_k import fill_in, keep_largest
from tests.data.made import made_data

ARCHITECTURE = describe({"family": "resnet", "blocks": [1, 1], "widths": [4, 6]}, (1, 8, 8), 5)
EXACT = StoreConfig(dtype="float32")


@pytest.fixture(scope="module")
def data() -> ImageData:
    return made_data(per_class=8, classes=5)


@pytest.fixture(scope="module")
def record() -> TeacherRecord:
    weights = weights_to_bytes(build_student(ARCHITECTURE, seed=3))
    return TeacherRecord("t", ARCHITECTURE.to_json(), weights, None, 0.5, 1.0)


def stored(
    record: TeacherRecord,
    data: ImageData,
    config: StoreConfig = EXACT,
    parts: tuple[str, ...] = PARTS,
    views: int = 3,
) -> TeacherStore:
    return gathered(compute_views(record, data, "crop_flip", views, parts, config), 5, config)


def flat(outputs: Outputs) -> list[torch.Tensor]:
    assert outputs.pooled is not None
    return [outputs.logits, outputs.pooled, *outputs.features, *outputs.preactivations]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_are_the_teachers_outputs_on_the_view(
    data: ImageData, record: TeacherRecord, dtype: str
) -> None:
    config = StoreConfig.model_validate({"dtype": dtype})
    store = stored(record, data, config)
    teacher = StoredTeacher(store, frozenset(PARTS))
    live = FrozenTeacher(build_student(ARCHITECTURE, seed=3))
    batches, seen = Batches(data, 9, "crop_flip", seed=1, views=3), set()
    for epoch in (1, 2, 3):
        for batch in batches.epoch(epoch):
            seen.add(batch.view)
            read, told = teacher.outputs(batch), live.outputs(batch)
            for ours, theirs in zip(flat(read), flat(told), strict=True):
                assert ours.dtype == torch.float32
                near = 1e-3 if dtype == "float16" else 1e-5
                torch.testing.assert_close(ours, theirs, rtol=near, atol=near)
            teacher.observe(batch, told, read)
    assert seen == {0, 1, 2}


def test_a_part_is_read_alone(data: ImageData, record: TeacherRecord) -> None:
    store = stored(record, data, parts=("logits", "pooled"))
    (batch, *_) = Batches(data, 9, "crop_flip", views=3).epoch(1)
    seen = StoredTeacher(store, frozenset({"pooled"})).outputs(batch)
    assert seen.pooled is not None and seen.pooled.shape == (9, 6)
    for part in ("logits", "features"):
        with pytest.raises(UserError, match=f"the teacher's {part}"):
            getattr(seen, part)


@pytest.mark.parametrize("k", [1, 3, 5, 9])
def test_the_largest_logits_are_kept(data: ImageData, record: TeacherRecord, k: int) -> None:
    whole = stored(record, data, parts=("logits",)).arrays["logits"][0]
    config = StoreConfig(dtype="float32", top_k=k)
    store = stored(record, data, config, ("logits",))
    (batch, *_) = Batches(data, 9, "crop_flip", views=3).epoch(1)
    read = StoredTeacher(store, frozenset({"logits"})).outputs(batch).logits
    true = torch.from_numpy(whole)[batch.view][batch.index]
    torch.testing.assert_close(read, true if k >= 5 else fill_in(keep_largest(true, k), 5))


def test_a_batch_that_is_no_view_is_refused(data: ImageData, record: TeacherRecord) -> None:
    teacher = StoredTeacher(stored(record, data, views=2), frozenset({"logits"}))
    (fresh, *_) = Batches(data, 9, "crop_flip").epoch(1)
    for batch in (fresh, fresh._replace(view=2)):
        with pytest.raises(ValueError, match="view"):
            teacher.outputs(batch)


def test_values_beyond_half_precision_are_a_fault() -> None:
    outputs = Outputs(torch.tensor([[1e5, 0.0]]))
    assert packed(outputs, "logits", "float32", None)[0][0, 0] == 1e5
    with pytest.raises(UserError, match=r"store.dtype: the teacher's logits reach 1e\+05.*float32"):
        packed(outputs, "logits", "float16", None)


def test_it_travels_as_buffers_or_as_names_of_files(
    data: ImageData, record: TeacherRecord, tmp_path: Path
) -> None:
    store = stored(record, data, parts=("logits",))
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(store, protocol=5, buffer_callback=buffers.append)
    assert len(body) < 1500 < store.nbytes == sum(b.raw().nbytes for b in buffers)
    there = pickle.loads(body, buffers=buffers)
    assert np.shares_memory(there.arrays["logits"][0], store.arrays["logits"][0])
    np.save(tmp_path / "0.npy", np.concatenate([store.arrays["logits"][0]] * 2))  # more views
    mapped = replace(store, files={"logits": (tmp_path / "0.npy",)}, mapped=True)
    body = pickle.dumps(mapped)
    assert len(body) < 1500
    (array,) = pickle.loads(body).arrays["logits"]
    assert isinstance(array, np.memmap) and np.array_equal(array, store.arrays["logits"][0])


def test_what_it_serves(data: ImageData, record: TeacherRecord) -> None:
    store = stored(record, data, parts=("logits", "features"))
    config, logits = StoreConfig(views=3, dtype="float32"), frozenset({"logits"})
    assert store.serves(config, 3, logits) and store.serves(config, 2, logits)
    assert store.serves(config, 3, frozenset({"logits", "features"}))
    assert not store.serves(config, 4, logits) and not store.serves(config, None, logits)
    assert not store.serves(config, 3, frozenset({"pooled"}))
    assert not store.serves(StoreConfig(views=3), 3, logits)  # another dtype
    assert not store.serves(config.model_copy(update={"top_k": 2}), 3, logits)
    never = config.model_copy(update={"features": "never"})
    assert store.serves(never, 3, logits) and not store.serves(never, 3, frozenset({"features"}))
