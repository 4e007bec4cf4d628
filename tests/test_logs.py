"""The event log: one line an event, no secret in it, floods thinned, a slow reader never waited for."""

import ast
import fcntl
import io
import os
from pathlib import Path

import pytest

import appliance
from appliance.config import Secret
from appliance.config.log import ROOMS
from appliance.control.logs import LogControl
from appliance.logs import BURST, LEVELS, Event, EventLog


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_an_event_is_one_line_with_its_fields() -> None:
    stream = io.StringIO()
    EventLog(stream=stream).info("call.ended", call_id="a@b", reason='he said "bye"\r\nVia: x', missing=None)
    (line,) = lines_of(stream)
    assert line.endswith('info    call.ended call_id=a@b reason="he said \\"bye\\"\\r\\nVia: x"')


@pytest.mark.parametrize("field", ["password", "Authorization", "ha1_md5", "admin_token", "private_key"])
def test_a_secret_shows_neither_by_its_type_nor_by_its_name(field: str) -> None:
    stream = io.StringIO()
    EventLog(stream=stream).warning("user.changed", user=Secret("hunter2"), **{field: "hunter2"})
    assert "hunter2" not in stream.getvalue()


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    events = EventLog(stream=stream)
    events.debug("packet.seen")
    assert not lines_of(stream)
    events.set_level("debug")
    events.debug("packet.seen")
    assert len(lines_of(stream)) == 1


def test_a_flood_of_one_event_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.logs.time.time", lambda: 1000.0)
    stream = io.StringIO()
    events = EventLog(threshold=LEVELS["info"], stream=stream)
    for _ in range(BURST * 40):
        events.info("message.malformed")
    events.info("call.begun")
    assert len(lines_of(stream)) == BURST + 1
    assert events.left_out == BURST * 39
    assert "call.begun" in lines_of(stream)[-1]


def test_an_exception_is_told_with_its_place() -> None:
    stream = io.StringIO()
    try:
        raise ExceptionGroup("many", [ValueError("inner")])
    except ExceptionGroup as error:
        EventLog(stream=stream).error("core.failed", error)
    assert "ValueError: inner" in stream.getvalue()


def test_a_reader_that_takes_nothing_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading), os.fdopen(writing, "w") as stream:
        events = EventLog(stream=stream)
        for number in range(BURST):
            events.info("call.begun", number=number, text="x" * 1000)
        assert 0 < events.lost < BURST
        os.set_blocking(reading, False)
        os.read(reading, 65536)


def test_each_room_may_have_a_level_of_its_own() -> None:
    stream = io.StringIO()
    events = EventLog(stream=stream)
    events.set_levels("warning", {"web": "debug"})
    events.debug("web.asked")
    events.debug("call.begun")
    events.info("call.begun")
    events.warning("call.refused")
    assert [line.split()[2] for line in lines_of(stream)] == ["web.asked", "call.refused"]


def test_a_flood_that_is_over_is_told_without_another_line_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("appliance.logs.time.time", lambda: now)
    stream = io.StringIO()
    events = EventLog(stream=stream, burst=10)
    for _ in range(100):
        events.info("message.malformed")
    events.tell_left_out()
    assert len(lines_of(stream)) == 10
    now = 1001.0
    events.tell_left_out()
    events.tell_left_out()
    assert lines_of(stream)[10:] == ["1970-01-01T00:16:41.000Z warning log.left_out event=message.malformed lines=90"]


def test_an_outlet_is_given_what_is_written_with_secrets_covered() -> None:
    given: list[Event] = []
    events = EventLog(stream=io.StringIO(), sinks=[given.append])
    events.debug("call.begun")
    events.info("user.changed", user="1001", password="hunter2", nothing=None)
    [event] = given
    assert (event.name, event.level, dict(event.fields)) == (
        "user.changed",
        "info",
        {"user": "1001", "password": "(secret)"},
    )


def test_the_journal_gets_priorities_and_no_time() -> None:
    stream = io.StringIO()
    EventLog(stream=stream, journald=True).warning("call.refused", status=403)
    assert stream.getvalue() == "<4>call.refused status=403\n"


async def test_levels_are_changed_while_it_runs() -> None:
    events = EventLog(stream=io.StringIO())
    control = LogControl(events)
    assert (await control.command("call", "debug"))["rooms"] == {"call": "debug"}
    assert (await control.command("warning"))["level"] == "warning"
    assert (await control.command("call", "loud"))["ok"] is False
    nowhere = await control.command("cal", "debug")
    assert nowhere["ok"] is False
    assert "no room 'cal': the first words of events are" in str(nowhere["error"])
    assert events.rooms == {"call": "debug"}
    assert events.threshold == LEVELS["debug"]


def told_events() -> set[str]:
    """The names of all events that the code tells."""
    found: set[str] = set()
    for path in Path(appliance.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in TELLING and node.args:
                found |= {
                    one.value
                    for one in (
                        [node.args[0].body, node.args[0].orelse] if isinstance(node.args[0], ast.IfExp) else node.args
                    )
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    return found


TELLING = {f"{name}.{level}" for name in ("log", "self._log") for level in LEVELS} | {"write"}


def test_every_event_belongs_to_a_room_and_no_room_is_without_events() -> None:
    events = told_events()
    assert not [event for event in events if "." not in event]
    assert {event.partition(".")[0] for event in events} == set(ROOMS)
