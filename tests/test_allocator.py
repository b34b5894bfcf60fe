"""What is freed and asked for again costs no page; measured in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
from kdsearch.allocator import keep_freed_memory

print(keep_freed_memory() if sys.argv[1] == "keep" else None)

def step():
    [b"x" * 20_000_000 for _ in range(5)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step()
before = faults()
for _ in range(4):
    step()
print(faults() - before)
"""


def run(word: str, **environment: str) -> tuple[str, int]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    command = [sys.executable, "-c", CODE, word]
    done = subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, check=True
    )
    said, faults = done.stdout.split()
    return said, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again() -> None:
    said, faults = run("keep")
    assert said == "True" and faults < run("leave")[1] / 10


def test_what_a_user_has_set_is_left_alone() -> None:
    assert run("keep", MALLOC_ARENA_MAX="2")[0] == "False"
