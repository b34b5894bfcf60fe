from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdsearch.config import DataConfig
from kdsearch.data import describe_data, load_data
from kdsearch.errors import UserError

RETURNED: dict[str, Any] = {}
PIXELS = np.random.RandomState(0).randint(0, 256, (40, 3, 8, 10), dtype=np.uint8)
LABELS = np.arange(40) % 4


def give(root: Path | None) -> Any:
    RETURNED["root"] = root
    return RETURNED["value"]


def fail(root: Path | None) -> Any:
    raise KeyError("no such column")


def load(value: Any, function: str = "give", **config: Any) -> Any:
    RETURNED["value"] = value
    return load_data(DataConfig(name=f"{__name__}:{function}", **config))


def test_a_tuple_or_a_mapping_will_do() -> None:
    pair = load((PIXELS, LABELS))
    assert pair.shape == (3, 8, 10) and pair.classes == ("0", "1", "2", "3")
    assert len(pair.test.labels) == 8
    named = load({"train_images": PIXELS, "train_labels": LABELS, "classes": list("abcd")})
    assert named.id == pair.id and named.classes == tuple("abcd")
    whole = load((PIXELS, LABELS, PIXELS[:4], LABELS[:4], None))
    assert torch.equal(whole.test.images, torch.from_numpy(PIXELS[:4]))
    assert describe_data(DataConfig(name=f"{__name__}:give")).train_images == 32


def test_channels_may_stand_first_or_last_or_not_at_all() -> None:
    first = load((PIXELS, LABELS))
    assert load((PIXELS.transpose(0, 2, 3, 1), LABELS)).id == first.id
    assert load((torch.from_numpy(PIXELS), torch.from_numpy(LABELS))).id == first.id
    assert load((PIXELS[:, 0], LABELS)).id == load((PIXELS[:, :1], LABELS)).id


def test_the_caller_keeps_its_arrays() -> None:
    pixels = PIXELS.copy()
    data = load((pixels, LABELS, pixels[:4], LABELS[:4]))
    before = data.id
    pixels[:] = 0
    assert data.id == before


def test_the_function_is_told_the_root(tmp_path: Path) -> None:
    load((PIXELS, LABELS))
    assert RETURNED["root"] is None
    load((PIXELS, LABELS), root=str(tmp_path))
    assert RETURNED["root"] == tmp_path


def test_a_module_beside_the_search_file_is_found(tmp_path: Path) -> None:
    text = f"from {__name__} import PIXELS, LABELS\ndef read(root):\n    return PIXELS, LABELS\n"
    (tmp_path / "beside_the_file.py").write_text(text)
    config = DataConfig(name="beside_the_file:read")
    with pytest.raises(UserError, match="beside the search file"):
        load_data(config)
    assert load_data(config, tmp_path).shape == (3, 8, 10)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returned a NoneType"),
        ((PIXELS,), "mapping or tuple"),
        ({"train_images": PIXELS}, "no train_labels"),
        ({"train_images": PIXELS, "train_labels": LABELS, "names": 3}, "the key 'names'"),
        ((PIXELS, LABELS, PIXELS), "only one of test_images"),
        ((PIXELS / 255, LABELS), "train_images are float64; give uint8"),
        ((PIXELS[:, 0, 0], LABELS), r"shape \(40, 10\)"),
        ((np.zeros((9, 7, 8, 9), np.uint8), LABELS[:9]), "at most 4 channels"),
        ((PIXELS, LABELS.astype(float)), "train_labels are float64"),
        ((PIXELS, LABELS[:, None]), r"shape \(40, 1\)"),
        ((PIXELS, LABELS[1:]), "40 train images but 39 labels"),
        ((PIXELS, LABELS - 1), "from -1 to 2; 3 classes allow 0 to 2"),
        ((PIXELS, LABELS, None, None, ["a", "b"]), "from 0 to 3; 2 classes allow 0 to 1"),
        ((PIXELS, LABELS, PIXELS, LABELS + 9), "test labels run from 9 to 12"),
        ((PIXELS, LABELS, PIXELS[:, :1], LABELS), r"\(3, 8, 10\), test images \(1, 8, 10\)"),
        ((PIXELS[:0], LABELS[:0]), "train set is empty"),
        ((PIXELS, LABELS, PIXELS[:0], LABELS[:0]), "test set is empty"),
        (([PIXELS[0], PIXELS[1, 0]], [0, 1]), "make no array"),
        ((PIXELS, LABELS, None, None, "abcd"), "classes of 'abcd'"),
        ((PIXELS, LABELS, None, None, 4), "classes of 4"),
        ((PIXELS, LABELS * 2), "class '1' of .* has 0 images"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{__name__}:fail", "raised KeyError"),
        (f"{__name__}:absent", "has no function 'absent'"),
        (f"{__name__}:PIXELS", "has no function 'PIXELS'"),
        ("no_such_module_anywhere:read", "cannot be imported"),
        (":read", "cannot be imported"),
    ],
)
def test_a_function_that_is_not_there_or_fails_is_named(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_data(DataConfig(name=name))
