"""The closed form is torch's own count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdsearch.architecture import Architecture
from kdsearch.cost import Cost, cost
from kdsearch.students import FAMILIES, build_student, describe

from .students.cases import OURS, drawn, tiny
from .students.test_families import edits


def counted(architecture: Architecture) -> Cost:
    """Torch's counters on the meta device; bytes of the float tensors of the state."""
    student = build_student(architecture, device="meta").eval()
    with FlopCounterMode(display=False) as counter:
        student(torch.zeros(1, *architecture.input, device="meta"))
    state = [v for v in student.state_dict().values() if v.dtype == torch.float32]
    return Cost(
        parameters=sum(p.numel() for p in student.parameters()),
        macs=counter.get_total_flops() // 2,
        size_bytes=sum(v.numel() * v.element_size() for v in state),
    )


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("family", OURS)
def test_closed_form_is_torchs_count(family: str, seed: int) -> None:
    architecture = drawn(family, seed)
    assert cost(architecture) == counted(architecture)


@pytest.mark.parametrize("family", OURS)
def test_closed_form_holds_after_every_edit(family: str) -> None:
    for edit in edits(drawn(family, 1)):
        assert cost(edit) == counted(edit)


@pytest.mark.parametrize("family", OURS)
def test_wider_costs_more_and_fewer_blocks_cost_less(family: str) -> None:
    architecture = tiny(family)
    for edit in edits(architecture):
        depths = [sum(len(stage.blocks) for stage in a.stages) for a in (edit, architecture)]
        grew = cost(edit).parameters > cost(architecture).parameters
        assert grew == (depths[0] == depths[1])


@pytest.mark.parametrize(
    ("model", "parameters", "gmacs"),
    [("mobilenet_v2", 3_504_872, 0.301), ("resnet18", 11_689_512, 1.814)],
)
def test_foreign_costs_are_the_published_ones(model: str, parameters: int, gmacs: float) -> None:
    section = {"family": "torchvision", "model": model}
    found = cost(describe(section, (3, 224, 224), 1000))
    assert found.parameters == parameters
    assert round(found.macs / 1e9, 3) == gmacs


def test_known_networks_cost_what_the_literature_says() -> None:
    wrn = {"family": "wide_resnet", "depth": 40, "widen": 2}
    assert cost(describe(wrn, (3, 32, 32), 100)).parameters == 2_255_156


def test_bits_scale_the_size_alone() -> None:
    architecture = tiny("resnet")
    full, half = cost(architecture), cost(architecture, bits=16)
    assert (half.parameters, half.macs) == (full.parameters, full.macs)
    assert half.size_bytes * 2 == full.size_bytes
    assert cost(architecture, bits=1).size_bytes == -(-full.size_bytes // 32)
    with pytest.raises(ValueError, match="bits"):
        cost(architecture, bits=0)


def test_the_head_grows_with_the_classes() -> None:
    section = {"family": "resnet", "blocks": [1], "widths": [4]}
    ten, eleven = (cost(describe(section, (3, 8, 8), k)) for k in (10, 11))
    assert eleven.parameters - ten.parameters == 4 + 1
    assert eleven.macs - ten.macs == 4


def test_only_foreign_families_are_counted_by_running() -> None:
    assert {name for name, family in FAMILIES.items() if family.layers is None} == {"torchvision"}
