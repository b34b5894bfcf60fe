"""How long until the command line answers? Whole processes, median of five.

Targets: `kdsearch --help` < 0.5 s, `kdsearch front` < 2.5 s, `kdsearch check` < 8 s (torch's import
included).

    python benchmarks/startup.py RESULTS        # the folder of a finished search
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

SPACE = Path(__file__).parent.parent / "search_spaces" / "digits.yaml"


def seconds(words: list[str]) -> float:
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    program = shutil.which("kdsearch") or "kdsearch"
    rows = (
        (["--help"], 0.5),
        (["front", sys.argv[1]], 2.5),
        (["check", str(SPACE)], 8.0),
    )
    missed = False
    for words, target in rows:
        taken = seconds([program, *words])
        missed |= taken > target
        print(f"kdsearch {words[0]:8}{taken:6.2f} s   target < {target} s", flush=True)
    print(f"targets {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
