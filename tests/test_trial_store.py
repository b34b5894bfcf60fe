"""A trial reads what is kept, or runs the teacher on the same pixels: its losses cannot tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kdsearch.config import Plan, TrialSpec, validate
from kdsearch.data import ImageData, load_data
from kdsearch.students import build_student, describe
from kdsearch.teachers import (
    FrozenTeacher,
    TeacherRecord,
    TeacherStore,
    compute_views,
    gathered,
    weights_to_bytes,
)
from kdsearch.teachers.parts import PARTS
from kdsearch.trial import Surroundings, run_trial, train_to_end
from tests.reports import told

KD = {"method": "kd", "weight": 1.0, "temperature": 2.0}
LOSSES = {
    "response": [KD],
    "pooled": [KD, {"method": "rkd", "weight": 1.0}],
    "maps": [KD, {"method": "at", "weight": 100.0}],
    "preactivations": [{"method": "ab", "weight": 1.0}],
    "review": [{"method": "reviewkd", "weight": 1.0}],
}
NETWORK = {"family": "resnet", "blocks": [1, 1], "widths": [4, 8]}


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data(made_spec([]).plan.data)


@pytest.fixture(scope="module")
def record(data: ImageData) -> TeacherRecord:
    architecture = describe({**NETWORK, "widths": [8, 16]}, data.shape, 10)
    weights = weights_to_bytes(build_student(architecture, seed=1))
    return TeacherRecord("t", architecture.to_json(), weights, None, 0.5, 1.0)


@pytest.fixture(scope="module")
def stores(data: ImageData, record: TeacherRecord) -> dict[str, TeacherStore]:
    made = {}
    for dtype in ("float16", "float32"):
        config = made_spec([], {"views": 3, "dtype": dtype}).plan.store
        views = compute_views(record, data, "crop_flip", 3, PARTS, config)
        made[dtype] = gathered(views, 10, config)
    return made


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def made_spec(losses: Any, store: Any = None, seed: int = 0, **training: Any) -> TrialSpec:
    raw = {
        "data": {"name": "digits", "images": 200, "batch_size": 40, "augment": "crop_flip"},
        "teacher": {"architecture": {}},
        "student": {},
        "losses": list(losses),
        "training": {"epochs": 3, "lr": 0.05, **training},
        "store": store or {"views": 3, "dtype": "float32"},
    }
    architecture = describe(NETWORK, (1, 8, 8), 10).to_json()
    return TrialSpec(plan=validate(Plan, raw), architecture=architecture, seed=seed)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No teacher's network may run."""

    def fails(*_: Any) -> None:
        raise AssertionError("the teacher was run")

    monkeypatch.setattr(FrozenTeacher, "outputs", fails)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", [0, 5])
def test_the_store_on_and_off_give_the_same_first_steps(
    data: ImageData,
    record: TeacherRecord,
    stores: dict[str, TeacherStore],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    seed: int,
) -> None:
    spec = made_spec(LOSSES[name], seed=seed, lr=1e-12)  # every step is a first one
    if name == "preactivations":
        spec = made_spec([{**LOSSES[name][0], "pretrain_epochs": 1}], seed=seed, lr=1e-12)
    off, _ = train_to_end(spec, Surroundings(data, record))
    monkeypatch.setattr(FrozenTeacher, "outputs", None)  # nobody runs it
    on, _ = train_to_end(spec, Surroundings(data, record, store=stores["float32"]))
    for ours, theirs in zip(on, off, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert ours.terms == pytest.approx(theirs.terms, rel=1e-4, abs=1e-7)


def test_half_precision_is_near(
    data: ImageData, record: TeacherRecord, stores: dict[str, TeacherStore], alone: None
) -> None:
    exact, half = (
        next(
            run_trial(
                made_spec(LOSSES["pooled"], {"views": 3, "dtype": dtype}),
                Surroundings(data, record, store=stores[dtype]),
            )
        )
        for dtype in ("float32", "float16")
    )
    assert half.train_loss != exact.train_loss
    assert half.train_loss == pytest.approx(exact.train_loss, rel=2e-3)


def test_a_trial_on_a_store_comes_out_the_same_again_and_after_a_pause(
    data: ImageData, record: TeacherRecord, stores: dict[str, TeacherStore]
) -> None:
    around = Surroundings(data, record, store=stores["float32"])
    spec = made_spec([KD])
    first, _ = train_to_end(spec, around)
    again = run_trial(TrialSpec.model_validate_json(spec.model_dump_json()), around)
    begun = next(again)
    rest = list(run_trial(spec, around, again.state()))
    assert told([begun, *rest]) == told(first)


@pytest.mark.parametrize(
    ("losses", "store"),
    [
        ([KD], {"views": "live"}),
        ([KD], {"views": 4}),
        ([KD], {"views": 3, "dtype": "float16"}),
        ([KD], {"views": 3, "dtype": "float32", "top_k": 2}),
        (LOSSES["maps"], {"views": 3, "dtype": "float32", "features": "never"}),
    ],
)
def test_a_store_that_does_not_serve_is_not_read(
    data: ImageData,
    record: TeacherRecord,
    stores: dict[str, TeacherStore],
    losses: Any,
    store: dict[str, Any],
) -> None:
    spec = made_spec(losses, store)
    without, _ = train_to_end(spec, Surroundings(data, record))
    beside, _ = train_to_end(spec, Surroundings(data, record, store=stores["float32"]))
    assert told(beside) == told(without)


def test_trials_without_a_term_and_old_rows_have_fresh_images(
    data: ImageData, record: TeacherRecord
) -> None:
    views, live = made_spec([]), made_spec([], {"views": "live"})
    reports = [train_to_end(spec, Surroundings(data, record))[0] for spec in (views, live)]
    assert told(reports[0]) == told(reports[1])
    old = made_spec([KD], {"views": "live"}).model_dump(mode="json")
    del old["plan"]["store"]
    assert TrialSpec.model_validate(old).plan.views is None
    taught = [made_spec([KD], {"views": number}) for number in (3, "live")]
    ours, theirs = (train_to_end(spec, Surroundings(data, record))[0] for spec in taught)
    assert told(ours) != told(theirs)
