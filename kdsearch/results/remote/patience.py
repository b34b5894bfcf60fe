"""How long a search waits for the place where its results stand, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Times of everything that is done over a network.

    Attributes
    ----------
    batch : float
        Between two uploads, at least.
    views : float
        Between two uploads of the tables, at least: they are large, and made of the log.
    again, most : float
        Before a failed upload is tried again: at first, and at most; it doubles in between.
    opening, closing : float
        For which calls are tried again before a search, and after it.
    pause : float
        Without an answer, until nothing new is started.
    stop : float
        Without an answer, until the search ends.
    beat, stale : float
        Between two signs of life of a writer; without one, until another may take its place.
    settle : float
        Between a writer's first sign of life and its first upload.
    connect, request : float
        For a connection; without a byte on it.
    """

    batch: float = 1.0
    views: float = 10.0
    again: float = 0.5
    most: float = 15.0
    opening: float = 30.0
    closing: float = 60.0
    pause: float = 120.0
    stop: float = 600.0
    beat: float = 10.0
    stale: float = 60.0
    settle: float = 0.5
    connect: float = 5.0
    request: float = 10.0


USUAL = Patience()
