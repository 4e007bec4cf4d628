"""`jackfield trace` on a terminal: one line a message, coloured by what it is, and nothing of a peer's in between."""

import pytest

from appliance.commands.trace import line_of
from appliance.trace.message import Direction, TracedMessage

RED, GREEN, BLUE = "\x1b[31m", "\x1b[32m", "\x1b[34m"


def message(first_line: str, cseq: str = "1 INVITE") -> TracedMessage:
    data = f"{first_line}\r\nCall-ID: \x1b[2Jabc@x\r\nCSeq: {cseq}\r\n\r\n"
    return TracedMessage(
        at=1_700_000_000.25,
        direction=Direction.IN,
        local=("192.0.2.9", 5060),
        remote=("192.0.2.1", 5062),
        transport="UDP",
        listener="udp",
        data=data.encode(),
    )


@pytest.mark.parametrize(
    ("first_line", "cseq", "colour", "said"),
    [
        ("INVITE sip:9196@example.com SIP/2.0", "1 INVITE", RED, "INVITE sip:9196@example.com"),
        ("REGISTER sip:example.com SIP/2.0", "2 REGISTER", BLUE, "REGISTER sip:example.com"),
        ("SIP/2.0 200 OK", "1 INVITE", GREEN, "200 OK"),
        ("SIP/2.0 486 Busy Here", "1 INVITE", RED, "486 Busy Here"),
    ],
)
def test_each_sort_of_message_has_its_colour(first_line: str, cseq: str, colour: str, said: str) -> None:
    line = line_of(message(first_line, cseq), colour=True)
    assert f"{colour}{said}" in line
    assert "192.0.2.1:5062" in line
    assert "\x1b[2J" not in line


def test_without_a_terminal_there_is_no_colour() -> None:
    line = line_of(message("INVITE sip:9196@example.com SIP/2.0"))
    assert "\x1b" not in line
    assert "192.0.2.1:5062" in line
