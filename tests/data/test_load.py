from pathlib import Path

import pytest

from kdsearch.config import DataConfig
from kdsearch.data import SOURCES, describe_data, load_data
from kdsearch.errors import UserError
from tests.data.made import (
    load,
    write_cifar100,
    write_mnist,
)


def test_the_table_is_sorted() -> None:
    assert list(SOURCES) == sorted(SOURCES)


def test_digits_need_no_file_and_span_the_bytes() -> None:
    data = load_data(DataConfig(name="digits"))
    assert data.shape == (1, 8, 8) and data.classes == tuple("0123456789")
    assert sum(len(s.labels) for s in (data.train, data.validation, data.test)) == 1797
    levels = data.train.images.unique().tolist()
    assert levels[0] == 0 and levels[-1] == 255 and len(levels) == 17
    assert data.id == load_data(DataConfig(name="digits")).id


def test_root_is_relative_to_the_search_file(tmp_path: Path) -> None:
    write_mnist(tmp_path / "files")
    config = DataConfig(name="fashion_mnist", root="files", validation=0.5)
    assert (
        load_data(config, tmp_path).id
        == load("fashion_mnist", tmp_path / "files", validation=0.5).id
    )


def test_a_description_costs_no_pixels_and_is_true(tmp_path: Path) -> None:
    write_cifar100(tmp_path)
    config = DataConfig(
        name="cifar100", root=str(tmp_path), verify=False, labels="coarse", images=250
    )
    described, data = describe_data(config), load_data(config)
    assert described[:3] == (data.shape, data.classes, len(data.train.labels))
    digits = DataConfig(name="digits", images=300, validation=0.3)
    assert describe_data(digits).train_images == len(load_data(digits).train.labels)
    write_mnist(tmp_path)
    described = describe_data(DataConfig(name="fashion_mnist", root=str(tmp_path)))
    assert described.train_images == 48_000  # as published, not as in this copy


def test_a_description_refuses_what_loading_would(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.images: 1500 asked for, digits has 1438"):
        describe_data(DataConfig(name="digits", images=1500))
    with pytest.raises(UserError, match="there is no folder"):
        describe_data(DataConfig(name="mnist", root=str(tmp_path / "nowhere")))


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'fashion_mnist'\?"):
        load_data(DataConfig(name="fashion-mnist"))
    with pytest.raises(UserError, match="cifar10, cifar100, digits"):
        load_data(DataConfig(name="zzz"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist", "image_folder", "mnist"])
def test_a_missing_root_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root: .* name it here"):
        load_data(DataConfig(name=name, size=8))
    with pytest.raises(UserError, match="nowhere; give the folder"):
        load(name, tmp_path / "nowhere", size=8)
    if name != "image_folder":
        with pytest.raises(UserError, match=r"there is no /.*data\.download: true"):
            load(name, tmp_path)
