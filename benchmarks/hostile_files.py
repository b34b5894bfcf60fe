"""What `benchmarks/fuzz.py` damages: a good file of every kind, and what loads it."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from kdsearch.own_code import permit_code
from kdsearch.proposers import build_proposer
from kdsearch.results.front import read_front
from kdsearch.results.log import fold, read_events
from kdsearch.results.pareto import pareto_front
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.results.tables import epoch_table, stamp, trial_table, write_table
from kdsearch.search_config import load_config, recorded_config
from kdsearch.search_sections import ProposerConfig
from kdsearch.space import SearchSpace
from kdsearch.student_folder import StudentCard, load_student, write_student
from kdsearch.student_folder.card import exported_form, own_form
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, load_weights, read_teacher, weights_to_bytes
from kdsearch.teachers.record import write_teacher
from kdsearch.teachers.shelf import Origin, read_part, write_parts
from kdsearch.tune.launch import spec_of
from tests.hostile import as_json, log_bytes, mutated, torn
from tests.results.made import story

Try = Callable[[random.Random], object]
TINY = describe({"family": "mlp", "widths": [2]}, (1, 2, 2), 2)
SEARCH = {
    "search": "hostile",
    "data": {"name": "digits", "batch_size": 16},
    "teacher": {"architecture": {"family": "mlp", "widths": [4]}},
    "student": {"family": "mlp", "widths": {"each": 1, "int": [1, 4]}},
    "losses": [{"choice": ["none", {"method": "kd", "weight": 0.5}]}],
    "training": {"epochs": 2, "lr": {"float": [0.01, 0.1]}},
    "budget": {"trials": 6},
}


class Target(NamedTuple):
    """A kind of file: its share of the inputs, and what makes one that is good."""

    share: int
    made: Callable[[Path], Try]


def search_file(room: Path) -> Try:
    room.mkdir()
    path = room / "search.yaml"
    good = yaml.safe_dump(SEARCH, default_flow_style=None).encode()

    def attempt(chance: random.Random) -> None:
        if chance.random() < 0.7:
            path.write_bytes(torn(good, chance))
            load_config(path)
        else:
            load_config(mutated(SEARCH, chance))

    return attempt


def events() -> list[dict[str, Any]]:
    """The log of a small search that could be run again."""
    plan = {
        "data": SEARCH["data"],
        "student": {"family": "mlp", "widths": [2]},
        "training": {"epochs": 2},
    }
    spec = {"plan": plan, "architecture": TINY.to_json(), "rungs": [2], "seed": 7}
    lines = []
    for event in story():
        if event["event"] == "search":
            event = {**event, "config": SEARCH, "base": "/nowhere"}
        if event["event"] == "trial":
            event = {**event, "spec": spec, "architecture": TINY.to_json()}
        text = json.dumps(event).replace("NaN", '"nan"').replace("Infinity", '"inf"')
        lines.append(json.loads(text))
    return lines


def log(room: Path) -> Try:
    room.mkdir()
    path, good = room / "log.jsonl", events()
    whole = log_bytes(good)

    def attempt(chance: random.Random) -> None:
        kind = chance.random()
        if kind < 0.3:
            path.write_bytes(torn(whole, chance))
        else:
            lines = list(good)
            for _ in range(chance.randint(1, 2)):
                at = chance.randrange(len(lines))
                lines[at] = mutated(lines[at], chance)
            if kind > 0.9:
                chance.shuffle(lines)
            path.write_bytes(log_bytes([line for line in lines if isinstance(line, dict)]))
        history = fold(read_events(path))
        trial_table(history.rows, history.header.get("columns", {}))
        epoch_table(e for of in history.epochs.values() for e in of)
        for trial in history.trials.values():
            spec_of(trial)
            permit_code(trial.get("spec"), "log", None)
        if history.header and kind > 0.7:
            recorded_config(history.header, path)

    return attempt


def front(room: Path) -> Try:
    room.mkdir()
    good = events()
    (room / "log.jsonl").write_bytes(log_bytes(good))
    history = fold(read_events(room / "log.jsonl"))
    write_table(trial_table(history.rows, history.header["columns"]), room / "trials.parquet")

    def attempt(chance: random.Random) -> None:
        lines = list(good)
        at = 0 if chance.random() < 0.5 else chance.randrange(len(lines))
        lines[at] = mutated(lines[at], chance)
        (room / "log.jsonl").write_bytes(log_bytes([x for x in lines if isinstance(x, dict)]))
        read_front(room)

    return attempt


def tables(room: Path) -> Try:
    room.mkdir()
    (room / "log.jsonl").write_bytes(log_bytes(events()))
    history = fold(read_events(room / "log.jsonl"))
    epochs = [e for of in history.epochs.values() for e in of]
    kinds = [
        (trial_table(history.rows, history.header["columns"]), read_trials, "trials.parquet"),
        (epoch_table(epochs), read_epochs, "epochs.parquet"),
    ]
    odd = [pa.int32(), pa.string(), pa.binary(), pa.list_(pa.int64()), pa.bool_(), pa.null()]

    def attempt(chance: random.Random) -> None:
        table, read, name = kinds[chance.random() < 0.3]
        path = room / name
        if chance.random() < 0.3:
            at = chance.randrange(table.num_columns)
            kind = chance.choice(odd)
            column = pa.nulls(len(table), kind)
            if chance.random() < 0.3:  # of the right type, and nothing in it
                column = pa.nulls(len(table), table.schema.field(at).type)
            field = chance.choice([table.column_names[at], "x", table.column_names[0]])
            table = stamp(table.set_column(at, field, column))
            if chance.random() < 0.2:
                table = table.replace_schema_metadata({b"kdsearch_schema": b"99999999999"})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression=chance.choice(["none", "snappy"]))
        content = sink.getvalue()
        path.write_bytes(content if chance.random() < 0.2 else torn(content, chance))
        frame = read(path)
        if name == "trials.parquet":
            pareto_front(frame)

    return attempt


def student(room: Path) -> Try:
    network = build_student(TINY, seed=0)
    card = StudentCard("s", "00001", TINY.to_json(), ("a", "b"), (0.5,), (0.5,), "digits", 0.5)
    weights = weights_to_bytes(network)
    folders = [room / "own", room / "exported"]
    for folder in folders:
        write_student(folder, weights, card)
    (folders[1] / "student.json").unlink()
    forms = [own_form(card), exported_form(card)]
    trees = [json.loads(form) for form in forms]
    trees[0]["architecture"] = json.loads(trees[0]["architecture"])  # mutated inside, too

    def attempt(chance: random.Random) -> None:
        which = int(chance.random() < 0.5)
        path = folders[which] / ("student.json", "config.json")[which]
        content = torn(forms[which], chance)
        if chance.random() < 0.7:
            tree = mutated(trees[which], chance, 1)
            if not which and isinstance(tree, dict) and "architecture" in tree:
                tree["architecture"] = json.dumps(tree["architecture"])
            content = as_json(tree)
        path.write_bytes(content)
        bad = torn(weights, chance) if chance.random() < 0.1 else weights
        (folders[which] / "student.safetensors").write_bytes(bad)
        load_student(folders[which], raw=True)

    return attempt


def policy(room: Path) -> Try:
    teacher = describe({"family": "resnet", "blocks": [2, 2], "widths": [8, 16]}, (1, 8, 8), 10)
    keep = {"each": 2, "choice": [1, 0]}
    ratio = {"each": 6, "choice": [0.5, 1]}
    space = SearchSpace({"student": {"family": "edited", "keep": keep, "ratio": ratio}})
    section = ProposerConfig(name="n2n")
    objectives = load_config(SEARCH).fixed.objectives

    def build(data: bytes | None = None) -> Any:
        return build_proposer(section, space, objectives, teacher=teacher, trials=10, policy=data)

    whole = build().state()
    size = int.from_bytes(whole[:8], "little")
    header, rest = json.loads(whole[8 : 8 + size]), whole[8 + size :]

    def attempt(chance: random.Random) -> None:
        if chance.random() < 0.5:
            tree = dict(header)
            said = json.loads(tree["__metadata__"]["kdsearch"])
            changed = mutated(said, chance) if chance.random() < 0.5 else said
            tree["__metadata__"] = {"kdsearch": json.dumps(changed)}
            text = as_json(tree if changed is not said else mutated(tree, chance))
            build(len(text).to_bytes(8, "little") + text + rest)
        else:
            head = chance.random() < 0.7  # where the tensors begin there is little to find out
            cut = 8 + size + 64
            build(torn(whole[:cut], chance) + whole[cut:] if head else torn(whole, chance))

    return attempt


def weights(room: Path) -> Try:
    room.mkdir()
    network, path, sink = build_student(TINY, seed=0), room / "weights", io.BytesIO()
    torch.save(network.state_dict(), sink)
    good = [weights_to_bytes(network), sink.getvalue()]

    def attempt(chance: random.Random) -> None:
        path.write_bytes(torn(chance.choice(good), chance))
        load_weights(network, path)

    return attempt


def teacher(room: Path) -> Try:
    network = build_student(TINY, seed=0)
    logits = np.zeros((4, 2), dtype=np.float32)
    record = TeacherRecord("t0", TINY.to_json(), weights_to_bytes(network), logits, 0.5, 1.0, "d0")
    write_teacher(room / "t0", record, {})
    files = {path: path.read_bytes() for path in (room / "t0").iterdir()}
    card = next(path for path in files if path.suffix == ".json")

    def attempt(chance: random.Random) -> None:
        path = chance.choice(sorted(files)) if chance.random() < 0.3 else card
        json_too = path == card and chance.random() < 0.7
        changed = as_json(mutated(json.loads(files[card]), chance)) if json_too else None
        path.write_bytes(changed or torn(files[path], chance))
        try:
            read_teacher(room / "t0")
        finally:
            path.write_bytes(files[path])

    return attempt


def outputs(room: Path) -> Try:
    origin = Origin("logits", "t", "d", "none x", "float16")
    view: Sequence[Any] = [{"logits": (np.zeros((3, 2), dtype=np.float16),)}]
    write_parts(room, {"logits": origin}, view, 1)
    files = {path: path.read_bytes() for path in (room / origin.folder).iterdir()}
    card = next(path for path in files if path.suffix == ".json")
    array = next(path for path in files if path.suffix == ".npy")

    def attempt(chance: random.Random) -> None:
        said = json.loads(files[card])
        if chance.random() < 0.5:
            said = mutated(said, chance)
        else:  # an array of other bytes, under the right hash
            data = torn(files[array], chance)
            array.write_bytes(data)
            seal = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            said["files"] = {array.name: seal}
        card.write_bytes(as_json(said))
        try:
            read_part(room, origin, 1, str)
        finally:
            array.write_bytes(files[array])

    return attempt


TARGETS = {
    "search file": Target(20, search_file),
    "log": Target(30, log),
    "front": Target(1, front),
    "table": Target(14, tables),
    "student": Target(17, student),
    "policy": Target(1, policy),
    "weights": Target(7, weights),
    "teacher": Target(6, teacher),
    "teacher outputs": Target(4, outputs),
}
