"""Networks of torchvision in blocks of ours: the same function, or one line that says why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.cost import cost
from kdsearch.edits import as_architecture, as_network, edit, groups, units
from kdsearch.errors import UserError
from kdsearch.students import build_student, describe, output_shapes


def teacher(model: str, channels: int = 3, size: int = 48, **options: Any) -> Architecture:
    section = {"family": "torchvision", "model": model, **options}
    return describe(section, (channels, size, size), 7)


@pytest.mark.parametrize(("channels", "size"), [(3, 48), (1, 37)])
def test_resnet18_is_the_same_function_in_our_blocks(channels: int, size: int) -> None:
    architecture = teacher("resnet18", channels, size)
    theirs = build_student(architecture, seed=1)
    norms = [m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:  # as after training: no two alike
            norm.weight.uniform_(0.5, 1.5)
            norm.running_mean.normal_(0, 0.1)  # pyright: ignore[reportOptionalMemberAccess]
    theirs.eval()
    own = as_network(architecture, theirs)
    inputs = torch.randn(2, channels, size, size)
    with torch.no_grad():
        wanted, found = theirs(inputs), own(inputs)
    torch.testing.assert_close(found.logits, wanted.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.pooled, wanted.pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "shape"), [("vgg11", (1, 33, 33)), ("vgg11_bn", (3, 64, 32)), ("vgg16", (3, 32, 32))]
)
def test_a_vgg_is_the_same_function_in_our_blocks(model: str, shape: tuple[int, int, int]) -> None:
    section = {"family": "torchvision", "model": model, "init_weights": False}
    architecture = describe(section, shape, 7)
    theirs = build_student(architecture, seed=1)
    with torch.no_grad():
        for layer in theirs.modules():  # as after training: no two alike
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.1)
                layer.running_mean.normal_(0, 0.1)  # pyright: ignore[reportOptionalMemberAccess]
            elif isinstance(layer, nn.Conv2d):
                layer.weight.mul_(3)
    theirs.eval()
    own, inputs = as_network(architecture, theirs), torch.randn(2, *shape)
    with torch.no_grad():
        wanted, found = theirs(inputs), own(inputs)
    assert wanted.logits.std() > 1e-3
    for ours, torchvisions in ((found.logits, wanted.logits), (found.pooled, wanted.pooled)):
        assert torchvisions is not None and ours is not None
        near = 1e-5 * float(torchvisions.abs().max())
        torch.testing.assert_close(ours, torchvisions, rtol=1e-4, atol=near)
    assert len(found.features) == 5


def test_a_vgg_costs_the_same_where_its_map_is_the_one_that_it_reads() -> None:
    wide = teacher("vgg16", size=224)
    assert cost(as_architecture(wide)) == cost(wide)
    normed, biases = teacher("vgg11_bn", size=224), 64 + 128 + 2 * 256 + 4 * 512
    assert cost(as_architecture(normed)).parameters == cost(normed).parameters - biases
    # One pixel on 7x7 is one weight 49 times.
    small = teacher("vgg16", size=32)
    assert cost(as_architecture(small)).parameters == cost(small).parameters - 48 * 512 * 4096


def test_a_vgg_is_edited_down_to_its_hidden_layers() -> None:
    own = as_architecture(teacher("vgg13", size=32))
    assert (len(units(own)), len(groups(own))) == (6, 12)
    assert (units(own)[-1].stage, units(own)[-1].block) == (5, 1)
    small = edit(own, [1, 0, 1, 0, 1, 0], [0.125] * 12)
    assert [b.width for b in small.stages[-1].blocks] == [512]
    assert build_student(small, seed=0)(torch.zeros(2, 3, 32, 32)).pooled.shape == (2, 512)


@pytest.mark.parametrize("model", ["resnet18", "resnet34"])
def test_it_costs_the_same(model: str) -> None:
    architecture = teacher(model, zero_init_residual=True)
    assert cost(as_architecture(architecture)) == cost(architecture)


def test_a_stem_that_pools_is_none_of_a_wide_network() -> None:
    wide = describe({"family": "wide_resnet", "depth": 10, "widen": 1}, (3, 32, 32), 7)
    stem = as_architecture(teacher("resnet18")).stem
    with pytest.raises(ValueError, match="begins with a plain conv, not with 'conv_pool'"):
        output_shapes(replace(wide, stem=stem), 1)


def test_it_is_edited_as_one_of_ours() -> None:
    architecture = teacher("resnet18")
    own = as_architecture(architecture)
    assert (units(architecture), groups(architecture)) == (units(own), groups(own))
    assert (len(units(own)), len(groups(own))) == (4, 12)
    small = edit(architecture, [0] * 4, [0.25] * 12, step=8)
    assert small.family == "resnet" and cost(small).parameters * 20 < cost(own).parameters
    assert build_student(small, seed=0)(torch.zeros(2, 3, 48, 48)).logits.shape == (2, 7)


def test_one_of_ours_is_itself() -> None:
    own = describe({"family": "mlp", "widths": [4]}, (1, 8, 8), 7)
    network = build_student(own, seed=0)
    assert as_architecture(own) is own and as_network(own, network) is network


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ("resnet50", "layer1.0 is a bottleneck of three convolutions"),
        ("vgg11_gn", "its layers are not those of a family of ours"),
        ("alexnet", "its layers are not those of a family of ours"),
    ],
)
def test_another_is_a_fault_that_names_the_layer_and_the_remedy(model: str, layer: str) -> None:
    with pytest.raises(UserError, match="take a family of ours as the teacher") as caught:
        as_architecture(Architecture("torchvision", (3, 64, 64), 7, options=(("model", model),)))
    assert caught.value.place == "model" and layer in caught.value.fault


def test_images_too_small_for_its_strides_are_a_fault() -> None:
    with pytest.raises(UserError, match=r"^model: resnet18 cannot be edited: stage 2 would halve"):
        as_architecture(teacher("resnet18", size=8))


@pytest.mark.parametrize(
    ("size", "fault"),
    [(24, "stage 5 would halve a map of 1x1"), (256, "classifier.0 reads the mean of a 8x8 map")],
)
def test_images_that_a_vgg_reads_otherwise_are_a_fault(size: int, fault: str) -> None:
    with pytest.raises(UserError, match=f"^model: vgg11 cannot be edited: {fault}"):
        as_architecture(
            Architecture("torchvision", (3, size, size), 7, options=(("model", "vgg11"),))
        )


def test_an_option_that_changes_the_computation_and_a_factory_are_faults() -> None:
    made = Architecture(
        "torchvision", (3, 64, 64), 7, options=(("groups", 1), ("model", "resnet18"))
    )
    with pytest.raises(UserError, match=r"^groups: resnet18 with this option cannot be edited"):
        as_architecture(made)
    with pytest.raises(UserError, match=r"^family: nets:make shows no blocks that could be edited"):
        as_architecture(Architecture("nets:make", (3, 64, 64), 7))
