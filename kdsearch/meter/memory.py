"""How much memory one forward of a student takes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 2**20


def peak_memory_mib(
    student: nn.Module, input: tuple[int, int, int], batch: int, device: torch.device
) -> float:
    """Peak of one forward in MiB: weights, buffers, the images, and the activations alive at once.

    Evaluation mode, no gradients, float32. What a student keeps to show to a loss, as the outputs
    of its stages, counts: it is alive until the forward ends. On a CPU the storages alive are
    counted, which is exact and the same at every call; what a kernel takes for itself is left out.
    On a GPU it is the peak of torch's allocator, with what kernels take meanwhile, without the work
    spaces that libraries keep.

    Parameters
    ----------
    student : nn.Module
        On the device.
    input : tuple of int
        Channels, height, width.
    batch : int
        Samples of one forward.
    """
    student.eval()
    images = torch.zeros(batch, *input, device=device)
    held = [*student.parameters(), *student.buffers(), images]
    # Not inference mode, under which a composite operation hides what it makes on its way.
    with torch.no_grad():
        if device.type == "cuda":
            return _peak_on_gpu(student, images, held) / MIB
        with LiveStorages(held) as live:
            student(images)
        return live.peak / MIB


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of the storages that are alive, as operations make and drop them.

    Parameters
    ----------
    held : iterable of Tensor
        What is there before.

    Attributes
    ----------
    bytes, peak : int
        Alive now, and at most so far.
    """

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._alive: dict[int, weakref.ref[UntypedStorage]] = {}
        for tensor in held:
            self._count(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count what it gives."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:  # a view, or an operation in place
            return

        def drop(_: Any) -> None:
            del self._alive[key]
            self.bytes -= size

        self._alive[key] = weakref.ref(storage, drop)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)


def _peak_on_gpu(student: nn.Module, images: Tensor, held: Iterable[Tensor]) -> int:
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in held}
    own = sum(storage.nbytes() for storage in storages.values())
    with torch.cuda.device(images.device):
        student(images)  # libraries take the work spaces that they keep
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        student(images)
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before + own
