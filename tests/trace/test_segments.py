"""The ring on disk: bounded, whole again after a tear, and without a secret in any file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.trace.message import Direction
from appliance.trace.ring import Chunk, Entry
from appliance.trace.segments import LEAST_BYTES, Segments, read_segments
from tests.trace.test_ring import flow

SECRET = b"s3cret"


def entry(number: int, size: int = 0) -> Entry:
    head = b"REGISTER sip:x SIP/2.0\r\nAuthorization: Digest response=s3cret\r\nX: %d\r\n\r\n" % number
    return (float(number), Direction.IN if number % 2 else Direction.OUT, head + b"." * size, flow("TCP"), "late\nly")


def chunk(*entries: Entry) -> Chunk:
    times, directions, data, ways, dropped = map(list, zip(*entries, strict=True))
    return Chunk(0, times, directions, data, ways, dropped, 0)  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6000), st.booleans()), min_size=1, max_size=60))
def test_files_never_take_more_than_they_may_and_hold_the_newest(steps: list[tuple[int, bool]]) -> None:
    most = 40_000
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "trace"
        segments = Segments(directory, most)
        kept = []
        for number, (size, again) in enumerate(steps):
            if again:  # the box was started anew
                segments.close()
                segments = Segments(directory, most)
            lost = segments.write(chunk(entry(number, size)))
            kept += [] if lost else [float(number)]
            files = list(directory.iterdir())
            assert sum(file.stat().st_size for file in files) == segments.used_bytes <= most
            assert all(SECRET not in file.read_bytes() for file in files)
        segments.close()
        found = [message.at for message in read_segments(directory)]
        assert found == kept[len(kept) - len(found) :]
        assert bool(found) == bool(kept)


def test_what_was_written_is_read_as_it_was_but_for_secrets(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "trace", LEAST_BYTES)
    segments.write(chunk(entry(1), entry(2)))
    first, second = read_segments(tmp_path / "trace")
    assert (first.direction, second.direction) == (Direction.IN, Direction.OUT)
    assert (first.transport, first.local, first.remote) == ("TCP", ("192.0.2.9", 5060), ("192.0.2.1", 5062))
    assert (first.listener, first.dropped) == ("main", "late ly")
    assert first.data == entry(1)[2].replace(SECRET, b"*" * 6)
    assert [one.at for one in read_segments(tmp_path / "trace", since=2.0)] == [2.0]
    assert [one.at for one in read_segments(tmp_path / "trace", words=[b"X: 2"])] == [1.0, 2.0]
    assert list(read_segments(tmp_path / "trace", words=[b"X: 3"])) == []
    assert (tmp_path / "trace").stat().st_mode & 0o077 == 0


def test_a_chunk_larger_than_a_file_goes_into_several(tmp_path: Path) -> None:
    segments = Segments(tmp_path, LEAST_BYTES)
    entries = [entry(number, 200_000) for number in range(30)] + [entry(number) for number in range(30, 5000)]
    entries.insert(10, entry(0, LEAST_BYTES))
    assert segments.write(chunk(*entries)) == 1, "one fits into no file"
    assert len(list(tmp_path.iterdir())) > 5
    assert [one.at for one in read_segments(tmp_path)] == [float(number) for number in range(5000)]


@pytest.mark.parametrize("cut", [1, 30, -3, -60])
def test_a_torn_record_ends_its_file_only(tmp_path: Path, cut: int) -> None:
    directory = tmp_path / "trace"
    for numbers in ((1, 2), (3, 4)):
        segments = Segments(directory, LEAST_BYTES)
        segments.write(chunk(*map(entry, numbers)))
        segments.close()
    first, _ = sorted(directory.iterdir())
    first.write_bytes(first.read_bytes()[:cut])
    assert [one.at for one in read_segments(directory)] in ([3.0, 4.0], [1.0, 3.0, 4.0])


@given(st.binary(max_size=200))
def test_no_file_breaks_the_reader(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "0000000001.messages").write_bytes(data)
        assert list(read_segments(Path(place))) == []
