"""RFC 5424 to the letter: header, escapes, BOM, lengths."""

import re

from hypothesis import given
from hypothesis import strategies as st

from appliance.logs import Event
from appliance.outlets.syslog_message import LONGEST, MOST_SEQUENCE, Origin, framed, message_of

ORIGIN = Origin("box.example.com", "jackfield", "4711", 16)
AT = 1_800_000_000.25
# §6: HEADER SP STRUCTURED-DATA [SP MSG]
SHAPE = re.compile(
    rb"<\d{1,3}>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32} "
    rb'(\[[!#-<>-\\^-~]{1,32}( [!#-<>-\\^-~]{1,32}="([^"\\\]]|\\["\\\]])*")*\])+ (?:.*)',
    re.S,
)


def event(name: str = "call.ended", level: str = "info", **fields: str) -> Event:
    return Event(AT, level, name, fields)


def test_a_message_as_it_goes_on_the_wire() -> None:
    assert message_of(event(call_id="a@b"), 7, ORIGIN).startswith(
        b"<134>1 2027-01-15T08:00:00.250000Z box.example.com jackfield 4711 call.ended "
        b'[meta sequenceId="7"][origin enterpriseId="32473" software="Jackfield"'
    )
    assert message_of(event(call_id="a@b"), 7, ORIGIN).endswith(
        b'[jackfield@32473 call_id="a@b"] call.ended call_id=a@b'
    )


def test_quotes_backslashes_and_brackets_are_escaped_in_values() -> None:
    assert rb'cause="he said \"x\" \\ \]"' in message_of(event(cause='he said "x" \\ ]'), 1, ORIGIN)


def test_text_beyond_ascii_begins_with_a_bom_and_ascii_does_not() -> None:
    assert b"] \xef\xbb\xbfcall.ended caller=J\xc3\xbcrgen" in message_of(event(caller="Jürgen"), 1, ORIGIN)
    assert b"\xef\xbb\xbf" not in message_of(event(caller="Juergen"), 1, ORIGIN)


def test_alarms_bear_their_own_severity() -> None:
    def priority(name: str, level: str, severity: str) -> bytes:
        return message_of(event(name, level, severity=severity), 1, ORIGIN).partition(b">")[0]

    assert priority("alarm.raised", "warning", "critical") == b"<130"
    assert priority("alarm.raised", "warning", "minor") == b"<132"
    assert priority("alarm.cleared", "info", "critical") == b"<133"


def test_numbers_begin_again_at_one() -> None:
    assert b'sequenceId="1"' in message_of(event(), MOST_SEQUENCE + 1, ORIGIN)
    assert b'sequenceId="2147483647"' in message_of(event(), MOST_SEQUENCE, ORIGIN)


def test_a_frame_tells_its_length_in_bytes() -> None:
    message = message_of(event(caller="Jürgen"), 1, ORIGIN)
    length, _, rest = framed(message).partition(b" ")
    assert int(length) == len(rest) == len(message)


@given(
    name=st.text(max_size=60),
    fields=st.dictionaries(st.text(max_size=40), st.text(max_size=3000), max_size=8),
    number=st.integers(1, 2**40),
    host=st.text(max_size=300),
    longest=st.sampled_from([480, 2048, LONGEST]),
)
def test_whatever_an_event_holds_the_message_keeps_its_shape_and_its_length(
    name: str, fields: dict[str, str], number: int, host: str, longest: int
) -> None:
    made = message_of(Event(AT, "info", name, fields), number, Origin(host[:60], "app", "1", 3), longest)
    assert SHAPE.fullmatch(made)
    assert len(made) <= longest
    made.decode("utf-8")
