"""The records of a box from its core to an answer: calls, refusals, registrations, and the ends of forgotten calls."""

from __future__ import annotations

from pathlib import Path

import attrs
import trio

from appliance.config.records import RecordsSettings
from appliance.proxy.records import Records
from appliance.storage.record_question import CallQuestion, EventQuestion

from .pretend_net import Box, Peer, _settings
from .test_groups import CALLER, settings_with, trunk


async def test_what_ended_is_found_at_once_and_over_a_restart(tmp_path: Path) -> None:
    settings = settings_with(None, trunk("a", "192.0.2.61"))
    faults: list[str] = []
    for calls in (1, 2):
        box = Box(settings)
        async with trio.open_nursery() as nursery:
            records = Records(box.core, settings, tmp_path, lambda what, fault: faults.append(fault))
            await nursery.start(records.run)
            caller = box.peer(CALLER)
            caller.send(caller.request("INVITE", "sip:999@example.com", call_id=f"{calls}@example.net"))
            found = await records.find(CallQuestion())
            assert [one.call_id for one in found] == [f"{n}@example.net" for n in range(calls, 0, -1)]
            report = await records.report("causes", CallQuestion())
            assert report.rows[0][:3] == (404, None, calls)
            assert (await records.call(str(found[0].id))) == found[0]
            nursery.cancel_scope.cancel()
    assert faults == []


async def test_the_bye_of_a_call_from_before_a_restart_leaves_what_is_left_to_tell(tmp_path: Path) -> None:
    settings = settings_with(None, trunk("a", "192.0.2.61"))
    box = Box(settings)
    caller, callee = box.peer(CALLER), box.peer("192.0.2.61")
    caller.send(caller.request("INVITE", "sip:8001@example.com"))
    callee.answer(callee.take_request("INVITE"), 200)
    seen = caller.take_response(200)
    again = Box(settings)
    async with trio.open_nursery() as nursery:
        records = Records(again.core, settings, tmp_path, lambda what, fault: None)
        await nursery.start(records.run)
        caller = again.peer(CALLER)
        bye = caller.in_dialog("BYE", seen)
        caller.send(bye)
        again.peer("192.0.2.61").take_request("BYE")
        [record] = await records.find(CallQuestion())
        assert (record.call_id, record.ended_by, record.status) == (seen.call_id, "caller", 200)
        assert "its beginning is not known" in record.ending
        nursery.cancel_scope.cancel()


async def test_registrations_are_events_when_they_begin_and_end(tmp_path: Path) -> None:
    box = Box()
    async with trio.open_nursery() as nursery:
        records = Records(box.core, box.settings, tmp_path, lambda what, fault: None)
        await nursery.start(records.run)
        phone = box.peer("192.0.2.20")
        phone.register("1001")
        for binding in list(box.core.location):
            box.core.registrar.remove(binding)
        events = await records.events(EventQuestion())
        assert [(one.kind, one.subject) for one in events] == [("unregistered", "1001"), ("registered", "1001")]
        assert events[1].source == "192.0.2.20:5060"
        nursery.cancel_scope.cancel()


def write(peer: Peer, uri: str, call_id: str) -> None:
    """A MESSAGE that has already given its password."""
    message = peer.request("MESSAGE", uri, call_id=call_id, body=b"hunter2")
    peer.send(message)
    peer.send(peer.authorized(peer.take_response(407), message))


async def test_messages_are_events_and_their_text_is_not_kept(tmp_path: Path) -> None:
    settings = _settings()
    box = Box(settings)
    async with trio.open_nursery() as nursery:
        records = Records(box.core, settings, tmp_path, lambda what, fault: None)
        await nursery.start(records.run)
        writer, reader = box.peer("192.0.2.20"), box.peer("192.0.2.21")
        writer.register("1001")
        reader.register("1002")
        write(writer, "sip:1002@example.com", "first@example.net")
        reader.answer(reader.take_request("MESSAGE"), 200)
        writer.take_response(200)
        write(writer, "sip:nobody@example.com", "second@example.net")
        writer.take_response(404)
        events = [one for one in await records.events(EventQuestion()) if one.kind.startswith("message")]
        assert [(one.kind, one.subject, one.source) for one in events] == [
            ("message refused", "1001", "192.0.2.20:5060"),
            ("message", "1001", "192.0.2.20:5060"),
        ]
        assert "1002@example.com: 200" in events[1].detail
        assert "nobody@example.com: 404" in events[0].detail
        assert "hunter2" not in str(events)
        nursery.cancel_scope.cancel()


async def test_switched_off_nothing_is_kept(tmp_path: Path) -> None:
    settings = attrs.evolve(_settings(), records=RecordsSettings(enabled=False))
    box = Box(settings)
    async with trio.open_nursery() as nursery:
        records = Records(box.core, settings, tmp_path, lambda what, fault: None)
        await nursery.start(records.run)
        phone = box.peer("192.0.2.20")
        phone.register("1001")
        phone.invite("sip:4000@example.com")
        assert records.recorder.figures.taken == 0
        records.configure(_settings())
        phone.invite("sip:4000@example.com", call_id="second@example.net")
        assert [one.status for one in await records.find(CallQuestion())] == [603]
        nursery.cancel_scope.cancel()
