"""The event log: one line an event, no secret in it, floods thinned, a slow reader never waited for."""

import fcntl
import io
import os

import pytest

from appliance.config import Secret
from appliance.logs import BURST, LEVELS, EventLog


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


def test_a_flood_of_one_event_is_thinned() -> None:
    stream = io.StringIO()
    events = EventLog(threshold=LEVELS["info"], stream=stream)
    for _ in range(BURST * 40):
        events.info("message.malformed")
    events.info("call.begun")
    assert len(lines_of(stream)) <= BURST * 3  # a second or two may have passed
    assert events.left_out >= BURST * 37
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
