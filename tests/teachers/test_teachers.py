from __future__ import annotations

import pytest
import torch

from kdsearch.data.images import Batch
from kdsearch.errors import UserError
from kdsearch.students import Outputs
from kdsearch.teachers import TEACHERS, CachedTeacher, FrozenTeacher, compute_logits
from tests.teachers.networks import Tiny, batches


def test_the_table_is_sorted() -> None:
    assert list(TEACHERS) == sorted(TEACHERS)


def test_a_frozen_teacher_does_not_change() -> None:
    module = Tiny().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    teacher, (batch,) = FrozenTeacher(module), batches(8, 8)
    seen = teacher.outputs(batch)
    teacher.observe(batch, seen, seen)
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


def test_frozen_outputs_carry_no_gradient_and_may_stand_in_a_loss() -> None:
    (batch,) = batches(4, 4)
    seen = FrozenTeacher(Tiny()).outputs(batch)
    assert seen.logits.grad_fn is None and not seen.features[0].requires_grad
    student = torch.zeros_like(seen.logits, requires_grad=True)
    (student * seen.logits).sum().backward()  # an inference tensor would refuse
    assert torch.equal(student.grad, seen.logits)  # type: ignore[arg-type]


def test_frozen_outputs_follow_the_caller_s_precision() -> None:
    (batch,) = batches(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert FrozenTeacher(Tiny()).outputs(batch).logits.dtype == torch.bfloat16


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_cached_logits_are_the_frozen_teacher_s(rows: int) -> None:
    module = Tiny()
    logits = compute_logits(module, batches(10, rows))
    assert logits.shape == (10, 3) and logits.dtype == torch.float32 and not logits.requires_grad
    (whole,) = batches(10, 10)
    three = torch.tensor([7, 0, 3])
    shuffled = Batch(whole.inputs[three], whole.labels[three], whole.index[three])
    cached, frozen = (t.outputs(shuffled) for t in (CachedTeacher(logits), FrozenTeacher(module)))
    torch.testing.assert_close(cached.logits, frozen.logits)
    CachedTeacher(logits).observe(shuffled, frozen, cached)


@pytest.mark.parametrize("part", ["features", "pooled", "preactivations"])
def test_a_loss_that_reads_what_was_not_cached_is_told_which_part(part: str) -> None:
    (batch,) = batches(4, 4)
    seen = CachedTeacher(torch.zeros(4, 3)).outputs(batch)
    assert isinstance(seen, Outputs) and seen.logits.shape == (4, 3)
    with pytest.raises(UserError, match=f"method: a loss reads the teacher's {part} .* `taps`"):
        getattr(seen, part)


def test_batches_in_any_order_give_rows_by_index() -> None:
    module, parts = Tiny(), batches(10, 3)
    torch.testing.assert_close(compute_logits(module, parts[::-1]), compute_logits(module, parts))


@pytest.mark.parametrize("training", [True, False])
def test_computing_logits_leaves_the_network_as_it_was(training: bool) -> None:
    module = Tiny().train(training)
    compute_logits(module, iter(batches(4, 2)))
    assert module.training is training and all(p.requires_grad for p in module.parameters())
    assert module.norm.num_batches_tracked == 0


@pytest.mark.parametrize("slots", [[0, 0, 1], [1, 2]])
def test_a_sample_missing_or_twice_is_refused(slots: list[int]) -> None:
    parts = batches(6, 2)
    with pytest.raises(ValueError, match="once"):
        compute_logits(Tiny(), [parts[i] for i in slots])


def test_a_cache_has_rows_and_classes() -> None:
    with pytest.raises(ValueError, match=r"\(N, K\)"):
        CachedTeacher(torch.zeros(3))
