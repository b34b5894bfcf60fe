"""A search on a file system of its own that is full at one moment or another, and then is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
SMALL = 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"'
ROOMY, ROOMS = 3_000_000, [0, 20_000, 40_000, 100_000, 180_000, 240_000]  # bytes


@pytest.fixture
def small_disk(tmp_path: Path) -> list[str]:
    """How to run a program that sees `tmp_path` as a file system of 4 MiB."""
    try:
        subprocess.run([*MOUNT, SMALL, str(tmp_path), "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    return [*MOUNT, SMALL, str(tmp_path)]


def test_a_full_disk_stops_a_search_with_one_line_and_room_lets_it_go_on(
    small_disk: list[str], tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "tests.tune.filling", str(tmp_path)]
    rooms = [str(room) for room in (ROOMY, *ROOMS)]
    out = subprocess.run(
        [*small_disk, *program, *rooms], check=True, stdout=subprocess.PIPE, timeout=150
    ).stdout
    whole, *stopped = json.loads(out)
    assert whole["line"] is None and len(whole["end"]) == whole["rows"] == 12
    for one in stopped:
        assert "cannot be written" in one["line"] and "\n" not in one["line"]
        assert one["parts"] == []
        assert one["end"] == whole["end"] and one["again"] == 0
        assert one["students"] == one["front"]
    assert len({one["line"] for one in stopped}) > 2  # it was not always the same file
    assert max(one["epochs"] for one in stopped) > 0
