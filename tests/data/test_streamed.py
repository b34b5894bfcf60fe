"""Sets that do not fit: in files, and in everything else as in memory."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from kdsearch.config import DataConfig
from kdsearch.data import Batch, Batches, ImageData, describe_data, load_data, on_disk, reading
from kdsearch.errors import UserError

CLASSES, EACH = "abc", 12


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos of many sizes, and a place of our own for what is decoded."""
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / "cache"))
    random = np.random.RandomState(0)
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(EACH):
            pixels = random.randint(0, 256, (random.randint(9, 20), 14, 3), dtype=np.uint8)
            file = tmp_path / "photos" / name / f"{i:02}.{'png' if i % 2 else 'jpg'}"
            Image.fromarray(pixels).save(file)
    return tmp_path / "photos"


def load(root: Path, say: Any = lambda _: None, **more: Any) -> ImageData:
    more = {"size": 8, "validation": 0.3, "stream": True, **more}
    return load_data(DataConfig(name="image_folder", root=str(root), **more), say=say)


def everything(data: ImageData, views: int | None) -> list[Batch]:
    batches = Batches(data, 5, "crop_flip_cutout", seed=3, views=views)
    found = [batch for epoch in (1, 2) for batch in batches.epoch(epoch)]
    found += [*batches.whole_view(1, 7), batches.seen(torch.tensor([4, 1]), 2)]
    for split in ("train", "validation", "test"):
        found += [*batches.evaluation(split, 4), *batches.evaluation(split)]
    return found


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.view == other.view
        assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


