"""What is left of a call once it is over: nothing that only the garbage collector could take away.

The collector is tuned to come rarely (app.py), so a cycle for each call would be a leak for all practical purposes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from .pretend_net import Box


@pytest.fixture
def garbage() -> Iterator[Callable[[], list[str]]]:
    """Asked for the kinds of our objects that only the collector would find; nothing is collected until then."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def look() -> list[str]:
        gc.collect()
        return sorted(type(one).__name__ for one in gc.garbage if type(one).__module__.startswith("appliance."))

    yield look
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def test_an_answered_call_leaves_nothing(garbage: Callable[[], list[str]]) -> None:
    box = Box()
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    invite = callee.take_request("INVITE")
    callee.answer(invite, 180)
    callee.answer(invite, 200)
    ok = caller.take()[-1]
    caller.send(caller.in_dialog("ACK", ok, cseq=2))  # type: ignore[arg-type]
    caller.send(caller.in_dialog("BYE", ok))  # type: ignore[arg-type]
    callee.answer(callee.take_request("BYE"), 200)
    box.run(100)
    box.core.calls.ended.clear()
    assert garbage() == []
    assert len(box.timers) == 0
    assert len(box.core.deadlines) == 0


def test_a_cancelled_fork_leaves_nothing(garbage: Callable[[], list[str]]) -> None:
    box = Box()
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    invite = caller.invite("sip:1002@example.com")
    rung = [(phone, phone.take_request("INVITE")) for phone in (one, two)]
    for phone, request in rung:
        phone.answer(request, 180)
    cancel = caller.request("CANCEL", invite.uri, call_id=invite.call_id, cseq=invite.cseq.number)
    cancel.set("via", invite.require("via"))
    caller.send(cancel)
    for phone, request in rung:
        phone.answer(phone.take_request("CANCEL"), 200)
        phone.answer(request, 487)
    assert caller.take_kinds()[-1] == "487"
    box.run(100)
    box.core.calls.ended.clear()
    assert garbage() == []
    assert len(box.core.deadlines) == 0


def test_a_fork_with_a_loser_and_a_call_that_nobody_answers_leave_nothing(garbage: Callable[[], list[str]]) -> None:
    box = Box()
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    caller.invite("sip:1002@example.com")
    won, lost = one.take_request("INVITE"), two.take_request("INVITE")
    two.answer(lost, 180)
    one.answer(won, 200)
    two.answer(two.take_request("CANCEL"), 200)
    two.answer(lost, 487)
    caller.invite("sip:0555@example.com", call_id="nobody")
    box.run(400)
    assert caller.take_kinds()[-1] == "408"
    for call in box.core.calls:
        call.hang_up("over")
    box.run(100)
    box.core.calls.ended.clear()
    assert garbage() == []
    assert len(box.core.deadlines) == 0
