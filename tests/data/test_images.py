import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdsearch.data.images import ImageData, Split
from tests.data.made import made_data

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data() -> ImageData:
    return made_data()


def buffers_of(data: ImageData) -> tuple[bytes, list[pickle.PickleBuffer]]:
    buffers: list[pickle.PickleBuffer] = []
    return pickle.dumps(data, protocol=5, buffer_callback=buffers.append), buffers


def test_pixels_and_labels_leave_the_stream_without_a_copy(data: ImageData) -> None:
    stream, buffers = buffers_of(data)
    tensors = [t for name in SPLITS for t in getattr(data, name)]
    assert len(stream) < 2000
    assert sum(b.raw().nbytes for b in buffers) == sum(t.numel() * t.itemsize for t in tensors)
    for buffer, tensor in zip(buffers, tensors, strict=True):
        assert np.shares_memory(np.frombuffer(buffer.raw(), np.uint8), tensor.numpy())


def test_loaded_arrays_are_the_stored_buffers(data: ImageData) -> None:
    stream, buffers = buffers_of(data)
    stored = [bytes(b.raw()) for b in buffers]  # read-only, as an object store's memory is
    loaded = pickle.loads(stream, buffers=stored)
    assert loaded.id == data.id
    tensors = [t for name in SPLITS for t in getattr(loaded, name)]
    for tensor, buffer in zip(tensors, stored, strict=True):
        assert np.shares_memory(tensor.numpy(), np.frombuffer(buffer, np.uint8))


def test_everything_survives_the_way(data: ImageData) -> None:
    loaded = pickle.loads(pickle.dumps(data))
    for name in SPLITS:
        for ours, theirs in zip(getattr(data, name), getattr(loaded, name), strict=True):
            assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
    for name in ("name", "classes", "mean", "std", "shape"):
        assert getattr(loaded, name) == getattr(data, name)


def test_id_is_the_content(data: ImageData) -> None:
    assert made_data().id == data.id
    pixels = data.validation.images.clone()
    pixels[0, 0, 0, 0] ^= 1
    assert replace(data, validation=Split(pixels, data.validation.labels)).id != data.id
    labels = data.test.labels.flip(0)
    assert replace(data, test=Split(data.test.images, labels)).id != data.id
