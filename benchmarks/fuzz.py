"""Files from a stranger: does any of them end in anything but one line?

Good files of every kind that kdsearch reads are damaged in every way that `tests/hostile.py` knows:
cut short, bits turned, pieces lost or doubled, values of other kinds and sizes, a newer schema,
code and paths in the place of names. The sums of a log are made right again, so that its values are
read too. Each is then loaded by what a command would load it with. What counts is a `UserError` of
one line, or a result; anything else is a traceback. A module that the files name stands where
Python would find it, and must not have been imported at the end.

    python benchmarks/fuzz.py [--inputs 100000] [--seed 0]

Target: at least 100,000 inputs, 0 tracebacks, no module imported.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the mutations, which the tests share

from hostile_files import TARGETS  # noqa: E402

from kdsearch.errors import UserError  # noqa: E402

LEAST = 100_000
SHOWN = 20  # tracebacks, each kind once


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=LEAST)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(TARGETS), help="one kind of file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds = [args.only] if args.only else sorted(TARGETS)
    whole = sum(TARGETS[kind].share for kind in kinds)
    tried: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    faults: dict[str, str] = {}
    bad: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as room:
        sys.path.insert(0, room)
        (Path(room) / "evil.py").write_text("make = load = Loss = dict\n")
        print(f"{'file':16}{'inputs':>10}{'refused':>10}{'tracebacks':>12}{'seconds':>10}")
        for kind in kinds:
            began = time.perf_counter()
            target = TARGETS[kind].made(Path(room) / kind.replace(" ", "-"))
            chance = random.Random(f"{args.seed}:{kind}")
            for _ in range(math.ceil(args.inputs * TARGETS[kind].share / whole)):
                tried[kind] += 1
                try:
                    target(chance)
                except UserError as error:
                    refused[kind] += 1
                    if len(str(error).splitlines()) > 1:
                        bad[kind] += 1
                        faults.setdefault(f"{kind}: more than one line", repr(str(error)))
                except Exception as error:  # what is looked for
                    bad[kind] += 1
                    last = traceback.extract_tb(error.__traceback__)[-1]
                    place = f"{kind}: {type(error).__name__} in {last.name}:{last.lineno}"
                    faults.setdefault(place, traceback.format_exc())
            seconds = time.perf_counter() - began
            row = f"{tried[kind]:>10,}{refused[kind]:>10,}{bad[kind]:>12,}{seconds:>10.1f}"
            print(f"{kind:16}{row}", flush=True)
    for place, told in list(faults.items())[:SHOWN]:
        print(f"\n{place}\n{told}")
    ran = "evil" in sys.modules
    inputs, wrong = tried.total(), bad.total()
    met = wrong == 0 and not ran and (inputs >= LEAST or args.inputs < LEAST or bool(args.only))
    print(f"{inputs:,} inputs, {wrong:,} tracebacks, code {'RAN' if ran else 'never ran'}; "
          f"target: 0, never: {'met' if met else 'missed'}")  # fmt: skip
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
