"""A user's own map-style dataset: images that are read one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from kdsearch.config import DataConfig
from kdsearch.data import ImageData, describe_data, load_data, reading
from kdsearch.errors import UserError

PIXELS = np.random.RandomState(0).randint(0, 256, (40, 3, 8, 10), dtype=np.uint8)
LABELS = np.arange(40) % 4
RETURNED: dict[str, Any] = {}


class Own(Dataset[Any]):
    """Forty images; `changes` says what is wrong with one of them."""

    def __init__(self, changes: dict[int, Any] | None = None, rows: int = 40) -> None:
        self.changes, self.rows = changes or {}, rows
        self.targets: Any = LABELS[:rows].tolist()
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> Any:
        self.asked.append(row)
        found = self.changes.get(row, (torch.from_numpy(PIXELS[row]), int(LABELS[row])))
        if isinstance(found, Exception):
            raise found
        return found


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(())


def give(root: Path | None) -> Any:
    return RETURNED["value"]


def load(value: Any, **config: Any) -> ImageData:
    RETURNED["value"] = value
    return load_data(DataConfig(name=f"{__name__}:give", **config))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("stream", "processes"), [(True, 0), (False, 0), ("auto", 0), (True, 2)])
def test_a_dataset_is_the_arrays_that_it_gives(
    stream: Any, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = load((PIXELS, LABELS))
    if processes:
        monkeypatch.setattr(reading, "ALONE", 0)
        monkeypatch.setattr(reading, "_cpus", lambda: processes)
    data = load(Own(), stream=stream)
    assert (data.id, data.mean, data.std) == (arrays.id, arrays.mean, arrays.std)
    both = load(
        {"train": Own(), "test": Own(rows=9), "classes": ["a", "b", "c", "d"]}, stream=stream
    )
    assert torch.equal(both.test.images, torch.from_numpy(PIXELS[:9]))
    assert both.classes == ("a", "b", "c", "d")


def test_names_may_be_the_datasets_own() -> None:
    own = Own()
    own.classes = ["cat", "dog", "cow", "emu"]  # pyright: ignore[reportAttributeAccessIssue]
    assert load(own).classes == ("cat", "dog", "cow", "emu")


def test_a_description_reads_one_image() -> None:
    RETURNED["value"] = own = Own()
    config = DataConfig(name=f"{__name__}:give", memory_mib=1)
    described = describe_data(config)
    assert described[:3] == ((3, 8, 10), ("0", "1", "2", "3"), 26)
    assert "in memory (data.memory_mib: 1)" in described.held
    assert own.asked == [0]


def test_only_images_that_are_chosen_are_read() -> None:
    own = Own()
    load(own, images=20)
    assert len(set(own.asked) - {0}) in (20 + 8, 20 + 8 - 1)  # and the test split


def test_a_version_lets_what_was_decoded_be_found_again() -> None:
    def asked(version: str | None) -> int:
        own = Own()
        load({"train": own, "version": version}, stream=True)
        return len(set(own.asked))

    assert [asked("1"), asked("1"), asked("2"), asked(None), asked(None)] == [40, 1, 40, 40, 40]


def made(**values: Any) -> Own:
    own = Own()
    for name, value in values.items():
        setattr(own, name, value)
    return own


BLANK = np.zeros((3, 8, 10), np.uint8)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Own({3: (BLANK / 2, 3)}), r"train: \[3\] is float64 .*give uint8 of shape \(C, H, W\)"),
        (Own({3: (BLANK[0], 3)}), r"train: \[3\] is uint8 of shape \(8, 10\)"),
        (
            Own({3: (BLANK[:1], 3)}),
            r"\[3\] has the shape \(1, 8, 10\), and train\[0\] \(3, 8, 10\)",
        ),
        (Own({3: (BLANK, 2)}), r"\[3\] has the label 2, and targets say 3"),
        (Own({3: BLANK}), r"\[3\] gives no \(image, label\)"),
        (Own({3: KeyError("no row")}), r"\[3\] gives no .*KeyError: 'no row'"),
        (Own({0: (np.zeros((8, 10, 3), np.uint8), 0)}), r"train\[0\] has the shape .*at most 4"),
        (made(targets=LABELS[1:]), "40 images and 39 targets"),
        (made(targets=LABELS / 2), "targets of train are float64"),
        (made(targets=LABELS - 1), "from -1 to 2; 3 classes allow 0 to 2"),
        (made(classes=["a"]), "from 0 to 3; 1 classes allow 0 to 0"),
        (made(classes="abcd"), "classes of 'abcd'"),
        (made(targets=LABELS * 2), "class '1' of .* has 0 images"),
        (Own(rows=0), "train set is empty"),
        (Stream(), "Stream without a length; give a map-style dataset"),
        ({"train": [(BLANK, 0)]}, "train has no targets; give it the labels of all"),
        ({"train": 3}, "int without a length"),
        ({"train": Own(), "test": Own(rows=0)}, "test set is empty"),
        ({"train": Own(), "names": 3}, "the key 'names'; it knows train, test, classes, version"),
        ({"train": Own(), "version": 3}, "the version 3; give a text"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_does_not_fit_is_named(value: Any, words: str, stream: bool) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load(value, stream=stream)
    assert len(str(caught.value).splitlines()) == 1


def die(row: int) -> np.ndarray:
    import os

    os._exit(9)


def test_a_process_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Own()
    items = reading.Items(LABELS, lambda row: PIXELS[row] if row == 0 else die(row))
    found = reading.in_order(items, np.arange(len(own)), processes=1)
    with pytest.raises(UserError, match=r"^data: a process that reads images died") as caught:
        list(found)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_it_is_read_by_this_process_alone(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """A file that it has opened would have one position for all that were forked."""
    monkeypatch.setattr(reading, "ALONE", 0)
    own = Own()
    load(own, stream=stream)
    assert set(own.asked) == set(range(40))