@pytest.mark.parametrize(("processes", "views"), [(0, None), (0, 2), (1, None), (2, 2)])
def test_a_streamed_epoch_is_the_resident_one_to_the_last_bit(
    root: Path, processes: int, views: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = load(root, stream=False)
    if processes:
        monkeypatch.setattr(reading, "ALONE", 0)
        monkeypatch.setattr(reading, "MESSAGE", 700)  # three images
        monkeypatch.setattr(reading, "_cpus", lambda: processes)
    streamed = load(root)
    assert resident.folder is None and streamed.folder is not None
    assert (streamed.id, streamed.mean, streamed.std) == (
        resident.id,
        resident.mean,
        resident.std,
    )
    assert_same(everything(streamed, views), everything(resident, views))


def test_it_is_mapped_and_takes_no_memory_of_its_own(root: Path) -> None:
    data = load(root)
    assert data.folder is not None
    before = int(data.test.images[-1, -1, -1, -1])
    with (data.folder / "test-images.npy").open("rb+") as file:
        file.seek(-1, 2)
        file.write(bytes([255 - before]))
    assert int(data.test.images[-1, -1, -1, -1]) == 255 - before


def test_it_is_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, said = load(root), []
    monkeypatch.setattr(reading, "DataLoader", None)
    again = load(root, said.append)
    assert again.id == first.id and len(said) == 1 and "stream: true" in said[0]


@pytest.mark.parametrize("harm", ["flip", "cut", "card", "gone", "label", "mean"])
def test_what_is_not_whole_is_decoded_again(root: Path, harm: str) -> None:
    first, said = load(root), []
    assert first.folder is not None
    files = {"card": "card.json", "mean": "card.json", "label": "test-labels.npy"}
    name = files.get(harm, "train-images.npy")
    file, before = first.folder / name, (first.id, first.train.images.clone())
    content = bytearray(file.read_bytes())
    content[content.index(b'"mean"') + 15 if harm == "mean" else -1] ^= 1
    file.unlink()  # not in place: the first is mapped still
    if harm != "gone":
        file.write_bytes(content[:-9] if harm in ("cut", "card") else content)
    again = load(root, said.append)
    assert again.id == before[0] and torch.equal(again.train.images, before[1])
    assert "is damaged" in said[1] or "is not whole" in said[1]
    assert "are decoded into" in said[2]


def test_another_state_of_the_files_leaves_the_old_one_to_those_who_read_it(root: Path) -> None:
    first = load(root)
    before = first.id
    Image.new("RGB", (20, 20)).save(root / "a" / "01.png")
    changed = load(root)
    assert changed.id != before and changed.folder != first.folder
    assert first.folder is not None and first.folder.is_dir()
    assert first.train.images.shape == changed.train.images.shape  # mapped still
    assert changed.id == load(root, stream=False).id
    assert load(root, size=6).folder != first.folder != load(root, seed=1).folder


@pytest.mark.parametrize("stream", [True, False])
def test_a_broken_image_is_one_line_and_leaves_nothing(root: Path, stream: bool) -> None:
    (root / "b" / "05.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"b/05\.png cannot be read as an image .*replace or"):
        load(root, stream=stream)
    found = [f.suffix for f in (root.parent / "cache").rglob("*") if f.is_file()]
    assert found == [".lock"] * stream


def test_a_broken_image_is_named_by_the_process_that_read_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ALONE", 0)
    (root / "b" / "05.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"^data\.root: .*b/05\.png cannot be read") as caught:
        load(root)
    assert len(str(caught.value).splitlines()) == 1


def test_auto_is_decided_by_the_size(root: Path) -> None:
    mib = len(CLASSES) * EACH * 3 * 8 * 8 / 2**20
    for bound, held in ((0.9 * mib, "in files under"), (1.1 * mib, "in memory")):
        said: list[str] = []
        data = load(root, said.append, stream="auto", memory_mib=bound)
        assert (data.folder is not None) == (held == "in files under")
        config = DataConfig(
            name="image_folder", root=str(root), size=8, memory_mib=bound, validation=0.3
        )
        assert held in said[0] and "data.memory_mib" in said[0]
        assert said[0] == f"data: {describe_data(config).held}"
    assert load(root, stream="auto").folder is None


def test_what_a_killed_process_has_left_is_removed(root: Path) -> None:
    folder = load(root).folder
    assert folder is not None
    left, others = (folder.with_name(f".{name}.0123.part") for name in (folder.name, "other"))
    for one in (left, others):
        one.mkdir()
        (one / "train-images.npy").write_bytes(b"half")
    load(root)
    assert not left.exists() and others.exists()


def test_two_processes_decode_one_after_the_other(root: Path) -> None:
    data, said = load(root), []
    assert data.folder is not None
    with ThreadPoolExecutor(1) as pool:
        with FileLock(f"{data.folder}.lock"):
            second = pool.submit(load, root, said.append)
            with pytest.raises(TimeoutError):
                second.result(0.2)
        assert second.result().id == data.id
    assert any("another process decodes" in line for line in said)


def test_it_travels_by_its_name(root: Path) -> None:
    data = load(root)
    assert data.folder is not None
    sent = pickle.dumps(data)
    there: ImageData = pickle.loads(sent)
    assert len(sent) < 2000 and there.__dict__["id"] == data.id
    assert torch.equal(there.validation.images, data.validation.images)
    card = json.loads((data.folder / "card.json").read_text())
    (data.folder / "card.json").write_text(json.dumps({**card, "id": "0" * 16}))
    with pytest.raises(UserError, match="another state of the set"):
        pickle.loads(sent)
    shutil.rmtree(data.folder)
    with pytest.raises(UserError, match=r"not on this machine; set KDSEARCH_CACHE to a folder"):
        pickle.loads(sent)


def test_a_disk_that_cannot_take_it_is_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(on_disk.shutil, "disk_usage", lambda _: usage(1, 1, 0))
        with pytest.raises(UserError, match=r"0 MiB are free.*set KDSEARCH_CACHE"):
            load(root)
    monkeypatch.setenv("KDSEARCH_CACHE", str(root / "a" / "00.jpg"))
    with pytest.raises(UserError, match=r"00\.jpg/data.*cannot be written: Not a dir.*set KDSE"):
        load(root)


def test_what_is_read_whole_is_not_streamed() -> None:
    config = DataConfig(name="digits", stream=True)
    for ask in (load_data, describe_data):
        with pytest.raises(UserError, match=r"data\.stream: true, and digits is read whole"):
            ask(config)
