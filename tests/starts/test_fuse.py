"""Fused students: the teacher where nothing is merged, and no more of it changed than must be."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
import torch
from torch import nn

from kdsearch.config import FuseStart, Plan
from kdsearch.cost import cost
from kdsearch.data import Batches
from kdsearch.starts import STARTS, Materials
from kdsearch.starts.alignment import align
from kdsearch.starts.fuse import fused_student, sample
from kdsearch.starts.statistics import take_statistics
from kdsearch.students import build_student, describe
from tests.data.made import made_data

DATA = made_data(per_class=20, classes=5)
INPUTS = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RESNET = {"family": "resnet", "blocks": [5, 3], "widths": [4, 6]}
WIDE = {"family": "wide_resnet", "depth": 22, "widen": 1, "base": 4}
MOBILENET = {"family": "mobilenet", "blocks": [4, 3], "widths": [4, 6], "stem": 4}
PLAIN = {**MOBILENET, "expansion": 1}  # depthwise on the stream itself
TEACHERS = [RESNET, WIDE, MOBILENET, PLAIN]
FEWER = [
    (RESNET, {"blocks": [2, 2]}),  # three of four go: two rounds
    (WIDE, {"depth": 16}),
    (MOBILENET, {"blocks": [2, 3]}),
    (PLAIN, {"blocks": [3, 2]}),
]
SIMILARITIES = get_args(FuseStart.model_fields["similarity"].annotation)
MERGES = get_args(FuseStart.model_fields["merge"].annotation)


def config(**values: Any) -> FuseStart:
    return FuseStart(name="fuse", **values)


def trained(section: dict[str, Any], seed: int = 0) -> nn.Module:
    """A teacher that no two blocks or channels of are alike."""
    network = build_student(describe(section, (1, 8, 8), 5), seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.2, 1, generator=random)
                module.bias.normal_(0, 0.3, generator=random)
    take_statistics(network, sample(Batches(DATA, 16)))
    return network.eval()


def materials(
    teacher: dict[str, Any], network: nn.Module | None = None, **change: Any
) -> Materials:
    architectures = (describe(s, (1, 8, 8), 5) for s in ({**teacher, **change}, teacher))
    student, theirs = architectures
    return Materials(student, 1, Batches(DATA, 16), theirs, network or trained(teacher))


def blocks_of(network: nn.Module, stage: int) -> list[nn.Module]:
    return list(network.get_submodule(f"stages.{stage}").children())


def said(network: nn.Module) -> list[torch.Tensor]:
    with torch.no_grad():
        logits, features, pooled, before = network.eval()(INPUTS)
    return [logits, *features, pooled, *before]


def test_every_section_of_a_plan_has_its_row() -> None:
    sections = get_args(Plan.model_fields["start"].annotation)
    assert {get_args(s.model_fields["name"].annotation)[0] for s in sections} == set(STARTS)


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("teacher", TEACHERS)
def test_where_nothing_is_merged_the_student_is_the_teacher(
    teacher: dict[str, Any], merge: str
) -> None:
    wanted = said(trained(teacher))
    student = fused_student(config(merge=merge), materials(teacher))
    assert all(torch.equal(a, b) for a, b in zip(said(student), wanted, strict=True))
    assert all(p.requires_grad for p in student.parameters())


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize(("teacher", "change"), FEWER)
def test_the_student_costs_what_its_architecture_says(
    teacher: dict[str, Any], change: Any, similarity: str
) -> None:
    given = materials(teacher, **change)
    student = fused_student(config(similarity=similarity), given)
    count = sum(p.numel() for p in student.parameters())
    assert count == cost(given.architecture).parameters < cost(given.teacher).parameters
    assert all(t.isfinite().all() for t in said(student))


@pytest.mark.parametrize(("teacher", "change"), FEWER)
def test_all_but_merged_blocks_has_the_weights_of_the_teacher(
    teacher: dict[str, Any], change: Any
) -> None:
    theirs, student = trained(teacher), fused_student(config(), materials(teacher, **change))
    for name in ("stem", "head", "stages.0.0", "stages.1.0"):
        pairs = (dict(n.get_submodule(name).named_parameters()) for n in (student, theirs))
        own, wanted = pairs
        assert own and all(torch.equal(own[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("teacher", TEACHERS)
def test_a_block_merged_with_its_like_stays_what_it_is(teacher: dict[str, Any], merge: str) -> None:
    three = {**teacher, **({"blocks": [3, 3]} if "blocks" in teacher else {})}
    network, architecture = trained(three), describe(three, (1, 8, 8), 5)
    first, second = blocks_of(network, 0)[1:3]
    second.load_state_dict(first.state_dict())
    goal = architecture.without_block(0, 2)
    given = Materials(goal, 1, Batches(DATA, 16), architecture, network)
    wanted = [p.clone() for p in first.parameters()]
    merged = blocks_of(fused_student(config(merge=merge, mix=0.3), given), 0)[1]
    assert all(torch.allclose(a, b) for a, b in zip(merged.parameters(), wanted, strict=True))


def test_a_mix_of_one_keeps_the_first_and_goes_on_learning() -> None:
    kept, frozen = (
        fused_student(config(**how), materials(RESNET, blocks=[2, 3]))
        for how in ({"merge": "mix", "mix": 1.0}, {"merge": "freeze"})
    )
    assert all(torch.equal(a, b) for a, b in zip(said(kept), said(frozen), strict=True))
    assert all(p.requires_grad for p in kept.parameters())
    still = {name for name, p in frozen.named_parameters() if not p.requires_grad}
    assert still == {n for n, _ in frozen.named_parameters() if n.startswith("stages.0.1.")}


def test_statistics_are_those_of_the_sample() -> None:
    batches = Batches(DATA, 16)
    student = fused_student(config(), materials(RESNET, blocks=[3, 3]))
    norm = student.get_submodule("stem.1")
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    with torch.no_grad():
        maps = [student.get_submodule("stem.0")(x) for x in sample(batches)]
    wanted = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    assert torch.allclose(norm.running_mean, wanted, atol=1e-5) and norm.momentum == 0.1


def test_the_sample_is_of_many_images_and_always_the_same() -> None:
    batches = Batches(DATA, 3, augment="crop", seed=4)
    drawn = torch.cat(list(sample(batches)))
    assert len(drawn) == len(DATA.train.labels)  # fewer than a thousand: all of them
    assert torch.equal(drawn, torch.cat(list(sample(Batches(DATA, 16)))))
    many = made_data(per_class=300, classes=5, shape=(1, 2, 2))
    parts = [len(x) for x in sample(Batches(many, 16))]
    assert sum(parts) == 1000 and min(parts) >= 250


def test_the_seed_and_the_global_generator_change_nothing() -> None:
    before = torch.get_rng_state()
    first = said(fused_student(config(), materials(RESNET, blocks=[3, 2])))
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    again = said(fused_student(config(), materials(RESNET, blocks=[3, 2])))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("teacher", [RESNET, WIDE, MOBILENET])
def test_alignment_finds_a_shuffled_block_and_changes_no_function(teacher: dict[str, Any]) -> None:
    first, second = blocks_of(trained(teacher), 1)[1:3]
    other = trained(teacher)
    shuffled = blocks_of(other, 1)[1]
    align(shuffled, second)  # to any other order
    assert any(not torch.equal(a, b) for a, b in pairs(shuffled, first))
    take_statistics(other, sample(Batches(DATA, 16)))
    wanted = said(trained(teacher))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(said(other), wanted, strict=True))
    align(shuffled, first)
    assert all(torch.equal(a, b) for a, b in pairs(shuffled, first))


def pairs(one: nn.Module, other: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(one.parameters(), other.parameters(), strict=True))


def test_channels_of_the_stream_have_one_order_already() -> None:
    first, second = blocks_of(trained(PLAIN), 1)[1:3]
    before = [p.clone() for p in first.parameters()]
    align(first, second)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), before, strict=True))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_blocks_that_are_the_same_are_the_pair(similarity: str) -> None:
    for first, second in itertools.combinations(range(1, 4), 2):
        network = trained({**RESNET, "blocks": [4, 3]})
        blocks = blocks_of(network, 0)
        blocks[second].load_state_dict(blocks[first].state_dict())
        if similarity == "cka":  # what they give is the same where they add next to nothing
            for block in (blocks[j] for j in range(first + 1, second + 1)):
                nn.init.constant_(block.get_submodule("second.1").weight, 1e-3)  # type: ignore[arg-type]
                nn.init.zeros_(block.get_submodule("second.1").bias)  # type: ignore[arg-type]
        teacher = {**RESNET, "blocks": [4, 3]}
        given = materials(teacher, network, blocks=[3, 3])
        kept = [p.clone() for i in range(4) if i != second for p in blocks[i].parameters()]
        student = fused_student(config(similarity=similarity, merge="freeze"), given)
        found = [p for block in blocks_of(student, 0) for p in block.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(found, kept, strict=True))
