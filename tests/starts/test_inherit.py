"""Inherited students: the teacher where nothing is edited, its own channels where something is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kdsearch.architecture import Architecture
from kdsearch.config import InheritStart
from kdsearch.data import Batches
from kdsearch.data.images import Batch
from kdsearch.edits import edit, groups, units
from kdsearch.errors import UserError
from kdsearch.starts import Materials
from kdsearch.starts.channels import parts
from kdsearch.starts.inherit import check_inheritable, inherited_student, recalibrating
from kdsearch.starts.statistics import take_statistics
from kdsearch.students import build_student, describe
from kdsearch.students.network import Network
from tests.data.made import made_data
from tests.searches import fault, tree
from tests.students.cases import OURS, drawn

DATA = made_data(per_class=20, classes=5)
SHAPE = (1, 8, 8)
RESNET = {"family": "resnet", "blocks": [3, 2], "widths": [6, 8]}
WIDE = {"family": "wide_resnet", "depth": 16, "widen": 2, "base": 4}
MOBILENET = {"family": "mobilenet", "blocks": [3, 2], "widths": [4, 6], "stem": 4}
PLAIN = {**MOBILENET, "expansion": 1}
CONVNET = {"family": "convnet", "widths": [6, 8], "convs": [3, 2]}
MLP = {"family": "mlp", "widths": [8, 8, 6]}
RESIDUAL = [RESNET, WIDE, MOBILENET, PLAIN]
ALL = [*RESIDUAL, CONVNET, MLP]


def made(section: dict[str, Any]) -> Architecture:
    return describe(section, SHAPE, 5)


def trained(architecture: Architecture, seed: int = 0) -> Network:
    """A teacher that no two channels of are alike."""
    network = build_student(architecture, seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(0.2, 1, generator=random)
                module.bias.normal_(0, 0.3, generator=random)
    images = torch.randn(64, *architecture.input, generator=random)
    take_statistics(network, iter([images]))
    assert isinstance(network, Network)
    return network.eval()


def begun(
    teacher: Architecture,
    network: nn.Module,
    keep: list[int] | None = None,
    ratio: list[float] | None = None,
    **how: Any,
) -> nn.Module:
    section = {"family": "edited", **({} if keep is None else {"keep": keep})}
    student = edit(teacher, keep, ratio)
    given = Materials(student, 1, Batches(DATA, 16), teacher, network, section)
    return inherited_student(InheritStart(name="inherit", **how), given).eval()


def said(network: nn.Module, shape: tuple[int, ...] = SHAPE) -> list[torch.Tensor]:
    inputs = torch.randn(6, *shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits, features, pooled, _ = network.eval()(inputs)
    return [logits, *features, pooled]


def close(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("importance", ["l1", "bn"])
@pytest.mark.parametrize("section", ALL)
def test_where_nothing_is_edited_the_student_is_the_teacher(
    section: dict[str, Any], importance: str
) -> None:
    teacher = made(section)
    ones = [1.0] * len(groups(teacher))
    student = begun(teacher, trained(teacher), None, ones, importance=importance)
    wanted = said(trained(teacher))
    assert all(torch.equal(a, b) for a, b in zip(said(student), wanted, strict=True))


@pytest.mark.parametrize("section", RESIDUAL)
def test_without_a_branch_that_is_zero_nothing_changes(section: dict[str, Any]) -> None:
    teacher = made(section)
    for number, unit in enumerate(units(teacher)):
        network = trained(teacher)
        block = list(network.stages[unit.stage].children())[unit.block]
        last = [m for m in block.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)][-1]
        nn.init.zeros_(last.weight)  # of wide networks a convolution, of others its norm
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        wanted = said(network)
        keep = [int(i != number) for i in range(len(units(teacher)))]
        assert close(said(begun(teacher, network, keep, recalibrate=0)), wanted)


@pytest.mark.parametrize("section", ALL)
def test_channels_that_are_dead_are_the_ones_to_go_and_nothing_changes(
    section: dict[str, Any],
) -> None:
    """Of every group half the channels say nothing: those are the half that is cut."""
    teacher, tried = made(section), 0
    for number, group in enumerate(groups(teacher)):
        alone = [0.5 if i == number else 1.0 for i in range(len(groups(teacher)))]
        if _vanishes(teacher, edit(teacher, None, alone)):
            continue
        tried += 1
        for importance in ("l1", "bn"):
            network = trained(teacher)
            _kill(network, teacher, number, keep=round(group.width / 2))
            student = begun(teacher, network, None, alone, importance=importance, recalibrate=0)
            assert torch.allclose(said(student)[0], said(network)[0], atol=1e-5), group
    assert tried >= 2


def _vanishes(teacher: Architecture, small: Architecture) -> bool:
    """Whether two neighbouring widths become equal, so that a whole layer goes or comes."""
    counts = [
        len([m for m in build_student(a, 0).modules() if isinstance(m, nn.Conv2d)])
        for a in (teacher, small)
    ]
    return counts[0] != counts[1] or len(groups(teacher)) != len(groups(small))


def _kill(network: Network, teacher: Architecture, number: int, keep: int) -> None:
    """Let all but the last channels of a group be zero, wherever they are written or normed."""
    spots = {(s, b) for s, stage in enumerate(teacher.stages) for b in range(len(stage.blocks))}
    with torch.no_grad():
        for part in parts(network, teacher, spots).values():
            for tensor in part.module.parameters() if part.writes == number else ():
                tensor[:-keep] = 0


@given(st.sampled_from(OURS), st.integers(0, 500), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_any_edit_of_any_network_is_cut_alike_everywhere(family: str, net: int, seed: int) -> None:
    teacher, random = drawn(family, net), torch.Generator().manual_seed(seed)
    keep = torch.randint(0, 2, (len(units(teacher)),), generator=random).tolist()
    ratio = (torch.rand(len(groups(teacher)), generator=random) * 0.9 + 0.1).tolist()
    network = trained(teacher)
    student = begun(teacher, network, keep, ratio, recalibrate=0)
    assert all(t.isfinite().all() for t in said(student, teacher.input))
    pool = [t.flatten() for t in network.state_dict().values() if t.ndim > 1]
    values = torch.cat(pool).unique()
    for name, tensor in student.state_dict().items():
        if tensor.ndim > 1:  # nothing is new
            assert torch.isin(tensor, values).all(), name


def test_the_most_important_channels_stay_in_their_order() -> None:
    teacher = made({"family": "mlp", "widths": [4]})
    network = trained(teacher)
    layer, norm = network.stages[0].children()
    with torch.no_grad():
        for row, size in enumerate((3.0, 1.0, 4.0, 2.0)):
            layer.weight[row] = size * torch.ones(64)  # pyright: ignore
            norm.weight[row] = 5 - size  # pyright: ignore
    for importance, rows in (("l1", [0, 2]), ("bn", [1, 3])):
        student = begun(teacher, network, None, [0.5], importance=importance)
        found = student.get_submodule("stages.0.0").weight
        assert torch.equal(found, layer.weight[rows])  # pyright: ignore
        assert torch.equal(student.get_submodule("head").weight, network.head.weight[:, rows])  # pyright: ignore


def test_the_blocks_of_the_keep_list_stay_and_else_the_earlier_ones() -> None:
    teacher = made(RESNET)
    network = trained(teacher)
    for keep, stays in (([1, 0, 1], 0), ([0, 1, 1], 1)):
        student = begun(teacher, network, keep, recalibrate=0)
        own = student.get_submodule("stages.0.0").state_dict()
        theirs = network.get_submodule(f"stages.0.{stays}").state_dict()
        assert all(torch.equal(own[name], theirs[name]) for name in own)
    plain = {**RESNET, "blocks": [2, 2]}
    given = Materials(made(plain), 1, Batches(DATA, 16), teacher, network, plain)
    student = inherited_student(InheritStart(name="inherit", recalibrate=0), given)
    own = student.get_submodule("stages.0.0").state_dict()
    theirs = network.get_submodule("stages.0.0").state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_norms_are_recalibrated_on_so_many_batches_and_the_seed_decides() -> None:
    teacher = made(RESNET)
    network, ratio = trained(teacher), [0.5] * 7
    before = torch.get_rng_state()
    one, again, more, none = (
        begun(teacher, network, None, ratio, recalibrate=n) for n in (3, 3, 9, 0)
    )
    assert torch.equal(before, torch.get_rng_state())
    means = [n.get_submodule("stem.1").running_mean for n in (one, again, more, none)]
    assert torch.equal(means[0], means[1])  # pyright: ignore
    assert not torch.equal(means[0], means[2]) and not torch.equal(means[0], means[3])  # pyright: ignore
    batches = [b.inputs for _, b in zip(range(3), Batches(DATA, 16).epoch(0), strict=False)]
    maps = [one.get_submodule("stem.0")(x) for x in batches]
    wanted = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    assert torch.allclose(means[0], wanted, atol=1e-5)  # pyright: ignore


def test_of_an_epoch_no_batch_is_made_that_is_not_read() -> None:
    made: list[int] = []

    class Counted(Batches):
        def epoch(self, number: int, *given: Any, **named: Any) -> Iterator[Batch]:
            for batch in super().epoch(number, *given, **named):
                made.append(number)
                yield batch

    whole = len(list(Batches(DATA, 16).epoch(0)))
    for count in (1, 3, whole + 2):
        made.clear()
        assert len(list(recalibrating(Counted(DATA, 16), count))) == count
        assert made == ([0] * whole + [1] * 2)[:count]


@pytest.mark.parametrize(
    ("student", "place"),
    [
        ({**RESNET, "widths": [6, 9]}, "student"),
        ({**RESNET, "blocks": [3, 3]}, "student"),
        ({**RESNET, "stem": 4}, "student"),  # without the stream that it adds to
        ({**RESNET, "blocks": [3], "widths": [6]}, "student"),
        (CONVNET, "student.family"),
    ],
)
def test_a_student_that_is_no_edit_is_a_fault(student: dict[str, Any], place: str) -> None:
    with pytest.raises(UserError, match="or start from scratch") as caught:
        check_inheritable(made(student), made(RESNET))
    assert caught.value.place == place


def test_faults_are_told_before_a_worker_starts() -> None:
    start, teacher = {"name": "inherit"}, {"architecture": RESNET, "epochs": 1}
    line = fault(tree(teacher=teacher, student={**RESNET, "widths": [6, 9]}, start=start))
    assert line.startswith("student: no edit of the teacher")
    foreign = {"architecture": {"family": "torchvision", "model": "resnet50"}, "epochs": 1}
    line = fault(tree(teacher=foreign, student=RESNET, start=start))
    assert line.startswith("teacher.architecture.model: resnet50 cannot be edited")
    alone = tree(teacher="none", student=RESNET, start=start, losses=[], training__label_weight=1)
    assert fault(alone).startswith("start.name: inherit begins with a teacher")
    line = fault(tree(start={"name": "inherit", "importance": "l2"}))
    assert line.startswith("start.importance: got 'l2': input should be 'l1' or 'bn'")
    assert fault(tree(start={"name": "inherit", "recalibrate": -1})).startswith("start.recalibrate")
