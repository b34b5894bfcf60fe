"""What holds for every row of LOSSES."""

from __future__ import annotations

import pytest
import torch

from kdsearch.errors import UserError
from kdsearch.losses import LOSSES, DistillationLoss, build_loss
from kdsearch.students.outputs import OutputShapes
from tests.cases import (
    LOSS_CASES,
    STUDENT,
    TEACHER,
    batch,
    context,
    outputs,
    read_by,
)

METHODS = sorted(LOSSES)


def ready(method: str) -> DistillationLoss:
    loss = build_loss(LOSS_CASES[method].term)
    loss.prepare(context())
    return loss


def test_the_table_is_sorted_and_every_row_has_a_case() -> None:
    assert list(LOSSES) == METHODS == sorted(LOSS_CASES)


@pytest.mark.parametrize("method", METHODS)
def test_gradient_reaches_student_and_adapter_and_never_the_teacher(method: str) -> None:
    loss = ready(method)
    student, teacher = outputs(STUDENT, 0, grad=True), outputs(TEACHER, 1, grad=True)
    value = loss(student, teacher, batch())
    assert value.shape == () and value.isfinite()
    value.backward()
    grads = [t.grad for t in read_by(loss.taps, student) if t.grad is not None]
    assert grads and all(g.isfinite().all() and g.abs().sum() > 0 for g in grads)
    assert all(t.grad is None for t in read_by(loss.taps, teacher))
    adapters = list(loss.parameters())
    assert bool(adapters) == LOSS_CASES[method].has_adapter
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapters)


@pytest.mark.parametrize("method", [m for m in METHODS if LOSS_CASES[m].zero_at_equality])
def test_no_loss_where_the_student_is_the_teacher(method: str) -> None:
    loss = build_loss(LOSS_CASES[method].term)
    loss.prepare(context(TEACHER, TEACHER))
    teacher = outputs(TEACHER, 1)
    assert loss(teacher, teacher, batch()).abs() < 1e-7


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_outputs_give_a_float32_loss_near_the_exact_one(
    method: str, autocast: bool
) -> None:
    loss = ready(method)
    student, teacher = outputs(STUDENT, 0), outputs(TEACHER, 1)

    def halved(net):
        features = tuple(f.bfloat16() for f in net.features)
        return net._replace(
            logits=net.logits.bfloat16(), features=features, pooled=net.pooled.bfloat16()
        )

    exact = loss(student, teacher, batch())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(halved(student), halved(teacher), batch())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, exact, rtol=0.05, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_channels_last_changes_nothing(method: str) -> None:
    loss = ready(method)
    student, teacher = outputs(STUDENT, 0), outputs(TEACHER, 1)

    def strided(net):
        features = tuple(f.to(memory_format=torch.channels_last) for f in net.features)
        return net._replace(features=features)

    torch.testing.assert_close(
        loss(strided(student), strided(teacher), batch()), loss(student, teacher, batch())
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("blind", ["student", "teacher"])
def test_what_a_network_does_not_show_is_said_before_training(method: str, blind: str) -> None:
    loss = build_loss(LOSS_CASES[method].term)
    dark = OutputShapes(STUDENT.logits)
    shapes = {"student": STUDENT, "teacher": TEACHER, blind: dark}
    if loss.taps == {"logits"}:
        loss.prepare(context(**shapes))
        return
    with pytest.raises(UserError, match=f"the {blind} does not show"):
        loss.prepare(context(**shapes))


@pytest.mark.parametrize("method", [m for m in METHODS if "logits" in LOSSES[m].taps])
def test_class_by_class_losses_refuse_a_teacher_of_other_classes(method: str) -> None:
    other = TEACHER._replace(logits=torch.Size((4, 7)))
    with pytest.raises(UserError, match="5 classes, the teacher 7"):
        build_loss(LOSS_CASES[method].term).prepare(context(teacher=other))


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_is_plain_enough_to_be_compared_with_its_card(method: str) -> None:
    assert LOSSES[method].taps <= {"logits", "features", "pooled"}
    assert build_loss(LOSS_CASES[method].term).stages() == ()
    assert "Default weight" in (LOSSES[method].__doc__ or "")
    assert "Pitfalls" in (LOSSES[method].__doc__ or "")
