"""Every teacher the space names, found or trained once, with its logits, before any trial."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from kdsearch.architecture import Architecture
from kdsearch.check import Summary
from kdsearch.config import DataConfig, Plan, TeacherConfig, TrialSpec, identity
from kdsearch.data import Batches, ImageData
from kdsearch.errors import UserError
from kdsearch.results.records import EpochReport
from kdsearch.results.store import ResultStore
from kdsearch.schemes import evaluate
from kdsearch.search_config import SearchConfig
from kdsearch.students import build_student
from kdsearch.teachers import (
    FrozenTeacher,
    TeacherRecord,
    compute_logits,
    load_weights,
    network_of,
    read_teacher,
    weights_from_bytes,
    weights_to_bytes,
    write_teacher,
)
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.cluster import device_of
from kdsearch.tune.tasks import streamed

SAMPLE, SAME = 64, 0.02  # images; of the largest logit: other machines round otherwise
Watch = Callable[[str, EpochReport, int], None]
Teach = Callable[[TrialSpec, bytes | None, str], Iterator[EpochReport | TeacherRecord]]


def teacher_identity(
    config: TeacherConfig, architecture: Architecture, data: DataConfig, data_id: str, base: Path
) -> str:
    """What decides a teacher: architecture and data; training and seed, or the file of weights."""
    if config.weights is not None:
        content = (base / Path(config.weights).expanduser()).read_bytes()
        source: Any = hashlib.sha256(content).hexdigest()
    else:
        decided = {"architecture", "weights", "augment", "batch_size"}  # elsewhere, or just below
        source = config.model_dump(mode="json", exclude=decided)
        source["data"] = [config.augment or data.augment, config.batch_size or data.batch_size]
    return identity([architecture.to_json(), data_id, source])


def fetch_teachers(
    store: ResultStore, config: SearchConfig, summary: Summary, data_id: str
) -> None:
    """Bring the teachers of a search that stand at its address and not on this machine."""
    if store.copy is None:
        return
    plan = next(iter(config.plans()))[1]
    for section, architecture, _ in summary.teachers:
        name = teacher_identity(section, architecture, plan.data, data_id, config.base)
        store.copy.fetch_teacher(name)


def prepare_teacher(
    config: TeacherConfig,
    architecture: Architecture,
    data_config: DataConfig,
    data: ImageData,
    folder: Path,
    base: Path,
    watch: Watch,
    teach: Teach | None = None,
    threads: int = 1,
) -> TeacherRecord:
    """The teacher of a config: read from `folder` if it is there, else trained or loaded, and kept.

    Parameters
    ----------
    data_config : DataConfig
        Gives batch size and augmentation where the teacher's section leaves them open.
    folder : Path
        Of all teachers: ``results/teachers``.
    watch : callable
        Told the teacher's identity, each epoch's report and the number of epochs.
    teach : callable, optional
        Where the training runs: `on_cluster` gives one; in this process by default.
    threads : int
        CPU threads of the training.

    Raises
    ------
    UserError
        Weights that do not fit, a training that diverged, or a teacher of the user's own code that
        says something else by now.
    """
    name = teacher_identity(config, architecture, data_config, data.id, base)
    found = read_teacher(folder / name)
    if found is not None and found.architecture == architecture.to_json():
        _check_says_the_same(found, data, folder / name)
        return found
    _check_folder(folder)
    own = data_config.model_copy(
        update={
            "augment": config.augment or data_config.augment,
            "batch_size": config.batch_size or data_config.batch_size,
        }
    )
    plan = Plan(data=own, student={}, training=config.training())
    spec = TrialSpec(
        plan=plan, architecture=architecture.to_json(), seed=config.seed, threads=threads
    )
    weights = None
    if config.weights is not None:
        module = build_student(architecture)
        load_weights(module, base / Path(config.weights).expanduser())
        weights = weights_to_bytes(module)
    record: TeacherRecord | None = None
    here = "cuda" if torch.cuda.is_available() else "cpu"
    for item in teach(spec, weights, name) if teach else _teach(spec, data, weights, name, here):
        if isinstance(item, TeacherRecord):
            record = item
        else:
            watch(name, item, plan.training.last_epoch)
    if record is None:
        raise UserError("teacher", "its training diverged; lower teacher.lr")
    details = {"training": config.model_dump(mode="json"), "data": own.model_dump(mode="json")}
    try:
        write_teacher(folder / name, record, details)
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; choose other --results"
        raise UserError(str(folder / name), fault) from None
    return record


def _check_says_the_same(record: TeacherRecord, data: ImageData, place: Path) -> None:
    """Refuse a kept teacher whose code, the user's own, has changed under its weights."""
    architecture = Architecture.from_json(record.architecture)
    kept = None if record.logits is None else torch.from_numpy(record.logits[:SAMPLE])
    if ":" not in architecture.family or kept is None or not kept.any():  # nobody trained that one
        return
    teacher = FrozenTeacher(network_of(record, "cpu"))
    batch = next(Batches(data, SAMPLE).evaluation("train", SAMPLE))
    try:
        said = teacher.outputs(batch).logits.float()
    except RuntimeError:  # it runs on a GPU alone, and nothing can be said here
        return
    # Other code moves most rows; where a GPU rounds otherwise, hard decisions flip a few.
    off = (said - kept).abs().amax(1).median()
    if not off <= SAME * kept.abs().max():
        raise UserError(
            str(place),
            f"{architecture.family} computes something else than when this teacher was kept; undo "
            "that change, or remove this folder, and the teacher is made anew",
        )


def _check_folder(folder: Path) -> None:
    """Find out that nothing can be written before an hour of training, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".probe").write_bytes(b"")
        (folder / ".probe").unlink()
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}; choose other --results"
        raise UserError(str(folder), fault) from None


def on_cluster(shared_data: Any, taken: dict[str, float]) -> Teach:
    """Training as a Ray task, where the GPUs are; its epochs come back one by one.

    Parameters
    ----------
    shared_data : ObjectRef
        The data in the object store.
    taken : dict
        ``cpu`` and ``gpu`` that the task takes.
    """
    device = device_of(taken)
    run = streamed(
        _teach, taken, lambda _, line: UserError("teacher", f"its training failed: {line}")
    )

    def teach(spec: TrialSpec, weights: bytes | None, name: str) -> Iterator[Any]:
        return run(spec, shared_data, weights, name, device)

    return teach


def _teach(
    spec: TrialSpec, data: ImageData, weights: bytes | None, name: str, device: str
) -> Iterator[EpochReport | TeacherRecord]:
    """On a worker: reports, then the record; no record where the training diverged."""
    torch.set_num_threads(spec.threads)
    module = build_student(Architecture.from_json(spec.architecture), device=device)
    seconds = 0.0
    if weights is not None:
        weights_from_bytes(module, weights)
    else:
        training = run_trial(spec, Surroundings(data, device=device))
        while True:
            try:
                report = next(training)
            except StopIteration as stop:
                module = stop.value
                break
            seconds += report.seconds
            yield report
            if not math.isfinite(report.train_loss):
                return
    module.eval()
    batches = Batches(data, 1000, device=device)
    accuracy, _ = evaluate(module, batches.validation())
    logits = compute_logits(module, batches.evaluation("train"))
    yield TeacherRecord(
        identity=name,
        architecture=spec.architecture,
        weights=weights_to_bytes(module),
        logits=logits.cpu().numpy(),
        validation_accuracy=accuracy,
        seconds=seconds,
        data_id=data.id,
    )
