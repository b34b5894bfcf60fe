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
import torch
import yaml
from hostile_results import SEARCH, TINY, Try, front, log, report, tables

from kdsearch.proposers import build_proposer
from kdsearch.search_config import load_config
from kdsearch.search_sections import ProposerConfig
from kdsearch.space import SearchSpace
from kdsearch.student_folder import StudentCard, load_student, write_student
from kdsearch.student_folder.card import exported_form, own_form
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, load_weights, read_teacher, weights_to_bytes
from kdsearch.teachers.record import write_teacher
from kdsearch.teachers.shelf import Origin, read_part, write_parts
from tests.hostile import as_json, mutated, torn


class Target(NamedTuple):
    """A kind of file: its share of the inputs, and what makes one that is good."""

    share: float
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
            read_part(room, origin, 1, lambda line: None)
        finally:
            array.write_bytes(files[array])

    return attempt


TARGETS = {
    "search file": Target(40, search_file),
    "log": Target(60, log),
    "front": Target(1, front),
    "report": Target(0.3, report),
    "table": Target(28, tables),
    "student": Target(34, student),
    "policy": Target(2, policy),
    "weights": Target(14, weights),
    "teacher": Target(12, teacher),
    "teacher outputs": Target(8, outputs),
}
