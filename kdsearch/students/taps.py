"""Reading inside a network that was not written to be read: forward hooks, for one forward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from torch import Tensor, nn


class Tap(NamedTuple):
    """One call of one module: modules such as a shared ReLU are called several times a forward."""

    module: str
    call: int


class Recorder:
    """Keeps what modules give (or get) while the block runs, call by call.

    The hooks live for one forward, so that copies and pickles of the network carry none.

    Parameters
    ----------
    modules : mapping of str to nn.Module
    inputs : bool
        Keep each call's first argument instead of its result.
    cloned : collection of Tap
        Calls whose tensor is changed in place later on; they are kept as clones.

    Attributes
    ----------
    seen : dict of Tap to Tensor
        In the order of the calls.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        inputs: bool = False,
        cloned: Collection[Tap] = (),
    ) -> None:
        self.seen: dict[Tap, Tensor] = {}
        self._modules = modules
        self._inputs = inputs
        self._cloned = cloned
        self._calls: Counter[str] = Counter()
        self._versions: dict[Tap, int] = {}

    def __enter__(self) -> Recorder:
        self._handles = [self._watch(name, module) for name, module in self._modules.items()]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def overwritten(self) -> frozenset[Tap]:
        """The calls whose tensor was changed in place after it was seen."""
        versions = self._versions.items()
        return frozenset(tap for tap, version in versions if self.seen[tap]._version != version)

    def _watch(self, name: str, module: nn.Module) -> Any:
        def before(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            self._keep(name, arguments[0] if arguments else None)

        def after(_: nn.Module, __: tuple[Any, ...], result: Any) -> None:
            self._keep(name, result)

        if self._inputs:
            return module.register_forward_pre_hook(before)
        return module.register_forward_hook(after)

    def _keep(self, name: str, value: Any) -> None:
        tap = Tap(name, self._calls[name])
        self._calls[name] += 1
        if isinstance(value, Tensor):
            self.seen[tap] = value.clone() if tap in self._cloned else value
            if not value.is_inference():  # such tensors count no changes
                self._versions[tap] = value._version
