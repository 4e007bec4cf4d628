"""The ladder of a call: who talked to whom, message by message, as a picture needs it. Pure: messages in, rungs out.

Each address that spoke with us is a participant, the box stands between those that called and those that were called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from appliance.sip.flow import Address, host_port
from appliance.trace.message import Direction, TracedMessage

BOX: Final = "jackfield"


@attrs.frozen
class Arrow:
    """One message. `from_` and `to` are places in `Ladder.participants`, `message_index` one in the messages given.

    `at` is wall-clock seconds. `again`: the same bytes went that way before. `dropped`: why nothing was done with it.
    """

    at: float
    from_: int
    to: int
    label: str
    message_index: int
    again: bool = False
    dropped: str = ""


@attrs.frozen
class Ladder:
    """`participants` from left to right, one of them `box`; the arrows in the order of time."""

    participants: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    box: int = 0


def plain(transport: str, remote: Address) -> str:
    """A participant as nobody knows it better: 'UDP 192.0.2.1:5060'."""
    return f"{transport} {host_port(*remote)}"


def ladder(messages: Sequence[TracedMessage], name: Callable[[str, Address], str] = plain) -> Ladder:
    """The ladder of the messages of one call, oldest first. `name` is how (transport, address) is called.

    Two addresses of one name are one participant. Who spoke first to us stands on the left, with all others that we
    heard a request of before we asked anybody; the others on the right in the order in which they come in.
    """
    left: list[str] = []
    right: list[str] = []
    names: list[str] = []
    for message in messages:
        who = name(message.transport, message.remote)
        names.append(who)
        if who not in left and who not in right:
            (left if message.direction is Direction.IN and not message.status else right).append(who)
    participants = (*left, BOX, *right)
    place = {who: index for index, who in enumerate(participants)}
    box = len(left)
    seen: set[tuple[str, Direction, bytes]] = set()
    arrows = []
    for index, (message, who) in enumerate(zip(messages, names, strict=True)):
        key = (who, message.direction, message.data)
        ends = (place[who], box) if message.direction is Direction.IN else (box, place[who])
        arrows.append(Arrow(message.at, *ends, message.label, index, key in seen, message.dropped))
        seen.add(key)
    return Ladder(participants, tuple(arrows), box)
