"""Random student sections of every family of ours, with the input and classes they are for."""

import random
from collections.abc import Callable
from typing import Any

from kdsearch.architecture import Architecture
from kdsearch.students import describe

OURS = ("convnet", "mlp", "mobilenet", "resnet", "wide_resnet")
TINY: dict[str, dict[str, Any]] = {
    "convnet": {"family": "convnet", "widths": [4, 6]},
    "mlp": {"family": "mlp", "widths": [8, 6]},
    "mobilenet": {"family": "mobilenet", "blocks": [1, 2], "widths": [4, 6], "stem": 4},
    "resnet": {"family": "resnet", "blocks": [1, 2], "widths": [4, 6]},
    "wide_resnet": {"family": "wide_resnet", "depth": 10, "widen": 1, "base": 4},
}


def tiny(family: str, input: tuple[int, int, int] = (3, 8, 8), classes: int = 5) -> Architecture:
    return describe(TINY[family], input, classes)


def drawn(family: str, seed: int) -> Architecture:
    rng = random.Random(f"{family}{seed}")
    input = (rng.choice((1, 3)), rng.randint(8, 21), rng.randint(8, 21))
    section = {"family": family, **SECTIONS[family](rng)}
    return describe(section, input, rng.randint(2, 12))


def _widths(rng: random.Random, count: int) -> list[int]:
    return [rng.randint(1, 12) for _ in range(count)]


def _convnet(rng: random.Random) -> dict[str, Any]:
    depth = rng.randint(1, 4)
    convs = rng.choice((2, [rng.randint(1, 3) for _ in range(depth)]))
    kernel = rng.choice((1, 3, 5))
    section = {"widths": _widths(rng, depth), "convs": convs, "kernel": kernel, "depth": depth}
    if depth < 4 and rng.random() < 0.5:  # the map of deeper ones is a pixel
        section |= {"hidden": _widths(rng, rng.randint(1, 3)), "dropout": rng.choice((0, 0.5))}
    return {**section, "norm": rng.random() < 0.7}


def _mlp(rng: random.Random) -> dict[str, Any]:
    return {"widths": _widths(rng, rng.randint(1, 4))}


def _mobilenet(rng: random.Random) -> dict[str, Any]:
    depth = rng.randint(1, 4)
    return {
        "blocks": [rng.randint(1, 3) for _ in range(depth)],
        "widths": _widths(rng, depth),
        "expansion": rng.choice((1, 2.5, [rng.choice((1, 0.5, 3)) for _ in range(depth)])),
        "stem": rng.randint(1, 9),
        "kernel": rng.choice((3, 5, 7)),
    }


def _resnet(rng: random.Random) -> dict[str, Any]:
    depth = rng.randint(1, 4)
    blocks = [rng.randint(1, 3) for _ in range(depth)]
    by_block = [_widths(rng, n) for n in blocks]
    return {
        "blocks": blocks,
        "widths": _widths(rng, depth),
        "inner": rng.choice((None, _widths(rng, depth), by_block)),
        "stem": rng.choice((None, 5)),
    }


def _wide_resnet(rng: random.Random) -> dict[str, Any]:
    depth, widen = rng.choice((10, 16, 22)), rng.choice((0.5, 1, 1.75, 2))
    return {"depth": depth, "widen": widen, "base": rng.randint(2, 6)}


SECTIONS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "convnet": _convnet,
    "mlp": _mlp,
    "mobilenet": _mobilenet,
    "resnet": _resnet,
    "wide_resnet": _wide_resnet,
}
