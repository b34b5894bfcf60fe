"""What a training said, ready to be compared."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kdsearch.results.records import EpochReport


def told(reports: list[EpochReport]) -> list[dict[str, Any]]:
    """All of the reports but the wall time."""
    return [{**asdict(report), "seconds": 0.0} for report in reports]
