"""The log at an address and the one on this machine: the same search, or one line that says not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from kdsearch.errors import UserError
from kdsearch.results.log import damaged_at
from kdsearch.results.remote.objects import Objects, WentError
from kdsearch.results.remote.segments import GapError, Part, Segment, chain
from kdsearch.results.remote.sending import FOLDER
from kdsearch.results.remote.writer import Claim
from kdsearch.whole import write_bytes

NOTE = ".remote.json"


@dataclass(frozen=True)
class Note:
    """What a working copy knows of itself.

    Attributes
    ----------
    copy : str
        Tells it from all others.
    sent : int
        Bytes of the log that it knows to be at its address.
    """

    copy: str
    sent: int = 0


def read_note(folder: Path) -> Note | None:
    """The note of a working copy; None where there is none, or none of ours."""
    try:
        said = json.loads((folder / NOTE).read_bytes())
        return Note(str(said["copy"]), int(said["sent"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write_note(folder: Path, note: Note) -> None:
    """Write it; an OSError where the disk cannot be written."""
    write_bytes(folder / NOTE, json.dumps(asdict(note)).encode())


class MissingError(UserError):
    """Bytes that no file there holds: for good, or while files are listed that are replaced."""


@dataclass(frozen=True)
class RemoteLog:
    """The log as it stands at an address.

    Attributes
    ----------
    content : bytes
    parts : list of Part
        What it was read from.
    """

    content: bytes
    parts: list[Part]


def read_remote(
    objects: Objects, search: str, there: Mapping[str, Segment], claim: Claim | None
) -> RemoteLog:
    """The log, whole and undamaged.

    Parameters
    ----------
    there : mapping of str to Segment
        See `segments_there`.
    claim : Claim or None
        Of its last writer.

    Raises
    ------
    MissingError
        Bytes are missing.
    UserError
        They are not what was written.
    UnreachableError
    """
    place = f"{objects.address.shown}/{search}/{FOLDER}"
    heir = "" if claim is None else f", or run this on {claim.host!r:.60}, which sends it again"
    remedy, end = f"restore that file{heir}", 0 if claim is None else claim.end
    try:
        parts = chain(there.values())
    except GapError as error:
        raise MissingError(place, f"{error}: a file is gone or was added; {remedy}") from None
    pieces: list[bytes] = []
    for part in parts:
        key = f"{search}/{FOLDER}/{part.segment.name}"
        if (content := objects.read(key)) is None:
            raise WentError(f"{key} went while it was read")
        if len(content) != part.segment.end - part.segment.start:
            wanted = part.segment.end - part.segment.start
            fault = f"is cut short: {len(content)} bytes of {wanted}; {remedy}"
            raise UserError(f"{objects.address.shown}/{key}", fault)
        start = part.segment.start
        pieces.append(content[part.start - start : part.end - start])
    log = b"".join(pieces)
    if len(log) < end:
        fault = f"the last {end - len(log)} of {end} bytes are missing: a file is gone; {remedy}"
        raise MissingError(place, fault)
    if (bad := damaged_at(log)) is not None:
        name = next(part.segment.name for part in parts if bad < part.end)
        raise UserError(f"{place}/{name}", f"is not what was written; {remedy}")
    return RemoteLog(log, parts)


def compare(local: bytes, remote: bytes, note: Note, folder: Path, shown: str) -> Ahead:
    """Which of the two logs goes on where the other ends.

    Raises
    ------
    UserError
        Neither: they are two searches, or two ends of one. Or what had been sent is there no more.
    """
    if len(remote) < note.sent:
        fault = f"holds {len(remote)} bytes of the log, but had {note.sent}; restore it, or remove "
        anew = f"{folder} too to begin anew, or only {NOTE} in it to send it again"
        raise UserError(shown, fault + anew)
    if local == remote:
        return "neither"
    if remote.startswith(local):
        return "remote"
    if local.startswith(remote):
        return "local"
    same = next((i for i, (a, b) in enumerate(zip(local, remote, strict=False)) if a != b), 0)
    fault = f"and {folder} tell different searches from byte {same} of the log on; remove that "
    raise UserError(shown, f"{fault}folder to go on with the first, or name another --results")


Ahead = Literal["local", "remote", "neither"]
