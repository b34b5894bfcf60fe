"""The log, put piece by piece as it grows, and gathered into few files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.results.remote.objects import Objects, Told
from kdsearch.results.remote.segments import FAN, Segment, Tail, read_name

FOLDER = "log"
MOST = 2**26  # bytes of a log that are put again at the end, to be one file


class LogSender:
    """Puts what a log has grown by.

    Parameters
    ----------
    objects : Objects
    search : str
    log : Path
        On this machine.
    generation, nonce : int, str
        The writer's.
    end : int
        Bytes that are there already.
    scattered : bool
        They are in so many files that they are gathered first.
    """

    def __init__(
        self,
        objects: Objects,
        search: str,
        log: Path,
        generation: int,
        nonce: str,
        end: int,
        scattered: bool = False,
    ) -> None:
        self.objects, self.log, self.end = objects, log, end
        self._generation, self._nonce = generation, nonce
        self._folder, self._scattered = f"{search}/{FOLDER}", scattered
        self._tail, self._litter = Tail([]), set[Segment]()

    def send(self, end: int, told: Told) -> None:
        """Put the bytes up to `end`, and gather those before them where they lie in many files."""
        if self._scattered and self.end:
            self._gather(told, lambda: None)
            self._scattered = False
        if end > self.end:
            self._tail.add(self._put(self.end, end, told))
            self.end = end
        while parts := self._tail.mergeable():
            self._tail.merged(self._put(parts[0].start, parts[-1].end, told))
            self._litter.update(parts)
        self._clear(told)

    def gather(self, told: Told, sure: Callable[[], None]) -> None:
        """Make the log one file, where it is not too long for that, and remove those it is of.

        `sure` is called before any is removed, and raises where that is no longer ours to do.
        """
        if self.end <= MOST and len(self.segments()) > 1:
            self._gather(told, sure)

    def segments(self) -> list[Segment]:
        """All that are there, of all writers."""
        return list(segments_there(self.objects, self._folder.partition("/")[0]).values())

    def _gather(self, told: Told, sure: Callable[[], None]) -> None:
        whole = self._put(0, self.end, told)
        # Later ones are a successor's, who took a writer that slept for dead.
        old = {s for s in self.segments() if s.generation <= self._generation}
        self._litter |= old - {whole}
        self._tail = Tail([(FAN, whole)])  # no level that another one reaches
        sure()
        self._clear(told)

    def _put(self, start: int, end: int, told: Told) -> Segment:
        with self.log.open("rb") as file:
            file.seek(start)
            content = file.read(end - start)
        if len(content) < end - start:
            fault = (
                "was cut short while the search runs; run it again, which takes up what is there"
            )
            raise UserError(str(self.log), fault)
        segment = Segment(self._generation, self._nonce, start, end)
        self.objects.put(f"{self._folder}/{segment.name}", content, told)
        return segment

    def _clear(self, told: Told) -> None:
        for segment in sorted(self._litter):
            self.objects.remove(f"{self._folder}/{segment.name}")
            self._litter.discard(segment)
            told(True)


def segments_there(objects: Objects, search: str) -> dict[str, Segment]:
    """The segments of a search's log, by their places; files of other names are none."""
    start = f"{search}/{FOLDER}/"
    found = {key: read_name(key.removeprefix(start)) for key in objects.files(start.rstrip("/"))}
    return {key: segment for key, segment in found.items() if segment is not None}
