from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdsearch.errors import UserError
from kdsearch.teachers import load_weights, save_weights, weights_from_bytes, weights_to_bytes
from tests.teachers.networks import Tiny


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_bytes_there_and_back_and_equal_for_equal_weights() -> None:
    source, target = Tiny(seed=1), Tiny(seed=2)
    assert not same(source, target)
    weights_from_bytes(target, weights_to_bytes(source))
    assert same(source, target)
    assert weights_to_bytes(target) == weights_to_bytes(source)


def test_tied_and_strided_weights_travel() -> None:
    def tied() -> nn.Module:
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        net[1].weight = net[0].weight
        return net.to(memory_format=torch.channels_last)

    source, target = tied(), tied()
    weights_from_bytes(target, weights_to_bytes(source))
    assert same(source, target)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.safetensors"
    for seed in (1, 2):
        save_weights(Tiny(seed=seed), path)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    target = Tiny(seed=3)
    load_weights(target, str(path))
    assert same(target, Tiny(seed=2))


def prefixed(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {"net": prefixed(state, "module."), "acc": 0.9},
        lambda state: {"state_dict": prefixed(state, "module._orig_mod.")},
        lambda state: prefixed(state, "_orig_mod.module."),
        lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
        lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_as_people_save_them(tmp_path: Path, wrap: Any, legacy: bool) -> None:
    source, target, path = Tiny(seed=1), Tiny(seed=2), tmp_path / "teacher.pth"
    torch.save(wrap(source.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    load_weights(target, path)
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=1e-3, atol=1e-3)


def wrapped(module: nn.Module, *names: str) -> nn.Module:
    for name in names:
        module = nn.ModuleDict({name: module})
    return module


@pytest.mark.parametrize("around", [(), ("model",), ("model", "model"), ("model", "module")])
@pytest.mark.parametrize("inside", [(), ("model",), ("model", "model"), ("_orig_mod",)])
def test_wrappers_make_no_difference(
    tmp_path: Path, inside: tuple[str, ...], around: tuple[str, ...]
) -> None:
    source, target, path = Tiny(seed=1), Tiny(seed=2), tmp_path / "a.safetensors"
    save_weights(wrapped(source, *inside), path)
    load_weights(wrapped(target, *around), path)
    assert same(source, target)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


@pytest.mark.parametrize("how", ["torch", "pickle", "whole module"])
def test_code_in_a_pickle_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if how == "torch":
        torch.save({"state_dict": Bomb()}, path)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    else:
        torch.save(Tiny(), path)
    with pytest.raises(UserError, match=r"evil\.pth: .* never run"):
        load_weights(Tiny(), path)
    assert not Path("exploded").exists()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "damage", [cut, lambda data: b"", lambda data: b"junk" * 40, lambda data: data[:9]]
)
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: Any, name: str) -> None:
    path = tmp_path / name
    if name == "a.pth":
        torch.save(Tiny().state_dict(), path)
    else:
        save_weights(Tiny(), path)
    path.write_bytes(damage(path.read_bytes()))
    target = Tiny(seed=5)
    with pytest.raises(UserError, match=name.replace(".", r"\.")) as caught:
        load_weights(target, path)
    assert "\n" not in str(caught.value) and "damaged" in str(caught.value)
    assert same(target, Tiny(seed=5))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_weights(Tiny(), tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.bias"), r"head\.bias is missing \(1 of 8 are missing, 0 are"),
        (lambda s: s.update(extra=torch.zeros(1)), r"extra is unknown .*\(1 such\)"),
        (
            lambda s: s.update({"head.weight": torch.zeros(4, 2)}),
            r"head\.weight must have the shape \(3, 2\), got \(4, 2\)",
        ),
        (lambda s: s.update(epoch=3), r"epoch is no tensor but int"),
        (lambda s: s.clear(), r"holds no state dict"),
    ],
)
def test_other_weights_name_the_first_offence(tmp_path: Path, change: Any, message: str) -> None:
    state, path, target = dict(Tiny().state_dict()), tmp_path / "b.pth", Tiny(seed=5)
    change(state)
    torch.save(state, path)
    with pytest.raises(UserError, match=message):
        load_weights(target, path)
    assert same(target, Tiny(seed=5))  # nothing is filled by half


def test_a_network_of_another_width_is_told_both_shapes() -> None:
    with pytest.raises(UserError, match=r"^t1: .*\(4, 1, 3, 3\), got \(2, 1, 3, 3\); .*architect"):
        weights_from_bytes(Tiny(width=4), weights_to_bytes(Tiny(width=2)), place="t1")
