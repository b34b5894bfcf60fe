"""Sets that do not fit into memory: files of decoded images against decoding them on demand.

Photos are made, JPEG of 480 x 360 as ImageNet's are in the mean, and read as `image_folder` at
64 x 64. An epoch of the training split under crop_flip, batch 128: from memory; from the files of
`data.stream: true`; and as torch's DataLoader does it, which decodes every image anew in every
epoch of every trial. Processor milliseconds for 1,000 images, all threads; medians of rounds in
which the three take turns. Batches of the first two are equal to the last bit, which is checked
here too.

Target: an epoch from files takes at most a tenth of one that decodes on demand.

    python benchmarks/streaming.py [--images 1200] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kdsearch.config import DataConfig
from kdsearch.data import Batches, image_folder, load_data
from kdsearch.data.augment import AUGMENTATIONS
from kdsearch.data.holding import Part, parts_of
from kdsearch.data.reading import in_order

TARGET = 0.1
CLASSES, BATCH, AUGMENT = 4, 128, "crop_flip"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KDSEARCH_CACHE"] = folder
        make_photos(Path(folder) / "photos", args.images)
        return measure(Path(folder) / "photos", args.rounds)


def measure(root: Path, rounds: int) -> int:
    """Print the table; 1 where the target is missed."""

    def config(stream: bool) -> DataConfig:
        return DataConfig(
            name="image_folder", root=str(root), size=64, stream=stream, batch_size=BATCH
        )

    memory = Batches(load_data(config(False)), BATCH, AUGMENT)
    began = used()
    streamed = load_data(config(True))
    images = sum(len(s.labels) for s in (streamed.train, streamed.validation, streamed.test))
    once = 1e6 * (used() - began) / images
    began = used()
    assert load_data(config(True)).id == streamed.id
    again = 1e6 * (used() - began) / images
    files = Batches(streamed, BATCH, AUGMENT)
    for one, other in zip(memory.epoch(1), files.epoch(1), strict=True):
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.index, other.index)
    train = parts_of(config(False), image_folder.read(config(False), root))["train"]
    ways = {
        "memory": lambda n: (b.inputs for b in memory.epoch(n)),
        "files": lambda n: (b.inputs for b in files.epoch(n)),
        "on demand": lambda n: on_demand(train, memory, n),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = used()
            seen = sum(len(inputs) for inputs in way(number))
            if number:  # the first warms up
                found[name].append(1e6 * (used() - began) / seen)
    print(f"{'an epoch':14}{'ms of processor for 1,000 images':>34}")
    for name, times in found.items():
        print(f"{name:14}{statistics.median(times):34.1f}")
    print(f"{'decoded once':14}{once:34.1f}\n{'found again':14}{again:34.1f}")
    ratio = statistics.median(
        one / other for one, other in zip(found["files"], found["on demand"], strict=True)
    )
    missed = ratio > TARGET
    print(f"files / on demand: {ratio:.3f}; target {TARGET}: {'missed' if missed else 'met'}")
    return int(missed)


def on_demand(train: Part, batches: Batches, number: int) -> Iterator[Tensor]:
    """An epoch whose images are decoded when their batch comes, by one process."""
    order = np.random.RandomState(number).permutation(len(train.rows))
    index = torch.from_numpy(order)
    waiting: list[Tensor] = []
    for some in in_order(train.items, train.rows[order], processes=0):
        waiting.append(some)
        if sum(map(len, waiting)) >= BATCH:
            pixels, index_of = torch.cat(waiting), index[: sum(map(len, waiting))]
            index, waiting = index[len(pixels) :], []
            yield batches.normalise(AUGMENTATIONS[AUGMENT](pixels, index_of, 0, number))
    if waiting:
        pixels = torch.cat(waiting)
        yield batches.normalise(AUGMENTATIONS[AUGMENT](pixels, index, 0, number))


def used() -> float:
    """Processor seconds of this process and of those that it has ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def make_photos(root: Path, images: int) -> None:
    """Smooth noise, as JPEG."""
    random = np.random.RandomState(0)
    for label in range(CLASSES):
        (root / str(label)).mkdir(parents=True)
        for i in range(images // CLASSES):
            few = Image.fromarray(random.randint(0, 256, (36, 48, 3), dtype=np.uint8))
            photo = few.resize((480, 360), Image.Resampling.BICUBIC)
            photo.save(root / str(label) / f"{i:05}.jpg", quality=85)


if __name__ == "__main__":
    sys.exit(main())
