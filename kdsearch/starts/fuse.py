"""Layer fusion: the teacher's most similar blocks are merged until the student's number is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdsearch.architecture import Architecture, Stage
from kdsearch.config import FuseStart
from kdsearch.data import Batches
from kdsearch.starts.alignment import align
from kdsearch.starts.base import Materials
from kdsearch.starts.likeness import OF_WEIGHTS, greedy_pairs, linear_cka
from kdsearch.starts.runs import check_fusible, runs
from kdsearch.starts.statistics import take_statistics
from kdsearch.students import build_student
from kdsearch.students.network import Network
from kdsearch.students.taps import Recorder, Tap

IMAGES = 1000  # that likeness of activations and batch-norm statistics are taken from
ROWS = 250  # of them in a batch, at least

Pairs = list[tuple[int, int]]


def fused_student(config: FuseStart, materials: Materials) -> nn.Module:
    """Layer fusion (O'Neill, Ver Steeg & Galstyan, 2020, arXiv:2007.14917).

    In rounds, until every stage has as many blocks as the student's: of the blocks of one shape
    after a stage's first, disjoint pairs are taken, the most alike first; the second of a pair is
    merged into the first, its inner channels put into the first's order, and dropped; the running
    statistics of all batch norms are taken anew from training images. Everything else is the
    teacher's, and where nothing is to be merged the student is the teacher.

    Pitfalls: the channels inside two blocks have no common order, and cosines and distances of
    weights depend on it; ``cka`` reads what blocks do with images. In a short training a high
    learning rate takes back part of the start. ``freeze`` leaves the merged blocks out of it.

    Departs: the paper also keeps a merged layer in both places with one set of weights; here the
    second place goes, so that the student needs fewer operations too. No public code is known: the
    similarities follow the paper's words, Wasserstein distances are sliced, and putting channels
    into one order is added (on digits it took the average of resnet blocks, untrained, from 82 % to
    90 % accuracy).

    Cost: a matrix over the pairs of a stage's blocks a round (``covariance`` holds the square of a
    filter's inputs for each); for ``cka`` a forward of 1,000 images a stage and round, and another
    one a round for the batch norms.

    Parameters
    ----------
    config : FuseStart
    materials : Materials

    Raises
    ------
    UserError
        A student that the teacher cannot be fused to.
    """
    check_fusible(materials.architecture, materials.teacher)
    network, now = materials.network, materials.teacher
    assert isinstance(network, Network) and now is not None
    while now.stages != materials.architecture.stages:
        now = _round(config, network, now, materials)
        take_statistics(network, sample(materials.batches))
    student = build_student(materials.architecture, materials.seed, materials.batches.device)
    student.load_state_dict(network.state_dict())
    for own, theirs in zip(student.parameters(), network.parameters(), strict=True):
        own.requires_grad_(theirs.requires_grad)
    return student


def merge(first: Tensor, second: Tensor, share: float) -> Tensor:
    """``share x first + (1 - share) x second``; a share of 1 is the first to the last digit."""
    return torch.lerp(second, first, share)


def sample(batches: Batches) -> Iterator[Tensor]:
    """Inputs of 1,000 training images, or of all, as they are: the same ones in every trial."""
    images = batches.data.train.images
    index = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:IMAGES]
    for part in index.tensor_split(max(1, len(index) // ROWS)):
        yield batches.normalise(images[part].to(batches.device))


def _round(
    config: FuseStart, network: Network, now: Architecture, materials: Materials
) -> Architecture:
    """Merge what can be merged at once; the architecture that is left."""
    goal = materials.architecture
    chosen = [
        _choose(config.similarity, network, number, (stage, goal.stages[number]), materials.batches)
        for number, stage in enumerate(now.stages)
    ]
    for number, pairs in enumerate(chosen):
        _merge_blocks(network, number, pairs, config)
        for second in sorted((second for _, second in pairs), reverse=True):
            now = now.without_block(number, second)
    return now


def _choose(
    similarity: str, network: Network, number: int, change: tuple[Stage, Stage], batches: Batches
) -> Pairs:
    """The pairs of a stage's blocks to merge now; `change` is the stage as it is, and as wanted."""
    pairs: Pairs = []
    for run, goal in zip(*map(runs, change), strict=True):
        surplus = len(run.places) - len(goal.places)
        if surplus == 0:
            continue
        if similarity == "cka":
            likeness = linear_cka(_activations(network, number, run.places, sample(batches)))
        else:
            likeness = _of_weights(similarity, [_modules(network, number)[i] for i in run.places])
        found = greedy_pairs(likeness, surplus)
        pairs += [(run.places[first], run.places[second]) for first, second in found]
    return pairs


def _of_weights(similarity: str, blocks: Sequence[nn.Module]) -> Tensor:
    """The mean over a block's convolutions."""
    rows = zip(*([p for p in block.parameters() if p.ndim > 1] for block in blocks), strict=True)
    stacks = (torch.stack([p.detach().flatten(1) for p in row]).cpu().double() for row in rows)
    return torch.stack([OF_WEIGHTS[similarity](stack) for stack in stacks]).mean(0)


@torch.no_grad()
def _activations(
    network: Network, number: int, places: Sequence[int], inputs: Iterator[Tensor]
) -> Tensor:
    """What blocks of a stage give, as means over the map: (L, N, C), more samples than channels."""
    stage = _modules(network, number)
    network.eval()
    parts: list[Tensor] = []
    for batch in inputs:
        with Recorder({str(place): stage[place] for place in places}) as recorder:
            network(batch)
        maps = [recorder.seen[Tap(str(place), 0)] for place in places]
        if network.rectified and places[-1] == len(stage) - 1:
            maps[-1] = F.relu(maps[-1])  # the last block leaves its ReLU to the network
        parts.append(torch.stack([m.mean((2, 3)) for m in maps]))
    return torch.cat(parts, dim=1).cpu().double()


def _modules(network: Network, number: int) -> list[nn.Module]:
    """The blocks of a stage, and what may follow them."""
    return list(network.stages[number].children())


@torch.no_grad()
def _merge_blocks(network: Network, number: int, pairs: Pairs, config: FuseStart) -> None:
    """Merge each pair into its first block, and take the second out of the stage."""
    share = {"freeze": 1.0, "average": 0.5, "mix": config.mix}[config.merge]
    blocks = _modules(network, number)
    for first, second in pairs:
        align(blocks[second], blocks[first])
        both = zip(blocks[first].parameters(), blocks[second].parameters(), strict=True)
        for own, other in both:
            own.copy_(merge(own, other, share))
            own.requires_grad_(config.merge != "freeze")
    gone = {second for _, second in pairs}
    network.stages[number] = nn.Sequential(*(b for i, b in enumerate(blocks) if i not in gone))
