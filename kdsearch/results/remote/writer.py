"""One writer at an address: a file says who it is and that it lives; another one waits or stops."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.remote.objects import Objects
from kdsearch.results.remote.segments import Segment

FILE = "writer.json"


@dataclass(frozen=True)
class Claim:
    """What the file says.

    Attributes
    ----------
    nonce : str
        Eight hexadecimal digits, drawn by the writer.
    generation : int
        Of its segments.
    copy : str
        Which working copy it writes from: a process of its host that holds that copy's lock is its
        heir.
    host : str
    pid : int
    end : int
        Bytes of the log that had been put when the file was.
    open : bool
        Whether the writer still writes.
    """

    nonce: str
    generation: int
    copy: str
    host: str
    pid: int
    end: int = 0
    open: bool = True


class Writer:
    """The right to write at an address, as long as its file says so.

    Parameters
    ----------
    objects : Objects
    search : str
    claim : Claim
    """

    def __init__(self, objects: Objects, search: str, claim: Claim) -> None:
        self.objects, self.search, self.claim = objects, search, claim
        self.beaten = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether a sign of life is."""
        return time.monotonic() - self.beaten >= self.objects.patience.beat

    def check(self) -> None:
        """Find out that nobody else has taken this place.

        Raises
        ------
        UserError
            Somebody has.
        UnreachableError
        """
        there = read_claim(self.objects, self.search)
        if there is None:
            fault = f"{FILE} is gone: was this search removed? It stops; its rows are still on "
            place = f"{self.objects.address.shown}/{self.search}"
            raise UserError(place, f"{fault}this machine")
        if there.nonce != self.claim.nonce:
            raise _taken(self.objects, self.search, there)

    def beat(self, end: int, still: bool = True) -> None:
        """Give a sign of life; or the last one.

        Raises
        ------
        UserError
            Somebody has taken this place.
        UnreachableError
        """
        self.check()
        claim = replace(self.claim, end=end, open=still)
        self.objects.put(f"{self.search}/{FILE}", json.dumps(asdict(claim)).encode())
        self.beaten = time.monotonic()

    def alone(self, segments: list[Segment]) -> None:
        """Find out that no later writer has put anything.

        Raises
        ------
        UserError
            One has, and lost its own sign of life to ours.
        """
        if any(segment.generation > self.claim.generation for segment in segments):
            raise _taken(self.objects, self.search, None)


def claim_place(objects: Objects, search: str, copy: str) -> tuple[Claim | None, Claim]:
    """The claim that stood there, and ours in its place; its generation is not yet known.

    Raises
    ------
    UserError
        Another writer lives.
    UnreachableError
    """
    there = read_claim(objects, search)
    if there is None:
        refuse_plain(objects, search)
    elif there.open and (there.copy, there.host) != (copy, socket.gethostname()):
        _refuse_living(objects, search, there)
    claim = Claim(
        nonce=uuid.uuid4().hex[:8],
        generation=0 if there is None else there.generation + 1,
        copy=copy,
        host=socket.gethostname(),
        pid=os.getpid(),
        end=0 if there is None else there.end,
    )
    objects.put(f"{search}/{FILE}", json.dumps(asdict(claim)).encode())
    time.sleep(objects.patience.settle)
    seen = read_claim(objects, search)
    if seen is None or seen.nonce != claim.nonce:
        raise _taken(objects, search, seen)
    return there, claim


def read_claim(objects: Objects, search: str) -> Claim | None:
    """What the file says; None where there is none.

    Raises
    ------
    UserError
        It says something else.
    """
    content = objects.read(f"{search}/{FILE}")
    if content is None:
        return None
    try:
        said: dict[str, Any] = json.loads(content)
        claim = Claim(**{name: said[name] for name in Claim.__dataclass_fields__})
        right = all(isinstance(value, _KINDS[name]) for name, value in asdict(claim).items())
        if right and 0 <= claim.generation < 10**6 and 0 <= claim.end < 10**14:
            return claim
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    place = f"{objects.address.shown}/{search}/{FILE}"
    raise UserError(place, "damaged: not a writer's; if no run goes on there, remove this file")


def refuse_plain(objects: Objects, search: str) -> None:
    """Refuse a folder that a search was run in without an address: it has a log in one piece.

    Raises
    ------
    UserError
    """
    if objects.find(f"{search}/log.jsonl") is not None:
        shown = f"{objects.address.shown}/{search}"
        fault = "is a results folder that was no address when it was made; give its path as "
        raise UserError(shown, f"{fault}--results, or another address")


def claim_of(objects: Objects, search: str) -> Claim:
    """The claim of a search that is there.

    Raises
    ------
    UserError
        There is none.
    UnreachableError
    """
    if (claim := read_claim(objects, search)) is not None:
        return claim
    refuse_plain(objects, search)
    fault = "holds no search; give the address that `kdsearch run` had, and the search's name after"
    raise UserError(f"{objects.address.shown}/{search}", f"{fault} it")


_KINDS: dict[str, type] = {
    "nonce": str, "generation": int, "copy": str, "host": str, "pid": int, "end": int, "open": bool,
}  # fmt: skip


def _refuse_living(objects: Objects, search: str, there: Claim) -> None:
    """Refuse where a writer has given a sign of life a short time ago, by the clock there."""
    found = objects.find(f"{search}/{FILE}")
    if found is None or found.changed is None:
        return
    now = objects.now(f"{search}/clock-{uuid.uuid4().hex[:8]}")
    age, stale = (now - found.changed).total_seconds(), objects.patience.stale
    if age < stale:
        raise UserError(
            f"{objects.address.shown}/{search}",
            f"{_who(there)} runs this search, and wrote {max(0.0, age):.0f} s ago; wait for it to "
            f"end, or, if it was killed, run this again in {stale - age + 1:.0f} s",
        )


def _taken(objects: Objects, search: str, by: Claim | None) -> UserError:
    who = "another run" if by is None else _who(by)
    fault = f"{who} has taken over this search, and this one stops; what it has not yet sent stays"
    return UserError(f"{objects.address.shown}/{search}", f"{fault} on this machine")


def _who(claim: Claim) -> str:
    return f"process {claim.pid} on {claim.host!r:.60}"
