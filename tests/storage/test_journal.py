"""The journal of call records: what was synced is read whole, whatever a crash or a bad disk left behind it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.storage.call_record import CallRecord
from appliance.storage.journal import Group, Journal, frame_of, groups_after, groups_of
from appliance.storage.record_line import CALLS, numbered, values_of

text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
sizes = st.lists(st.lists(text, min_size=1, max_size=4), min_size=1, max_size=5)


def groups(sized: list[list[str]]) -> list[Group]:
    made, first = [], 7
    for lines in sized:
        made.append(Group(first, tuple(lines)))
        first += len(lines)
    return made


@given(sizes, st.data())
def test_a_segment_cut_anywhere_gives_all_groups_before_the_cut(sized: list[list[str]], data: st.DataObject) -> None:
    made = groups(sized)
    whole = b"".join(map(frame_of, made))
    cut = data.draw(st.integers(0, len(whole)))
    found, stray = groups_of(whole[:cut])
    ends, kept = 0, 0
    for one in made:
        ends += len(frame_of(one))
        kept += ends <= cut
    assert found == made[:kept]
    assert stray == cut - sum(len(frame_of(one)) for one in made[:kept])


@given(sizes, st.data())
def test_a_flipped_bit_costs_its_own_group_only(sized: list[list[str]], data: st.DataObject) -> None:
    made = groups(sized)
    whole = bytearray(b"".join(map(frame_of, made)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    hit, ends = 0, 0
    for number, one in enumerate(made):
        ends += len(frame_of(one))
        if at < ends:
            hit = number
            break
    found, stray = groups_of(bytes(whole))
    assert found == made[:hit] + made[hit + 1 :]
    assert stray == len(frame_of(made[hit]))


@given(st.binary(max_size=300))
def test_rubbish_holds_no_group(data: bytes) -> None:
    assert groups_of(data) == ([], len(data))


def test_a_group_written_twice_is_read_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(Group(10, ("a", "b")))
    journal.seal()
    journal.append(Group(10, ("a", "b")))  # it was not known whether the first had come to the disk
    journal.append(Group(12, ("c",)))
    journal.seal()
    fresh = [one for _, found, _ in groups_after(journal.sealed(), 0) for one in found]
    assert fresh == [Group(10, ("a", "b")), Group(12, ("c",))]


def test_the_segment_being_written_is_not_for_import(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal")
    journal.append(Group(1, ("a",)))
    assert journal.sealed() == []
    journal.seal()
    assert len(journal.sealed()) == 1


def test_what_a_peer_says_cannot_break_a_line() -> None:
    record = CallRecord(serial="", call_id="a\r\nb\0", started_ms=1, ended_ms=2, caller='"\ud800\n')
    line = CALLS.line_of(record)
    assert not set("\r\n\0") & set(line)
    [group] = groups_of(frame_of(Group(1, (line,))))[0]
    assert "a b " in group.lines[0]


@given(text, text, st.none() | st.integers(0, 600))
def test_a_line_is_read_as_it_was_written(caller: str, ending: str, cause: int | None) -> None:
    record = CallRecord(
        serial="1", call_id="a", started_ms=1, ended_ms=2, caller=caller + "\x1f,", ending=ending, cause=cause
    )
    values = values_of(CALLS.line_of(record))
    found = dict(zip(CALLS.columns, values, strict=True))
    assert (found["caller"], found["ending"]) == (caller + " ,", ending)
    assert found["cause"] == ("" if cause is None else str(cause))


def test_a_line_of_the_first_boxes_is_understood() -> None:
    assert values_of('C,ab-1,"a, ""b""",7') == ["C", "ab-1", 'a, "b"', "7"]
    assert values_of(numbered('C,ab-1,"a, ""b""",7', 12)) == ["12", "ab-1", 'a, "b"', "7"]
    assert values_of(numbered("C\x1fab-1\x1f7", 12)) == ["12", "ab-1", "7"]


def test_texts_beyond_all_measure_are_cut() -> None:
    line = CALLS.line_of(CallRecord(serial="", call_id="a", started_ms=1, ended_ms=2, ending="long " * 50_000))
    assert len(line) < 2000
