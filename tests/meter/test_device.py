"""A device is there or said not to be."""

from __future__ import annotations

import pytest
import torch

from kdsearch.meter.device import device_name, missing, processor


def test_a_cpu_is_always_there_and_has_a_name() -> None:
    assert missing("cpu") is None
    assert processor() and "\n" not in processor()
    assert device_name("cpu", 1) == f"cpu: {processor()}, 1 thread"
    assert device_name("cpu", 4).endswith(", 4 threads")


@pytest.mark.parametrize(
    ("count", "there", "gone"), [(0, [], ["cuda", "cuda:0"]), (2, ["cuda", "cuda:1"], ["cuda:2"])]
)
def test_a_gpu_is_there_if_torch_counts_it(
    monkeypatch: pytest.MonkeyPatch, count: int, there: list[str], gone: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert all(missing(device) is None for device in there)
    assert all("this machine has" in str(missing(device)) for device in gone)
