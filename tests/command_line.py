"""The command line, called in this process."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from kdsearch.cli import main


class Said(NamedTuple):
    """What a command answered."""

    code: object
    out: str
    err: str


class Line:
    """Call it with words; what it answers."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch, self.capture = patch, capture

    def __call__(self, *words: object) -> Said:
        self.patch.setattr(sys, "argv", ["kdsearch", *map(str, words)])
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Said(ended.value.code, *self.capture.readouterr())
