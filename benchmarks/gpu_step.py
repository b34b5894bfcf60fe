"""Milliseconds of a step on a GPU: the student alone, its teacher in the loop, or from the store.

resnet32x4 -> resnet8x4 and resnet56 -> resnet20 on images of CIFAR's shape that stay on the device,
batches of 64 and 512, kd; under bfloat16 and channels_last, without either, with torch.compile (its
first step apart) and as a CUDA graph. Medians; peak memory of the allocator.

Target: from the store 1.15 times the student alone, in the same variant (bfloat16, channels_last).
Without a GPU nothing is measured and the exit code is 2; `--smoke` runs all of it on tiny networks
in seconds, wherever it is, and says nothing of speed.

    python benchmarks/gpu_step.py [--steps 100] [--smoke]
"""

from __future__ import annotations

import argparse
import statistics
import sys

import torch
from gpu_pairs import PAIRS, SMOKE, Images, Variant, clock, graphed, make_step, network

from kdsearch.architecture import Architecture

TARGET, WARM = 1.15, 10
MODES = ("alone", "live", "store")
KEPT = "bf16 channels_last"  # what a search does on a GPU
VARIANTS = (
    Variant(KEPT),
    Variant("bf16", channels_last=False),
    Variant("float32", amp=False),
    Variant("compiled", compiled=True),
    Variant("graph", graph=True),
)


def measure(
    pair: tuple[Architecture, Architecture],
    mode: str,
    variant: Variant,
    images: Images,
    steps: int,
    smoke: bool,
) -> tuple[float, float, float]:
    """Milliseconds a step, seconds of the first one, and MiB at the peak."""
    device = images.pixels.device.type
    torch._dynamo.reset()  # or a row would read what an earlier one has compiled
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    teacher = network(pair[0], device).eval() if mode == "live" else None
    step = make_step(network(pair[1], device).train(), teacher, mode, variant, smoke)
    batches = images.batches()
    began = clock(device)
    if variant.graph and device == "cuda":
        step = graphed(step, next(batches))
    step(*next(batches))
    first = clock(device) - began
    times: list[float] = []
    for number in range(WARM + steps):
        batch = next(batches)
        began = clock(device)
        step(*batch)
        if number >= WARM:
            times.append(1000 * (clock(device) - began))
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0
    return statistics.median(times), first, peak


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.smoke:
        print("no GPU here: milliseconds a step, compile, graphs and memory on one are unmeasured")
        return 2
    torch.backends.cudnn.benchmark = False  # as in a search, which is to be exact
    pairs, sizes = (SMOKE, (8,)) if args.smoke else (PAIRS, (64, 512))
    steps = 2 if args.smoke else args.steps
    missed = False
    columns = f"{'batch':>6}{'ms':>9}{'over alone':>12}{'first, s':>10}{'MiB':>8}"
    print(f"{'pair':26}{'variant':20}{'teacher':8}{columns}")
    for name, pair in pairs.items():
        for size in sizes:
            images = Images.made(size, device, args.smoke)
            for variant in VARIANTS:
                alone = 0.0
                for mode in MODES:
                    ms, first, peak = measure(pair, mode, variant, images, steps, args.smoke)
                    alone = alone or ms
                    missed |= (mode, variant.name) == ("store", KEPT) and ms > TARGET * alone
                    print(f"{name:26}{variant.name:20}{mode:8}{size:6}{ms:9.3f}{ms / alone:12.2f}"
                          f"{first:10.2f}{peak:8.0f}", flush=True)  # fmt: skip
    if args.smoke:
        print(f"smoke on {device}: every variant ran; nothing is said of speed")
        return 0
    print(f"{torch.cuda.get_device_name()}; target: from the store {TARGET} x alone under {KEPT}: "
          f"{'missed' if missed else 'met'}")  # fmt: skip
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
