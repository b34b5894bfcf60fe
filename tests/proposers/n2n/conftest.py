"""The edits that these tests foresee, in the place of the package's."""

from __future__ import annotations

import sys

import pytest

from tests.proposers.n2n.made import EDITS


@pytest.fixture(autouse=True)
def edits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kdsearch.edits", EDITS)  # type: ignore[arg-type]
