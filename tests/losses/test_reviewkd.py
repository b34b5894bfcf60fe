from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Size

from kdsearch.errors import UserError
from kdsearch.losses.reviewkd import WIDEST, Fusion, ReviewKD, hcl_loss, resized
from kdsearch.students.outputs import Outputs, OutputShapes
from tests.cases import STUDENT, TEACHER, batch, context, outputs
from tests.losses.vectors import VECTORS, check, tensors

DTYPES = [torch.float64, torch.float32]
SIZES = [(1, 1), (2, 2), (3, 3), (4, 8), (7, 7), (8, 8)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_distance_equals_the_reference_with_its_gradient(dtype: torch.dtype) -> None:
    check("F14", "loss", lambda x: hcl_loss(x["s"], x["t"]), dtype, wrt="s")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_fusion_equals_the_reference(dtype: torch.dtype) -> None:
    x, expected = tensors("F14b", dtype), VECTORS["F14b"]["expected"]
    fusion = Fusion(2, 2, 3, deepest=False).to(dtype).eval()
    assert fusion.attention is not None
    weights = {
        "enter.0.weight": x["conv1_w"],
        "leave.0.weight": x["conv2_w"],
        "attention.weight": x["att_w"][:, :, None, None] if x["att_w"].ndim == 2 else x["att_w"],
        "attention.bias": x["att_b"],
    }
    fusion.load_state_dict(weights, strict=False)
    out, residual = fusion(x["x"], x["y"], (2, 2))
    for got, key in ((out, "out"), (residual, "residual")):
        want = torch.tensor(expected[key], dtype=dtype)
        torch.testing.assert_close(got.detach().flatten(), want, rtol=1e-5, atol=1e-6)
        if dtype == torch.float64:
            torch.testing.assert_close(got.detach().flatten(), want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("size", SIZES)
def test_by_hand_a_constant_difference_counts_the_same_at_every_size(size) -> None:
    maps = torch.randn(2, 3, *size)
    assert hcl_loss(maps, maps + 0.5).item() == pytest.approx(0.25)
    assert hcl_loss(maps, maps) == 0


def test_a_single_pixel_has_its_mean_square_alone() -> None:
    student, teacher = torch.randn(2, 4, 3, 1, 1)
    torch.testing.assert_close(hcl_loss(student, teacher), F.mse_loss(student, teacher))


@pytest.mark.parametrize(("size", "target"), list(itertools.product(SIZES, SIZES)))
def test_maps_grow_by_repetition_and_shrink_by_averaging(size, target) -> None:
    maps = torch.randn(2, 3, *size)
    assert resized(maps, target).shape[2:] == target
    torch.testing.assert_close(resized(torch.ones_like(maps), target), torch.ones(2, 3, *target))
    if all(t % s == 0 for s, t in zip(size, target, strict=True)):
        back = F.avg_pool2d(
            resized(maps, target), [t // s for s, t in zip(size, target, strict=True)]
        )
        torch.testing.assert_close(back, maps)


MAPS = [Size((4, 6)), Size((4, 5, 4, 4)), Size((4, 3, 7, 9))]


@pytest.mark.parametrize(
    ("fine", "coarse", "target"), list(itertools.product(MAPS, MAPS, [*MAPS, Size((4, 2, 8, 8))]))
)
def test_any_sizes_of_stages(fine: Size, coarse: Size, target: Size) -> None:
    student = OutputShapes(STUDENT.logits, (fine, coarse), coarse[:2])
    teacher = OutputShapes(STUDENT.logits, (target, target), target[:2])
    loss = ReviewKD()
    loss.prepare(context(student, teacher))
    said, told = outputs(student, 0, grad=True), outputs(teacher, 1)
    loss(said, told, batch()).backward()
    assert said.pooled is not None
    assert all(t.grad is not None for t in (said.pooled, *said.features))


def test_deep_stages_help_with_finer_ones_and_not_the_other_way_round() -> None:
    loss = ReviewKD()
    loss.prepare(context())
    student = outputs(STUDENT, 0, grad=True)
    read = [student.pooled, *student.features[::-1]]
    deeper = None
    for depth, fusion in enumerate(loss.fusions):
        source = read[depth]
        assert source is not None
        said, deeper = fusion(source.reshape(Size([*source.shape, 1, 1][:4])), deeper, (4, 4))
        grads = torch.autograd.grad(said.square().sum(), read, retain_graph=True, allow_unused=True)
        assert [g is not None for g in grads] == [i <= depth for i in range(3)]


def prepared(teacher: OutputShapes) -> ReviewKD:
    """The same weights, whatever the teacher shows."""
    torch.manual_seed(0)
    loss = ReviewKD()
    loss.prepare(context(teacher=teacher))
    return loss


def test_the_teacher_is_read_before_its_relu_where_it_shows_that() -> None:
    loss, without = prepared(TEACHER), prepared(TEACHER._replace(preactivations=()))
    student, teacher = outputs(STUDENT, 0), outputs(TEACHER, 1)
    value = loss(student, teacher, batch())
    other = outputs(TEACHER, 2)
    assert loss(student, teacher._replace(features=other.features), batch()) == value
    before = teacher._replace(preactivations=other.preactivations)
    assert loss(student, before, batch()) != value
    foreign = before._replace(features=teacher.preactivations, preactivations=())
    assert without(student, foreign, batch()) == value
    assert "preactivations" in loss.taps - without.taps


def test_as_wide_inside_as_the_pooled_vector_up_to_a_bound() -> None:
    for width in (3, WIDEST, WIDEST + 1):
        loss = ReviewKD()
        loss.prepare(context(STUDENT._replace(pooled=Size((4, width)))))
        assert [f.enter[0].out_channels for f in loss.fusions] == [min(width, WIDEST)] * 3
        assert [f.attention is None for f in loss.fusions] == [True, False, False]


def test_batch_norm_needs_two_samples() -> None:
    with pytest.raises(UserError, match="batch_size: must be at least 2"):
        ReviewKD().prepare(replace(context(), batch_size=1))


def test_an_unprepared_loss_says_so() -> None:
    with pytest.raises(ValueError, match="prepare"):
        ReviewKD()(Outputs(torch.zeros(1, 2)), Outputs(torch.zeros(1, 2)), batch())
