"""A log in files that never change: whatever is written late, the log is the last writer's."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.results.log import damaged_at
from kdsearch.results.remote.segments import FAN, GapError, Part, Segment, Tail, chain, read_name

NONCES = [f"{number:08x}" for number in range(100)]


def sealed(before: bytes, numbers: list[int]) -> list[bytes]:
    """Lines of a log with their sums, after those of `before`."""
    lines = before.splitlines(keepends=True)
    known = len(lines)
    total = int(lines[-1][-11:-3], 16) if lines else 0
    for number in numbers:
        text = b'{"n":%d}' % number
        total = zlib.crc32(text, total)
        lines.append(text[:-1] + b',"check":"%08x"}\n' % total)
    return lines[known:]


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[Segment, bytes], bytes]:
    """Segments of several writers, each on what the one before had put, and the true log.

    A writer that was taken for dead may still have put some more, which the next one never saw.
    """
    log, segments = b"", dict[Segment, bytes]()
    whole = log
    for generation in range(draw(st.integers(1, 4))):
        numbers = draw(st.lists(st.integers(0, 9), min_size=1, max_size=8))
        lines = sealed(log, numbers)
        ends = [len(log), *(len(log) + len(b"".join(lines[: i + 1])) for i in range(len(lines)))]
        whole = log + b"".join(lines)
        seen = draw(st.sampled_from(ends))
        cuts = sorted({ends[0], seen, *draw(st.sets(st.sampled_from(ends))), ends[-1]})
        again = draw(st.lists(st.tuples(st.sampled_from(cuts), st.sampled_from(cuts)), max_size=4))
        for start, end in [*pairwise(cuts), *again]:  # again: with more, or gathered
            if start < end:
                segment = Segment(generation, NONCES[generation], start, end)
                segments[segment] = whole[start:end]
        log = whole[:seen]
    return segments, whole


def read(segments: dict[Segment, bytes], parts: list[Part]) -> bytes:
    pieces = (segments[p.segment][p.start - p.segment.start :][: p.end - p.start] for p in parts)
    return b"".join(pieces)


@settings(max_examples=50)
@given(histories())
def test_the_log_is_what_the_last_writer_had(told: tuple[dict[Segment, bytes], bytes]) -> None:
    segments, log = told
    assert read(segments, chain(segments)) == log
    assert read(segments, chain(reversed(segments))) == log


@settings(max_examples=50)
@given(histories(), st.data())
def test_a_missing_part_is_found_or_is_the_end(
    told: tuple[dict[Segment, bytes], bytes], data: st.DataObject
) -> None:
    segments, whole = told
    gone = data.draw(st.sampled_from(sorted(segments)))
    left = {segment: content for segment, content in segments.items() if segment != gone}
    try:
        found = read(left, chain(left))
    except GapError:
        return
    last = max(segment.generation for segment in segments)
    alone = [s for s in segments if s.generation == last] == [gone]
    assert alone or whole.startswith(found) or damaged_at(found) is not None


def test_two_writers_in_one_generation_are_found() -> None:
    with pytest.raises(GapError, match="two writers"):
        chain([Segment(0, NONCES[0], 0, 5), Segment(0, NONCES[1], 0, 7)])


def test_no_files_are_an_empty_log() -> None:
    assert chain([]) == []


@given(st.integers(0, 999_999), st.sampled_from(NONCES), st.integers(0, 10**13), st.integers(1, 99))
def test_names_tell_segments(generation: int, nonce: str, start: int, length: int) -> None:
    segment = Segment(generation, nonce, start, start + length)
    assert read_name(segment.name) == segment


@pytest.mark.parametrize(
    "name",
    ["", "../x", "000000-00000000-00000000000005-00000000000005.jsonl", "x.jsonl", "0-0-0-1.jsonl"],
)
def test_other_names_are_no_segments(name: str) -> None:
    assert read_name(name) is None


def test_a_long_log_is_a_few_files_and_no_byte_is_put_often() -> None:
    tail, put, end = Tail([]), 0, 3000
    for place in range(end):
        tail.add(Segment(0, NONCES[0], place, place + 1))
        put += 1
        while parts := tail.mergeable():
            into = Segment(0, NONCES[0], parts[0].start, parts[-1].end)
            tail.merged(into)
            put += into.end - into.start
    segments = [segment for _, segment in tail.levels]
    assert [s.start for s in segments] == [0, *(s.end for s in segments[:-1])]
    assert segments[-1].end == end
    assert len(segments) < 3 * FAN and put < 4 * end
