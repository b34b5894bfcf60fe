"""An edit of a built student with phases of its own and its own way out."""

from __future__ import annotations

from typing import Protocol

from torch import nn


class StudentTransform(Protocol):
    """Extra exits, branches, fake quantisation, variational weights: what changes a student itself.

    A law for all of them: in eval mode `export` gives what the built student gave.
    """

    def build(self, student: nn.Module) -> nn.Module:
        """The student as it is trained; still ``forward(inputs) -> Outputs``."""
        ...

    def phases(self) -> tuple[str, ...]:
        """Names of the transform's own phases of training, in order, such as ``freeze``."""
        ...

    def export(self, student: nn.Module) -> nn.Module:
        """The student as it is shipped, without what only its training needed."""
        ...


class Identity:
    """No edit."""

    def build(self, student: nn.Module) -> nn.Module:
        """The student itself."""
        return student

    def phases(self) -> tuple[str, ...]:
        """None."""
        return ()

    def export(self, student: nn.Module) -> nn.Module:
        """The student itself."""
        return student
