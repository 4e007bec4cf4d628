"""Who stands where in the ladder of a call, and which arrow goes from whom to whom."""

from __future__ import annotations

from appliance.proxy.ladder import ladder
from appliance.trace.message import Direction, TracedMessage

ALICE, CARRIER = ("192.0.2.1", 5060), ("2001:db8::5", 5060)


def message(direction: Direction, remote: tuple[str, int], line: str, *, at: float, dropped: str = "") -> TracedMessage:
    return TracedMessage(
        at=at,
        direction=direction,
        local=("192.0.2.9", 5060),
        remote=remote,
        transport="UDP",
        data=f"{line}\r\nCSeq: 1 INVITE\r\nCall-ID: x\r\n\r\n".encode(),
        dropped=dropped,
    )


def test_a_call_stands_between_who_called_and_who_was_called() -> None:
    drawn = ladder(
        [
            message(Direction.IN, ALICE, "INVITE sip:0@example.com SIP/2.0", at=1.0),
            message(Direction.OUT, CARRIER, "INVITE sip:0@example.com SIP/2.0", at=1.1),
            message(Direction.OUT, CARRIER, "INVITE sip:0@example.com SIP/2.0", at=1.6),
            message(Direction.IN, CARRIER, "SIP/2.0 200 OK", at=2.0),
            message(Direction.OUT, ALICE, "SIP/2.0 200 OK", at=2.1),
            message(Direction.IN, CARRIER, "BYE sip:a@example.com SIP/2.0", at=3.0, dropped="malformed"),
        ]
    )
    assert drawn.participants == ("UDP 192.0.2.1:5060", "jackfield", "UDP [2001:db8::5]:5060")
    assert drawn.box == 1
    assert [(one.from_, one.to, one.label, one.again) for one in drawn.arrows] == [
        (0, 1, "INVITE", False),
        (1, 2, "INVITE", False),
        (1, 2, "INVITE", True),
        (2, 1, "200 OK (INVITE)", False),
        (1, 0, "200 OK (INVITE)", False),
        (2, 1, "BYE", False),
    ]
    assert [one.message_index for one in drawn.arrows] == [0, 1, 2, 3, 4, 5]
    assert drawn.arrows[-1].dropped == "malformed"


def test_addresses_of_one_name_are_one_participant_and_nothing_gives_an_empty_ladder() -> None:
    drawn = ladder(
        [
            message(Direction.IN, ALICE, "INVITE sip:0@example.com SIP/2.0", at=1.0),
            message(Direction.IN, ("192.0.2.1", 40000), "BYE sip:0@example.com SIP/2.0", at=2.0),
        ],
        lambda transport, remote: f"trunk at {remote[0]}",
    )
    assert drawn.participants == ("trunk at 192.0.2.1", "jackfield")
    assert ladder([]).participants == ("jackfield",)
